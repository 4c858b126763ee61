"""Put a backup back: its database whole, and the metadata files that are missing."""

import contextlib
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from falcon_catalog.care import copies, looking, manifest, replacing
from falcon_catalog.care.backup import Tell, verify
from falcon_catalog.care.manifest import Copy, Manifest
from falcon_catalog.errors import CatalogError
from falcon_catalog.locations import is_inside, local_path
from falcon_catalog.store import survey, tenancy
from falcon_catalog.store.database import StoreError, Transaction

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
    roots: tuple[str, ...]
    """The locations that metadata files may be put back to."""
    retention_ms: int
    """For how long no purge may begin, if that is longer than a week."""
    replace: bool = False


def restore(source: Path, target: Target, tell: Tell) -> Restored:
    """Put the backup in the folder ``source`` in the place of the store.

    Raises:
        StoreError: the backup is damaged, a server runs on the store, or there is a store and
            ``replace`` is false. Nothing was changed.
        OSError: a file could not be read or written; the store was not replaced, or nobody
            can work on it until a restore has ended.
    """
    tell("verifying the backup")
    told = manifest.read(source)
    verify(source, told)
    _check_locations(told, target)
    target.path.parent.mkdir(parents=True, exist_ok=True)
    with tenancy.alone(target.path):
        earlier = replacing.conclude(target.path)
        if replacing.is_there(target.path) and not target.replace:
            raise StoreError(
                f"there is a store at {target.path}; --replace puts it aside, and deletes nothing"
            )
        content = (source / told.database.path).read_bytes()
        with replacing.successor(target.path, content) as new:
            added, differing = _add_files(source, told, tell)
            postponed = _give_respite(new, target.retention_ms)
            aside = replacing.replace(target.path)
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

    with ThreadPoolExecutor(copies.SYNCS_AT_ONCE) as pool:
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


def _give_respite(path: Path, retention_ms: int) -> int:
    """Let no purge begin soon: what is dropped in the backup may have come back since."""
    until = looking.now_ms() + max(retention_ms, _SHORTEST_RESPITE_MS)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        # Without a log beside it, the file alone is the database, and can be renamed.
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("BEGIN IMMEDIATE")
        postponed = survey.postpone_purges(Transaction(connection, looking.now_ms()), until=until)
        connection.execute("COMMIT")
        connection.execute("PRAGMA journal_mode = WAL")
    copies.sync(path)
    return postponed
