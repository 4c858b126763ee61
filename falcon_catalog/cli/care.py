"""``falcon-catalog backup``, ``restore`` and ``doctor``."""

import contextlib
import json
import textwrap
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from tabulate import tabulate

from falcon_catalog import rules
from falcon_catalog.care.backup import backup
from falcon_catalog.care.examination import DAY_MS, Report, Scope, examine, roots
from falcon_catalog.care.findings import CHECKS, SEVERITIES, Finding, counted
from falcon_catalog.care.repairs import EXPLAINED, repair
from falcon_catalog.care.restore import Restored, Target, restore
from falcon_catalog.cli.common import Stopped, read, told_in_one_line, utc, with_settings
from falcon_catalog.settings import Settings

_SHOWN = 20


class _CannotRun(Stopped):
    """Nothing could be looked at or changed: one line on stderr, status 2."""

    exit_code = 2


@contextlib.contextmanager
def status_2() -> Iterator[None]:
    """End with status 2 for whatever stands in the way: 1 says that something was found."""
    try:
        with told_in_one_line():
            yield
    except Stopped as error:
        raise _CannotRun(error.message) from None


def _tell(line: str) -> None:
    click.echo(line, err=True)


@click.command("backup")
@click.argument("destination", type=click.Path(path_type=Path))
@with_settings
def backup_command(destination: Path, config: Path | None, **flags: Any) -> None:
    """Copy the catalog into the new folder DESTINATION, while it is served.

    The copy is of one moment: the database, and the metadata file of each table and view. Every
    commit that was acknowledged before is in it. Manifests and data files are not: they are in
    your storage, which needs a backup of its own. The folder appears only once all was read
    back and compared; nothing is ever overwritten.

    The database holds the key that signs tokens: keep the folder, whose files are for the
    owner's eyes only, as safe as the store.

    \b
    Examples:
        falcon-catalog backup /srv/backups/catalog-$(date +%F)
        falcon-catalog backup --config /etc/falcon-catalog/catalog.toml /mnt/nas/catalog-today
    """
    with told_in_one_line():
        settings = read(config, flags)
        made = backup(rules.store_path(settings.store.url), destination, settings, _tell)
    size = made.database.bytes + sum(copy.bytes for copy in made.files)
    files = counted(len(made.files), "metadata file")
    click.echo(
        f"{destination}: the catalog at {utc(made.moment)} UTC, {files}, {size} bytes, verified"
    )
    if made.unreadable:
        raise Stopped(
            f"the backup is made, but {counted(len(made.unreadable), 'metadata file')} could not be"
            f" read, such as {made.unreadable[0]}: look with falcon-catalog doctor"
        )


@click.command("restore")
@click.argument("source", type=click.Path(path_type=Path))
@click.option(
    "--replace", is_flag=True, help="Put the store that is there aside, into a folder beside it."
)
@click.option(
    "--adopt-warehouse",
    is_flag=True,
    help="Take the warehouse folders as they are: empty, or with another store's marker.",
)
@with_settings
def restore_command(
    source: Path,
    config: Path | None,
    *,
    replace: bool,
    adopt_warehouse: bool,
    **flags: Any,
) -> None:
    """Put the backup in the folder SOURCE back. The server must be stopped.

    First the whole backup is compared with its checksums, and each warehouse is looked at: one
    that seems not to be mounted, or is another store's, ends it. Metadata files that are missing
    are put back to where they were; none that is there is overwritten. Then the database takes its
    place. No table that the backup has as dropped is purged within a week: it may have been
    undropped since. At the end the doctor looks at all of it, and tells which tables have
    commits that are younger than the backup.

    Status 0: restored, and clean. 1: restored, and something was found. 2: not restored; the
    store that was there is as it was, unless the last line says otherwise. A restore that was
    killed is run again: until then no server starts where it left no store.

    \b
    Example:
        systemctl stop catalog.socket catalog.service
        falcon-catalog restore --replace /srv/backups/catalog-2026-01-31
        systemctl start catalog.socket catalog.service
    """
    with status_2():
        settings = read(config, flags)
        target = _target(settings, replace=replace, adopt=adopt_warehouse)
        done = restore(source, target, _tell)
    with told_in_one_line():
        _tell_of_restore(done)
        scope = Scope(rules.store_path(settings.store.url), settings)
        report = examine(scope, _tell)
    print_report(report)
    if done.differing or not report.clean:
        raise click.exceptions.Exit(1)


