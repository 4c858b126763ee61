"""``falcon-catalog relocate``."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from tabulate import tabulate

from falcon_catalog.backup.prefix import Move
from falcon_catalog.backup.relocate import Moved, Order, Outcome, relocate
from falcon_catalog.cli.common import (
    Failed,
    as_json,
    echo,
    echo_json,
    one_line_errors,
    read_existing,
    with_warehouses,
)
from falcon_catalog.cli.doctor import echo_progress, print_report
from falcon_catalog.doctor.check import Scope, check
from falcon_catalog.fileio.routed import open_files
from falcon_catalog.settings import Settings
from falcon_catalog.store import require_file

_SHOWN = 20


@click.command("relocate")
@click.argument("old")
@click.argument("new")
@click.option("--dry-run", is_flag=True, help="Check everything and count; change nothing.")
@click.option(
    "--skip-broken",
    is_flag=True,
    help="Relocate the others if some tables cannot be; their rows stay as they are.",
)
@as_json
@with_warehouses
def relocate_command(
    old: str,
    new: str,
    config: Path | None,
    *,
    dry_run: bool,
    skip_broken: bool,
    as_json: bool,
    **flags: Any,
) -> None:
    """Point the catalog at files that were moved from OLD to NEW. The server must be stopped.

    OLD and NEW are locations of folders, such as file:///srv/old and file:///mnt/new. The files
    must already be at NEW, by rsync or another mount, and the settings must name the new warehouse.
    Everything that contains a location is rewritten at NEW: metadata, manifest lists, manifests,
    position deletes and deletion vectors. Data files are not read. The new files are read back and
    compared; then all tables are switched in one transaction.

    Nothing is overwritten, and nothing at OLD is changed. Run it again if it was interrupted. At
    the end the doctor checks everything, with --deep.

    Exit status 0: relocated, and clean. 1: nothing was changed, because of the listed problems; or
    relocated, with findings of the doctor. 2: it could not run.

    \b
    Example:
        systemctl stop catalog.socket catalog.service
        rsync -a /srv/old/ /mnt/new/
        falcon-catalog relocate --dry-run file:///srv/old file:///mnt/new \\
            --warehouse file:///mnt/new
        falcon-catalog relocate file:///srv/old file:///mnt/new --warehouse file:///mnt/new
    """
    with one_line_errors(Failed):
        settings = read_existing(config, flags)
        require_file(settings.store, "relocate works on a SQLite store only")
        move = Move.of(old, new)
        files = open_files(settings.warehouse.storages)
        order = Order(settings, move, files, dry=dry_run, skip_broken=skip_broken)
        outcome = relocate(order, echo_progress)
    if not as_json:
        _print(outcome, old, dry=dry_run)
    if not outcome.switched:
        if as_json:
            echo_json({**outcome.as_json(), "doctor": None})
        why = _why_unchanged(outcome, order, old, dry=dry_run)
        echo(why.text, err=as_json)
        raise click.exceptions.Exit(why.status)
    with one_line_errors(Failed):
        report = check(Scope(settings, order.files, deep=True), echo_progress)
    if as_json:
        echo_json({**outcome.as_json(), "doctor": report.as_json()})
    else:
        print_report(report)
        _print_next_steps(settings, order.move, old)
    if outcome.broken or not report.clean:
        raise click.exceptions.Exit(1)


def _print(outcome: Outcome, old: str, *, dry: bool) -> None:
    if dry and outcome.changed:
        head = ("what", "files to write", "bytes")
        echo(tabulate([(str(m.pointer), m.files, m.bytes) for m in outcome.changed], head))
    for one in outcome.broken:
        echo(f"\n{one.pointer} cannot be relocated:")
        _print_some(one.problems)
    left = [*outcome.left, *(f"{m.pointer}: {line}" for m in outcome.moved for line in m.left)]
    if left:
        echo(f"\nLeft as it is, but mentions {old} or was not checked:")
        _print_some(left)
    echo(f"\n{'Would be relocated' if dry or not outcome.switched else 'Relocated'}:")
    echo(tabulate(_sums(outcome.changed), ("", "number", "files written", "bytes")))


def _print_some(lines: list[str]) -> None:
    for line in lines[:_SHOWN]:
        echo(f"  {line}")
    if len(lines) > _SHOWN:
        echo(f"  and {len(lines) - _SHOWN} more")


def _sums(changed: list[Moved]) -> list[tuple[str, int, int, int]]:
    living = [one for one in changed if one.pointer.place == "living"]
    groups = {
        "tables": [one for one in living if one.pointer.kind == "table"],
        "views": [one for one in living if one.pointer.kind == "view"],
        "dropped": [one for one in changed if one.pointer.place == "dropped"],
    }
    return [
        (what, len(found), sum(one.files for one in found), sum(one.bytes for one in found))
        for what, found in groups.items()
    ]


@dataclass(frozen=True)
class _Unchanged:
    text: str
    status: int


def _why_unchanged(outcome: Outcome, order: Order, old: str, *, dry: bool) -> _Unchanged:
    """Return why nothing was changed; the status is 1 if there are problems."""
    keys = sorted({one.pointer.location_key for one in outcome.moved})
    lies_in_old = outcome.changed or any(map(order.move.changes, keys))
    if not lies_in_old and not any(one.startswith(f"{order.move.new}/") for one in keys):
        found = ", ".join(keys[:3]) or "nowhere"
        text = f"Nothing was changed: no table is in {old}. Tables are in: {found}"
        return _Unchanged(text, 1)
    if outcome.broken and not (dry and order.skip_broken):
        broken = len(outcome.broken)
        return _Unchanged(f"Nothing was changed: {broken} tables or views are in the way.", 1)
    if dry:
        return _Unchanged("Nothing was changed: this was a dry run.", 0)
    return _Unchanged(
        f"Nothing to do: no table is in {old}, and those at the new location are in order.", 0
    )


def _print_next_steps(settings: Settings, move: Move, old: str) -> None:
    echo("\nNext steps:")
    for setting in ("warehouse.location", "warehouse.more"):
        value, origin = settings.value(setting), settings.origins[setting]
        if move.new in str(value) and origin.startswith(("flag", "environment")):
            echo(f"  Write {setting} = {value!r} into the settings file (it is from {origin})")
    storages = settings.warehouse.storages.values()
    for location in {each for storage in storages for each in storage.allowed_locations}:
        if move.changes(location):
            echo(f"  Remove {location} from warehouse.allowed_locations")
    echo(f"  Move {old} out of the way: clients that know the old paths must not write there")
    echo("  Start the service, and start clients anew that had tables open")
