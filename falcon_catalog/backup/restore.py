"""Restore a backup: its whole database, and the metadata files that are missing."""

import contextlib
import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from falcon_catalog import durable_files
from falcon_catalog.backup import manifest, replacement
from falcon_catalog.backup.backup import verify
from falcon_catalog.backup.manifest import Copy, Manifest
from falcon_catalog.catalog import marker
from falcon_catalog.catalog.marker import Marker
from falcon_catalog.doctor.check import Progress
from falcon_catalog.errors import CatalogError, NotFoundError
from falcon_catalog.fileio.base import FileIO
from falcon_catalog.locations import is_inside, key, key_or_none
from falcon_catalog.settings import Settings
from falcon_catalog.store import survey, warehouses
from falcon_catalog.store.database import StoreError
from falcon_catalog.store.sqlite import locks, read_only
from falcon_catalog.store.sqlite.migrate import migrated

_SHORTEST_DELAY_MS = 7 * 24 * 60 * 60 * 1000
_ADOPT = "restore with --adopt-warehouse to take the folder as it is"


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore did."""

    manifest: Manifest
    differing: tuple[str, ...]
    """Metadata files that are there with another content, and were left alone."""
    aside: Path | None
    """Where the store that was there before is now."""
    postponed: int
    """Purges that were postponed."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a backup goes to."""

    path: Path
    """The database."""
    settings: Settings
    files: FileIO
    replace: bool = False
    """Whether a store that is there may be put aside."""
    adopt: bool = False
    """Whether the warehouses are this store's whatever their folders hold, or lack."""


def restore(source: Path, target: Target, progress: Progress) -> Restored:
    """Put the backup in the folder ``source`` in the place of the store.

    Raises:
        StoreError: the backup is damaged, a server runs on the store, there is a store and
            ``replace`` is false, or a warehouse seems not to be mounted. Nothing was changed.
        OSError, CatalogError: a file could not be read or written; the store was not replaced, or
            nobody can work on it until a restore has ended.
    """
    progress("verifying the backup")
    made = manifest.read(source)
    verify(source, made, older=True)
    _check_locations(made, target)
    target.path.parent.mkdir(parents=True, exist_ok=True)
    with locks.exclusive(target.path):
        earlier = replacement.conclude(target.path)
        if replacement.is_there(target.path) and not target.replace:
            raise StoreError(
                f"there is a store at {target.path}; --replace puts it aside, and deletes nothing"
            )
        store_id, unmarked = _check_warehouses(
            made,
            target,
            backed_up=_store_id(source / made.database.path),
            replaced=_store_id(earlier / target.path.name if earlier else target.path),
        )
        content = (source / made.database.path).read_bytes()
        with replacement.successor(target.path, content) as new:
            differing = _add_files(source, made, target.files, progress)
            # No purge may begin soon: what is dropped in the backup may have been restored since.
            retention_ms = target.settings.warehouse.drop_retention * 1000
            until = read_only.now_ms() + max(retention_ms, _SHORTEST_DELAY_MS)
            with migrated(new) as tx:
                postponed = survey.postpone_purges(tx, until=until)
                if store_id is not None:
                    warehouses.set_store_id(tx, store_id)
                for name, root in unmarked.items():
                    warehouses.mark(tx, name, key(root))
            durable_files.sync_file(new)
            aside = replacement.replace(target.path)
        _mark(target, unmarked)
    return Restored(made, tuple(differing), aside or earlier, postponed)


def _check_locations(made: Manifest, target: Target) -> None:
    """Check that nothing is written where this catalog has no business."""
    settings = target.settings.warehouse
    roots = (*settings.roots.values(), *settings.allowed_locations)
    for copy in made.files:
        own = key_or_none(copy.location)
        if own is None or not own.startswith(tuple(map(key, roots))):
            raise StoreError(
                f"{copy.location} is outside the locations of the settings: {', '.join(roots)};"
                " restore with the settings of the catalog that was backed up"
            )


def _store_id(path: Path) -> str | None:
    """Return the id of the store at ``path``; None if it has none, is damaged or not there."""
    with contextlib.suppress(StoreError), read_only.connect(path, older=True) as tx:
        return warehouses.store_id(tx)
    return None


def _check_warehouses(
    made: Manifest, target: Target, *, backed_up: str | None, replaced: str | None
) -> tuple[str | None, dict[str, str]]:
    """Decide which warehouses need a marker; nothing is changed.

    ``backed_up`` and ``replaced`` are the ids of the store in the backup, which one of an older
    version has not, and of the store that makes room. Returns the id that the restored store must
    be given, None for its own, and the location of each warehouse, by name, to be marked.

    Raises:
        StoreError: a warehouse seems not to be mounted, or is another store's.
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
            taken = found.store  # an older version's backup has no id: it is that of the marker
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
    """Restore the files that are missing; return those that differ."""

    def add(copy: Copy) -> bool:
        return files.create(copy.location, (source / copy.path).read_bytes())

    with ThreadPoolExecutor(durable_files.SYNCS_AT_ONCE) as pool:
        added = list(pool.map(add, made.files))
    differing = []
    for copy in (copy for copy, is_new in zip(made.files, added, strict=True) if not is_new):
        content = b""
        with contextlib.suppress(NotFoundError):  # a folder, or a link that leads nowhere
            content = files.read(copy.location)
        if hashlib.sha256(content).hexdigest() != copy.sha256:
            differing.append(copy.location)
    if any(added):
        progress(f"{sum(added)} of {len(added)} metadata files were missing and are restored")
    else:
        progress("all metadata files were in place")
    return differing


def _mark(target: Target, unmarked: dict[str, str]) -> None:
    """Write the markers of warehouses for the restored store."""
    own = _store_id(target.path)
    for name, root in unmarked.items():
        try:
            marker.write(target.files, root, Marker(str(own), name))
        except CatalogError as error:
            raise StoreError(
                f"the catalog is restored, but not the marker of the warehouse {name}:"
                f" {error.message}. Start the server once with --adopt-warehouse"
            ) from error
