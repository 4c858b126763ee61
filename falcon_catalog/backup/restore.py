"""Restore a backup: its database, and the metadata files that are missing."""

import contextlib
import hashlib
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from falcon_catalog import durable_files
from falcon_catalog.backup import manifest, replacement
from falcon_catalog.backup.backup import verify
from falcon_catalog.backup.manifest import Copy, Manifest
from falcon_catalog.catalog import events, marker
from falcon_catalog.catalog.events import Event
from falcon_catalog.catalog.marker import Marker
from falcon_catalog.doctor.check import Progress
from falcon_catalog.errors import CatalogError, NotFoundError
from falcon_catalog.fileio.base import FileIO
from falcon_catalog.locations import is_inside, key, key_or_none
from falcon_catalog.settings import Settings
from falcon_catalog.store import survey, warehouses, web_sessions
from falcon_catalog.store.database import StoreError
from falcon_catalog.store.events import begin_new_log
from falcon_catalog.store.sqlite import locks, read_only
from falcon_catalog.store.sqlite.migrate import migrated

_SHORTEST_DELAY_MS = 7 * 24 * 60 * 60 * 1000
_ADOPT = "restore with --adopt-warehouse to take the folder as it is"


@dataclass(frozen=True, slots=True)
class Restored:
    """The result of a restore."""

    manifest: Manifest
    differing: tuple[str, ...]
    """Existing metadata files with other content, which were kept."""
    aside: Path | None
    """The folder of the previous store."""
    postponed: int
    """The number of postponed purges."""


@dataclass(frozen=True, slots=True)
class Target:
    """The store to restore into."""

    settings: Settings
    files: FileIO
    replace: bool = False
    """Whether an existing store may be moved aside."""
    adopt: bool = False
    """Whether to accept the warehouses' folders regardless of markers and content."""


def restore(source: Path, target: Target, progress: Progress) -> Restored:
    """Restore the backup in the folder ``source``.

    Raises:
        StoreError: the backup is damaged, the store is in use, a store exists and ``replace`` is
            false, or a warehouse seems not to be mounted. Nothing was changed.
        OSError, CatalogError: a file could not be read or written. The store was not replaced, or
            cannot be opened until a restore succeeds.
    """
    progress("verifying the backup")
    made = manifest.read(source)
    verify(source, made, older=True)
    _check_locations(made, target)
    path = target.settings.store.path
    path.parent.mkdir(parents=True, exist_ok=True)
    with locks.exclusive(path):
        earlier = replacement.conclude(path)
        if replacement.is_there(path) and not target.replace:
            raise StoreError(
                f"a store exists at {path}; --replace moves it aside and deletes nothing"
            )
        store_id, unmarked = _check_warehouses(
            made,
            target,
            backed_up=_store_id(source / made.database.path),
            replaced=_store_id(earlier / path.name if earlier else path),
        )
        content = (source / made.database.path).read_bytes()
        with replacement.successor(path, content) as new:
            differing = _add_files(source, made, target.files, progress)
            # Tables that are dropped in the backup may have been undropped since.
            retention_ms = target.settings.warehouse.drop_retention * 1000
            until = read_only.now_ms() + max(retention_ms, _SHORTEST_DELAY_MS)
            with migrated(new) as tx:
                postponed = survey.postpone_purges(tx, until=until)
                if store_id is not None:
                    warehouses.set_store_id(tx, store_id)
                for name, root in unmarked.items():
                    warehouses.mark(tx, name, key(root))
                web_sessions.delete_all(tx)  # some have been ended since
                # Readers of the log may have seen ids that are given again from now on.
                begin_new_log(tx, str(uuid.uuid4()))
                detail = {"backup-of-ms": made.moment}
                restored = Event("restore", "server", None, "access", detail=detail)
                events.record(tx, events.local(), restored)
            durable_files.sync_file(new)
            aside = replacement.replace(path)
        _mark(target, unmarked)
    return Restored(made, tuple(differing), aside or earlier, postponed)