def _target(settings: Settings, *, replace: bool, adopt: bool) -> Target:
    return Target(
        path=rules.store_path(settings.store.url),
        warehouses=roots(settings),
        roots=(*roots(settings).values(), *settings.warehouse.allowed_locations),
        adopt=adopt,
        retention_ms=settings.warehouse.drop_retention * 1000,
        replace=replace,
    )


def _tell_of_restore(done: Restored) -> None:
    click.echo(f"Restored: the catalog at {utc(done.manifest.moment)} UTC")
    if done.aside:
        click.echo(f"The store that was there is in {done.aside}")
    if done.postponed:
        click.echo(f"Put off: {counted(done.postponed, 'purge')}; see falcon-catalog dropped")
    for location in done.differing:
        click.echo(f"Left alone, as it differs from the backup's: {location}")
    for location in done.manifest.unreadable:
        click.echo(f"Was unreadable when the backup was made: {location}")


def _listed(repairs: dict[str, str]) -> str:
    """Write the repairs as a paragraph that click leaves as it is."""
    indented = [
        textwrap.indent(f"{name}\n{textwrap.indent(textwrap.fill(told, 76), '    ')}", "  ")
        for name, told in repairs.items()
    ]
    return "\b\nRepairs:\n" + "\n".join(indented)


@click.command(
    help=f"""Check the catalog: database, metadata files and logs against each other.

Looks at a served catalog or at a stopped one and changes nothing, unless --repair asks for it:
each repair sees for itself that it is needed, is one transaction, and says what it did. What is
found, and what can be repaired, is printed with the exact name to give.

Status 0: clean, but for notes. 1: something was found. 2: it could not look, or a repair was
refused.

\b
Examples:
    falcon-catalog doctor
    falcon-catalog doctor --deep --json | jq '.findings[].what'
    falcon-catalog doctor --repair repoint=17

{_listed(EXPLAINED)}
"""
)
@click.option("--deep", is_flag=True, help="Look at every manifest, and for every data file.")
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
        scope = Scope(rules.store_path(settings.store.url), settings, deep, days * DAY_MS)
        done = [line for name in names for line in repair(scope, name, _tell)]
        if not as_json:
            click.echo("".join(f"Repaired: {line}\n" for line in done), nl=False)
        report = examine(scope, _tell)
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
    for check in dict.fromkeys(finding.check for finding in report.findings):
        found = [finding for finding in report.findings if finding.check == check]
        explained = CHECKS[check]
        click.echo(f"\n{explained.severity}: {check}")
        click.echo(f"  why it matters: {explained.why}\n  what can be done: {explained.remedy}\n")
        click.echo(tabulate([_row(one) for one in found[:_SHOWN]], ("where", "what", "repair")))
        if len(found) > _SHOWN:
            click.echo(f"and {len(found) - _SHOWN} more; --json prints all")
    severities = Counter(finding.severity for finding in report.findings)
    sums = [counted(severities[severity], severity) for severity in SEVERITIES]
    looked = ", ".join(f"{count} {what}" for what, count in report.counts.items())
    click.echo(f"\n{'Clean' if report.clean else 'Not clean'}: {', '.join(sums)} ({looked})")


def _row(finding: Finding) -> tuple[str, str, str]:
    repair_name = f"--repair {finding.repair}" if finding.repair else ""
    return finding.subject, finding.what, repair_name
