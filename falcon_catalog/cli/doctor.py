"""``falcon-catalog doctor``, and the output of its report."""

import textwrap
from collections import Counter
from pathlib import Path
from typing import Any

import click
from tabulate import tabulate

from falcon_catalog.cli.common import (
    Failed,
    as_json,
    echo,
    echo_json,
    one_line_errors,
    read_existing,
    with_warehouses,
)
from falcon_catalog.doctor.check import DAY_MS, Report, Scope, check
from falcon_catalog.doctor.findings import CHECKS, SEVERITIES, counted
from falcon_catalog.doctor.repairs import EXPLAINED, repair
from falcon_catalog.fileio.routed import open_files

_SHOWN = 20


def echo_progress(line: str) -> None:
    """Print a line of progress on stderr."""
    echo(line, err=True)


# A paragraph that click does not wrap.
_REPAIRS = "\b\nRepairs:\n" + "\n".join(
    textwrap.indent(f"{name}\n{textwrap.indent(textwrap.fill(text, 76), '    ')}", "  ")
    for name, text in EXPLAINED.items()
)


@click.command(
    help=f"""Check the catalog: database, metadata files and logs against each other.

Works with a running or a stopped server, and changes nothing without --repair: each repair first
checks that it is needed, is one transaction, and reports what it did. Findings are printed with the
name of the repair, if there is one.

Exit status 0: clean, except for notes. 1: there are findings. 2: the check could not run, or a
repair was refused.

\b
Examples:
    falcon-catalog doctor
    falcon-catalog doctor --deep --json | jq '.findings[].what'
    falcon-catalog doctor --repair repoint=17

{_REPAIRS}
"""
)
@click.option(
    "--deep", is_flag=True, help="Also check every manifest, and that every data file exists."
)
@as_json
@click.option("--repair", "names", multiple=True, metavar="NAME", help="Repair first; repeatable.")
@click.option(
    "--older-than",
    "days",
    type=click.IntRange(min=1),
    default=7,
    show_default=True,
    help="Days after which an unreferenced metadata file is an orphan.",
)
@with_warehouses
def doctor(
    config: Path | None,
    *,
    deep: bool,
    as_json: bool,
    names: tuple[str, ...],
    days: int,
    **flags: Any,
) -> None:
    """Check the catalog."""
    with one_line_errors(Failed):
        settings = read_existing(config, flags)
        files = open_files(settings.warehouse.storages)
        scope = Scope(settings, files, deep, days * DAY_MS)
        done = [line for name in names for line in repair(scope, name, echo_progress)]
        if not as_json:
            echo("".join(f"Repaired: {line}\n" for line in done), nl=False)
        report = check(scope, echo_progress)
    if as_json:
        echo_json({**report.as_json(), "repaired": done})
    else:
        print_report(report)
    if not report.clean:
        raise click.exceptions.Exit(1)


def print_report(report: Report) -> None:
    """Print the findings as a table, then why each kind of them matters."""
    for name in dict.fromkeys(finding.check for finding in report.findings):
        found = [finding for finding in report.findings if finding.check == name]
        explained = CHECKS[name]
        rows = [
            (one.subject, one.what, f"--repair {one.repair}" if one.repair else "")
            for one in found[:_SHOWN]
        ]
        echo(f"\n{explained.severity}: {name}")
        echo(f"  why it matters: {explained.why}\n  what can be done: {explained.remedy}\n")
        echo(tabulate(rows, ("where", "what", "repair")))
        if len(found) > _SHOWN:
            echo(f"and {len(found) - _SHOWN} more; --json prints all")
    severities = Counter(finding.severity for finding in report.findings)
    sums = [counted(severities[severity], severity) for severity in SEVERITIES]
    checked = ", ".join(f"{count} {what}" for what, count in report.counts.items())
    echo(f"\n{'Clean' if report.clean else 'Not clean'}: {', '.join(sums)} ({checked})")
