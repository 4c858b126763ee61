"""``falcon-catalog migrate``."""

from pathlib import Path
from typing import Any

import click

from falcon_catalog.backup import before_upgrade
from falcon_catalog.catalog.bootstrap import prepare_store, require_writable
from falcon_catalog.cli.common import (
    as_json,
    echo,
    echo_json,
    one_line_errors,
    read,
    with_warehouses,
)
from falcon_catalog.cli.serve import adopting
from falcon_catalog.settings import prepare
from falcon_catalog.store import exists, in_use


@click.command()
@adopting
@click.option("--no-backup", is_flag=True, help="Migrate without a backup.")
@as_json
@with_warehouses
def migrate(
    config: Path | None, *, adopt_warehouse: bool, no_backup: bool, as_json: bool, **flags: Any
) -> None:
    """Migrate the store to the schema of this version.

    Creates the store and its warehouses if they do not exist, as "serve" does. A SQLite store of an
    older version is backed up first, into the folder "backups" beside its database; the three
    newest of these backups are kept. A PostgreSQL database is yours to back up.

    \b
    Examples:
        falcon-catalog migrate
        falcon-catalog migrate --store sqlite:////var/lib/falcon-catalog/catalog.db
    """
    saved = None
    with one_line_errors():
        settings = read(config, flags)
        prepare(settings)
        require_writable(settings)
        with in_use(settings.store):
            is_new = not exists(settings.store)
            changes = before_upgrade.pending_changes(settings)
            if changes and not no_backup:
                saved = before_upgrade.back_up(settings, changes, lambda _: None)
                if not as_json:
                    echo(f"Backup: {saved} (the newest {before_upgrade.KEPT} are kept)")
            prepare_store(settings, adopt=adopt_warehouse, upgrade=True)
    if as_json:
        backup = str(saved) if saved else None
        echo_json(
            {"store": settings.store.url, "created": is_new, "migrated": changes, "backup": backup}
        )
        return
    if is_new:
        echo(f"There was no store at {settings.store.url}: it was created")
    for change in changes:
        echo(f"Migrated: {change}")
    echo(f"{settings.store.url} is up to date")
