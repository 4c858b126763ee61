"""The backup that ``migrate`` makes of a store before it changes its schema."""

import shutil
from datetime import UTC, datetime
from pathlib import Path

from falcon_catalog.backup import beside, manifest
from falcon_catalog.backup.backup import backup
from falcon_catalog.doctor.check import Progress
from falcon_catalog.errors import CatalogError
from falcon_catalog.fileio.routed import open_files
from falcon_catalog.settings import Settings
from falcon_catalog.store.database import StoreError
from falcon_catalog.store.schema import pending
from falcon_catalog.store.sqlite import creation, read_only
from falcon_catalog.store.sqlite.migrate import applied

KEPT = 3
"""Backups that stay, the newest."""
_PREFIX = "before-"


def pending_changes(settings: Settings) -> list[str]:
    """Return the schema changes that an existing SQLite store has not seen, oldest first.

    Raises:
        StoreError: the store is damaged, or of a newer version.
    """
    if not settings.store.is_file or not creation.is_made(settings.store.path):
        return []
    with read_only.connect(settings.store.path, older=True) as tx:
        return pending(applied(tx.connection))


def back_up(settings: Settings, changes: list[str], progress: Progress) -> Path:
    """Back up the store beside its database, and return the folder.

    Of the backups made here before, all but the newest are deleted.

    Raises:
        StoreError: it cannot be made, and nothing is to be migrated.
    """
    folder = beside.folder(settings.store.path)
    made = folder / f"{_PREFIX}{changes[-1]}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    try:
        files = open_files(settings.warehouse.storages)
        backup(settings, made, files, progress, older=True)
        complete = [each for each in folder.glob(f"{_PREFIX}*") if (each / manifest.NAME).is_file()]
        for each in sorted(complete, key=lambda each: each.name.rpartition("-")[2])[:-KEPT]:
            shutil.rmtree(each)
    except (StoreError, CatalogError, OSError) as error:
        raise StoreError(
            f"no backup could be made before the migration: {error}. Nothing was migrated;"
            " --no-backup migrates without one"
        ) from error
    return made
