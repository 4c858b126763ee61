"""``falcon-catalog backup`` and ``restore``."""

from pathlib import Path
from typing import Any

import click

from falcon_catalog.backup.backup import backup
from falcon_catalog.backup.restore import Restored, Target, restore
from falcon_catalog.cli.common import (
    Failed,
    Stopped,
    as_json,
    echo,
    echo_json,
    one_line_errors,
    read,
    read_existing,
    utc,
    with_warehouses,
)
from falcon_catalog.cli.doctor import echo_progress, print_report
from falcon_catalog.doctor.check import Scope, check
from falcon_catalog.doctor.findings import counted
from falcon_catalog.fileio.routed import open_files
from falcon_catalog.store import require_file

_INSTEAD = (
    "back up and restore the database with PostgreSQL's own tools, such as pg_dump, and then the"
    " metadata files (docs/postgresql.md)"
)


@click.command("backup")
@click.argument("destination", type=click.Path(path_type=Path))
@as_json
@with_warehouses
def backup_command(destination: Path, config: Path | None, *, as_json: bool, **flags: Any) -> None:
    """Copy the catalog into the new folder DESTINATION, while it is served.

    The copy is of one moment: the database, and the metadata file of each table and view. It
    contains every commit acknowledged before. Manifests and data files are not copied: your storage
    needs its own backup. The folder appears only after everything was read back and compared;
    nothing is ever overwritten.

    The database contains the key that signs tokens: keep the folder, whose files only the owner can
    read, as safe as the store.

    \b
    Examples:
        falcon-catalog backup /srv/backups/catalog-$(date +%F)
        falcon-catalog backup --config /etc/falcon-catalog/catalog.toml /mnt/nas/catalog-today
    """
    with one_line_errors():
        settings = read_existing(config, flags)
        require_file(settings.store, _INSTEAD)
        files = open_files(settings.warehouse.storages)
        made = backup(settings, destination, files, echo_progress)
    size = made.database.bytes + sum(copy.bytes for copy in made.files)
    if as_json:
        result = {"destination": str(destination), "moment-ms": made.moment, "bytes": size}
        unreadable = list(made.unreadable)
        echo_json({**result, "metadata-files": len(made.files), "unreadable": unreadable})
    else:
        copied = counted(len(made.files), "metadata file")
        moment = utc(made.moment)
        echo(f"{destination}: the catalog at {moment} UTC, {copied}, {size} bytes, verified")
    if made.unreadable:
        raise Stopped(
            f"the backup is made, but {counted(len(made.unreadable), 'metadata file')} could not be"
            f" read, such as {made.unreadable[0]}: run falcon-catalog doctor"
        )


@click.command("restore")
@click.argument("source", type=click.Path(path_type=Path))
@click.option(
    "--replace", is_flag=True, help="Move an existing store aside, into a folder beside it."
)
@click.option(
    "--adopt-warehouse",
    is_flag=True,
    help="Accept the warehouse folders as they are: empty, or with another store's marker.",
)
@as_json
@with_warehouses
def restore_command(
    source: Path,
    config: Path | None,
    *,
    replace: bool,
    adopt_warehouse: bool,
    as_json: bool,
    **flags: Any,
) -> None:
    """Restore the backup in the folder SOURCE. The server must be stopped.

    First the whole backup is compared with its checksums, and each warehouse is checked: one that
    seems not to be mounted, or belongs to another store, stops the restore. Missing metadata files
    are written to their places; existing ones are never overwritten. Then the database takes its
    place. Tables that are dropped in the backup are not purged for a week: they may have been
    undropped since. Finally the doctor checks everything, and lists the tables with commits newer
    than the backup.

    Exit status 0: restored, and clean. 1: restored, with findings. 2: not restored; an existing
    store is unchanged, unless the last line says otherwise. Run a restore that was killed again:
    until then no server starts if it left no store.

    \b
    Example:
        systemctl stop catalog.socket catalog.service
        falcon-catalog restore --replace /srv/backups/catalog-2026-01-31
        systemctl start catalog.socket catalog.service
    """
    with one_line_errors(Failed):
        settings = read(config, flags)
        require_file(settings.store, _INSTEAD)
        files = open_files(settings.warehouse.storages)
        target = Target(settings, files, replace=replace, adopt=adopt_warehouse)
        done = restore(source, target, echo_progress)
    if not as_json:
        _print_restored(done)
    with one_line_errors():
        report = check(Scope(settings, target.files), echo_progress)
    if as_json:
        echo_json({**_as_json(done), "doctor": report.as_json()})
    else:
        print_report(report)
    if done.differing or not report.clean:
        raise click.exceptions.Exit(1)


def _as_json(done: Restored) -> dict[str, Any]:
    return {
        "moment-ms": done.manifest.moment,
        "aside": str(done.aside) if done.aside else None,
        "postponed-purges": done.postponed,
        "differing": list(done.differing),
        "unreadable": list(done.manifest.unreadable),
    }


def _print_restored(done: Restored) -> None:
    echo(f"Restored: the catalog at {utc(done.manifest.moment)} UTC")
    if done.aside:
        echo(f"The previous store is in {done.aside}")
    if done.postponed:
        echo(f"Postponed: {counted(done.postponed, 'purge')}; see falcon-catalog dropped")
    for location in done.differing:
        echo(f"Not overwritten, but differs from the backup: {location}")
    for location in done.manifest.unreadable:
        echo(f"Was unreadable when the backup was made: {location}")
