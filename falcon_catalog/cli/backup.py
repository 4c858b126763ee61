"""``falcon-catalog backup`` and ``restore``."""

from pathlib import Path
from typing import Any

import click

from falcon_catalog import rules
from falcon_catalog.backup.backup import backup
from falcon_catalog.backup.restore import Restored, Target, restore
from falcon_catalog.cli.common import Stopped, read, told_in_one_line, utc, with_settings
from falcon_catalog.cli.doctor import echo_progress, print_report, status_2
from falcon_catalog.doctor.check import Scope, check
from falcon_catalog.doctor.findings import counted
from falcon_catalog.fileio.local import LocalFileIO


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
        path = rules.store_path(settings.store.url)
        made = backup(path, destination, settings, LocalFileIO(), echo_progress)
    size = made.database.bytes + sum(copy.bytes for copy in made.files)
    files = counted(len(made.files), "metadata file")
    click.echo(
        f"{destination}: the catalog at {utc(made.moment)} UTC, {files}, {size} bytes, verified"
    )
    if made.unreadable:
        raise Stopped(
            f"the backup is made, but {counted(len(made.unreadable), 'metadata file')} could not be"
            f" read, such as {made.unreadable[0]}: run falcon-catalog doctor"
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

    First the whole backup is compared with its checksums, and each warehouse is checked: one
    that seems not to be mounted, or is another store's, ends it. Metadata files that are missing
    are put back to where they were; none that is there is overwritten. Then the database takes its
    place. No table that the backup has as dropped is purged within a week: it may have been
    undropped since. At the end the doctor checks everything, and names the tables that
    have commits younger than the backup.

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
        target = Target(
            rules.store_path(settings.store.url),
            settings,
            LocalFileIO(),
            replace=replace,
            adopt=adopt_warehouse,
        )
        done = restore(source, target, echo_progress)
    with told_in_one_line():
        _print_restored(done)
        scope = Scope(target.path, settings, target.files)
        report = check(scope, echo_progress)
    print_report(report)
    if done.differing or not report.clean:
        raise click.exceptions.Exit(1)


def _print_restored(done: Restored) -> None:
    click.echo(f"Restored: the catalog at {utc(done.manifest.moment)} UTC")
    if done.aside:
        click.echo(f"The store that was there is in {done.aside}")
    if done.postponed:
        click.echo(f"Put off: {counted(done.postponed, 'purge')}; see falcon-catalog dropped")
    for location in done.differing:
        click.echo(f"Left alone, as it differs from the backup's: {location}")
    for location in done.manifest.unreadable:
        click.echo(f"Was unreadable when the backup was made: {location}")