def _check_locations(made: Manifest, target: Target) -> None:
    """Raise StoreError for files outside the locations of the settings."""
    roots = target.settings.warehouse.locations
    for copy in made.files:
        own = key_or_none(copy.location)
        if own is None or not own.startswith(tuple(map(key, roots))):
            raise StoreError(
                f"{copy.location} is outside the locations of the settings: {', '.join(roots)};"
                " restore with the settings of the catalog that was backed up"
            )


def _store_id(path: Path) -> str | None:
    """Return the id of the store at ``path``; None if it is missing, damaged or has no id."""
    with contextlib.suppress(StoreError), read_only.connect(path, older=True) as tx:
        return warehouses.store_id(tx)
    return None


def _check_warehouses(
    made: Manifest, target: Target, *, backed_up: str | None, replaced: str | None
) -> tuple[str | None, dict[str, str]]:
    """Return the new id of the restored store, None to keep its own, and the warehouses to mark.

    ``backed_up`` is the id of the store in the backup, None if an older version wrote it;
    ``replaced`` is the id of the store that is replaced. Changes nothing.

    Raises:
        StoreError: a warehouse seems not to be mounted, or belongs to another store.
    """
    taken = backed_up
    unmarked = {}
    for name, root in target.settings.warehouse.roots.items():
        found = _marker(target, root)
        own = [copy.location for copy in made.files if is_inside(copy.location, root)]
        known = target.adopt or not own or any(map(target.files.exists, own))
        if found is not None and found.store == taken:
            continue
        if found is not None and taken is None and (known or found.store == replaced):
            taken = found.store  # the backup has no id: take the marker's
            continue
        if found is not None and not target.adopt and found.store != replaced:
            raise StoreError(
                f"{marker.location(root)} says that the warehouse {name} belongs to another store,"
                f" {found.store}; the backup is of {taken or 'an older version'}."
                f" If it is this one's, {_ADOPT}"
            )
        if found is None and not known:
            raise StoreError(
                f"the warehouse {name} ({root}) has neither a marker nor any metadata file of the"
                f" backup, such as {own[0]}: is it mounted? If its files were lost, {_ADOPT}"
            )
        if found is not None or own or target.adopt:
            unmarked[name] = root
    return (taken if backed_up is None else None), unmarked


def _marker(target: Target, root: str) -> Marker | None:
    try:
        return marker.read(target.files, root)
    except CatalogError as error:
        if target.adopt:
            return None
        raise StoreError(f"{error.message}. If it is this store's warehouse, {_ADOPT}") from error


def _add_files(source: Path, made: Manifest, files: FileIO, progress: Progress) -> list[str]:
    """Write the missing files; return the existing ones that differ."""

    def add(copy: Copy) -> bool:
        return files.create(copy.location, (source / copy.path).read_bytes())

    with ThreadPoolExecutor(durable_files.SYNCS_AT_ONCE) as pool:
        added = list(pool.map(add, made.files))
    differing = []
    for copy in (copy for copy, is_new in zip(made.files, added, strict=True) if not is_new):
        content = b""
        with contextlib.suppress(NotFoundError):  # a folder, or a dangling link
            content = files.read(copy.location)
        if hashlib.sha256(content).hexdigest() != copy.sha256:
            differing.append(copy.location)
    if any(added):
        progress(f"{sum(added)} of {len(added)} metadata files were missing and are restored")
    else:
        progress("all metadata files were in place")
    return differing


def _mark(target: Target, unmarked: dict[str, str]) -> None:
    """Write the markers of the warehouses."""
    own = _store_id(target.settings.store.path)
    for name, root in unmarked.items():
        try:
            marker.write(target.files, root, Marker(str(own), name))
        except CatalogError as error:
            raise StoreError(
                f"the catalog is restored, but not the marker of the warehouse {name}:"
                f" {error.message}. Start the server once with --adopt-warehouse"
            ) from error
