"""``falcon-catalog doctor``, and how commands print its report."""

import contextlib
import json
import textwrap
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import click
from tabulate import tabulate

from falcon_catalog import rules
from falcon_catalog.cli.common import Stopped, read, told_in_one_line, with_settings
from falcon_catalog.doctor.check import DAY_MS, Report, Scope, check
from falcon_catalog.doctor.findings import CHECKS, SEVERITIES, counted
from falcon_catalog.doctor.repairs import EXPLAINED, repair
from falcon_catalog.fileio.local import LocalFileIO

_SHOWN = 20
echo_progress = partial(click.echo, err=True)


class _CannotRun(Stopped):
    """Nothing could be checked or changed: one line on stderr, status 2."""

    exit_code = 2


@contextlib.contextmanager
def status_2() -> Iterator[None]:
    """End with status 2 for whatever stands in the way: 1 says that something was found."""
    try:
        with told_in_one_line():
            yield
    except Stopped as error:
        raise _CannotRun(error.message) from None


def _listed(repairs: dict[str, str]) -> str:
    """Write the repairs as a paragraph that click leaves as it is."""
    indented = [
        textwrap.indent(f"{name}\n{textwrap.indent(textwrap.fill(told, 76), '    ')}", "  ")
        for name, told in repairs.items()
    ]
    return "\b\nRepairs:\n" + "\n".join(indented)


@click.command(
    help=f"""Check the catalog: database, metadata files and logs against each other.

Checks a served or a stopped catalog and changes nothing unless --repair is given: each repair
verifies that it is needed, is one transaction, and reports what it did. What is
found, and what can be repaired, is printed with the exact name to give.

Status 0: clean, but for notes. 1: something was found. 2: it could not run, or a repair was
refused.

\b
Examples:
    falcon-catalog doctor
    falcon-catalog doctor --deep --json | jq '.findings[].what'
    falcon-catalog doctor --repair repoint=17

{_listed(EXPLAINED)}
"""
)
@click.option("--deep", is_flag=True, help="Check every manifest and data file.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--repair", "names", multiple=True, metavar="NAME", help="Repair first; repeatable.")
@click.option(
    "--older-than",
    "days",
    type=click.IntRange(min=1),
    default=7,
    show_default=True,
    help="Days after which a metadata file that nothing reaches is an orphan.",
)
@with_settings
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
    with status_2():
        settings = read(config, flags)
        path = rules.store_path(settings.store.url)
        scope = Scope(path, settings, LocalFileIO(), deep, days * DAY_MS)
        done = [line for name in names for line in repair(scope, name, echo_progress)]
        if not as_json:
            click.echo("".join(f"Repaired: {line}\n" for line in done), nl=False)
        report = check(scope, echo_progress)
    if as_json:
        found = [finding.as_json() for finding in report.findings]
        answer = {"clean": report.clean, "counts": report.counts, "repaired": done}
        click.echo(json.dumps({**answer, "findings": found}, indent=1, ensure_ascii=False))
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
        click.echo(f"\n{explained.severity}: {name}")
        click.echo(f"  why it matters: {explained.why}\n  what can be done: {explained.remedy}\n")
        click.echo(tabulate(rows, ("where", "what", "repair")))
        if len(found) > _SHOWN:
            click.echo(f"and {len(found) - _SHOWN} more; --json prints all")
    severities = Counter(finding.severity for finding in report.findings)
    sums = [counted(severities[severity], severity) for severity in SEVERITIES]
    checked = ", ".join(f"{count} {what}" for what, count in report.counts.items())
    click.echo(f"\n{'Clean' if report.clean else 'Not clean'}: {', '.join(sums)} ({checked})")
