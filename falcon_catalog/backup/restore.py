"""Put a backup back: its database whole, and the metadata files that are missing."""

import contextlib
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from falcon_catalog.backup import claims, copies, manifest, replacement
from falcon_catalog.backup.backup import Tell, verify
from falcon_catalog.backup.manifest import Copy, Manifest
from falcon_catalog.errors import CatalogError
from falcon_catalog.locations import is_inside, key, local_path
from falcon_catalog.store import locks, read_only, survey, warehouses
from falcon_catalog.store.database import StoreError, Transaction
from falcon_catalog.store.migrate import migrate

_SHORTEST_RESPITE_MS = 7 * 24 * 60 * 60 * 1000


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore did."""

    manifest: Manifest
    added: int
    """Metadata files that were missing."""
    differing: tuple[str, ...]
    """Metadata files that are there with another content, and were left alone."""
    aside: Path | None
    """Where the store that was there before is now."""
    postponed: int
    """Purges that were put off."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a backup goes to."""

    path: Path
    """The database."""
    warehouses: dict[str, str]
    """The location of each warehouse, by name."""
    roots: tuple[str, ...]
    """The locations that metadata files may be put back to."""
    retention_ms: int
    """For how long no purge may begin, if that is longer than a week."""
    replace: bool = False
    adopt: bool = False
    """Whether the warehouses are this store's whatever their folders hold, or lack."""


def restore(source: Path, target: Target, tell: Tell) -> Restored:
    """Put the backup in the folder ``source`` in the place of the store.

    Raises:
        StoreError: the backup is damaged, a server runs on the store, there is a store and
            ``replace`` is false, or a warehouse seems not to be mounted. Nothing was changed.
        OSError: a file could not be read or written; the store was not replaced, or nobody
            can work on it until a restore has ended.
    """
    tell("verifying the backup")
    told = manifest.read(source)
    verify(source, told, older=True)
    _check_locations(told, target)
    target.path.parent.mkdir(parents=True, exist_ok=True)
    with locks.exclusive(target.path):
        earlier = replacement.conclude(target.path)
        if replacement.is_there(target.path) and not target.replace:
            raise StoreError(
                f"there is a store at {target.path}; --replace puts it aside, and deletes nothing"
            )
        store_id, unmarked = claims.judge(
            told,
            target.warehouses,
            backed_up=claims.store_id(source / told.database.path),
            replaced=claims.store_id(earlier / target.path.name if earlier else target.path),
            adopt=target.adopt,
        )
        content = (source / told.database.path).read_bytes()
        with replacement.successor(target.path, content) as new:
            added, differing = _add_files(source, told, tell)
            postponed = _complete(new, target, store_id, unmarked)
            aside = replacement.replace(target.path)
        claims.mark(target.path, unmarked)
    return Restored(told, added, tuple(differing), aside or earlier, postponed)


def _check_locations(told: Manifest, target: Target) -> None:
    """See that nothing is written where this catalog has no business."""
    for copy in told.files:
        inside = False
        with contextlib.suppress(CatalogError):
            inside = any(is_inside(copy.location, root) for root in target.roots)
        if not inside:
            raise StoreError(
                f"{copy.location} is outside the locations of the settings: "
                f"{', '.join(target.roots)}; restore with the settings of the catalog that was "
                "backed up"
            )


def _add_files(source: Path, told: Manifest, tell: Tell) -> tuple[int, list[str]]:
    """Put back the files that are missing; return how many, and those that differ."""

    def add(copy: Copy) -> bool:
        path = Path(local_path(copy.location))
        return copies.add_file(path, (source / copy.path).read_bytes())

    with ThreadPoolExecutor(copies.SYNCS_INLINE) as pool:
        added = list(pool.map(add, told.files))
    # Of those that were there, too: an earlier restore may have been interrupted.
    copies.sync_entries(Path(local_path(copy.location)) for copy in told.files)
    differing = [
        copy.location
        for copy, is_new in zip(told.files, added, strict=True)
        if not (is_new or _is_same(Path(local_path(copy.location)), copy))
    ]
    tell(f"{sum(added)} of {len(added)} metadata files were missing, and are back")
    return sum(added), differing


def _is_same(path: Path, copy: Copy) -> bool:
    return path.is_file() and copies.digest(path) == copy.sha256


def _complete(path: Path, target: Target, store_id: str | None, unmarked: dict[str, str]) -> int:
    """Bring the restored database up to date, before it takes its place.

    No purge may begin soon: what is dropped in the backup may have come back since. Returns how
    many were put off.
    """
    until = read_only.now_ms() + max(target.retention_ms, _SHORTEST_RESPITE_MS)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        # Without a log beside it, the file alone is the database, and can be renamed.
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("PRAGMA synchronous = FULL")
        migrate(connection)
        connection.execute("BEGIN IMMEDIATE")
        tx = Transaction(connection, read_only.now_ms())
        postponed = survey.postpone_purges(tx, until=until)
        if store_id is not None:
            warehouses.set_store_id(tx, store_id)
        for name, root in unmarked.items():
            warehouses.mark(tx, name, key(root))
        connection.execute("COMMIT")
        connection.execute("PRAGMA journal_mode = WAL")
    copies.sync(path)
    return postponed
