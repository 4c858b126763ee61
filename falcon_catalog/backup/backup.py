"""Copy a catalog while it is served: its database, and the metadata files that it points at.

All is of one moment. A table that is committed to meanwhile may lose the metadata file of that
moment, if it deletes old ones: then a later moment is taken, of which only what is new must be
copied. At last commits wait, for as long as it takes to copy that.
"""

import contextlib
import hashlib
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from falcon_catalog import __version__
from falcon_catalog.backup import copies, manifest
from falcon_catalog.backup.manifest import Copy, Manifest
from falcon_catalog.catalog import metadata_files as files
from falcon_catalog.doctor import storage
from falcon_catalog.errors import CatalogError, NotFoundError
from falcon_catalog.fileio.local import LocalFileIO
from falcon_catalog.locations import local_path
from falcon_catalog.settings import Settings
from falcon_catalog.store import read_only, survey
from falcon_catalog.store.database import Database, StoreError, Transaction

_MOMENTS = 5
_PAGES = 4096
_TELL_EVERY = 1000

Tell = Callable[[str], None]


@dataclass(slots=True)
class _Copied:
    """The metadata files in the backup so far, by location; None: not readable."""

    store: Path
    folder: Path
    tell: Tell
    files: dict[str, Copy | None] = field(default_factory=dict)


def backup(path: Path, destination: Path, settings: Settings, tell: Tell) -> Manifest:
    """Back the store at ``path`` up into the new folder ``destination``.

    The folder appears only once it is whole, verified and durable.

    Raises:
        StoreError: there is something at the destination, the store or the backup is damaged, or
            a warehouse with tables is not there.
        OSError: a file cannot be read or written.
    """
    destination = destination.absolute()
    if os.path.lexists(destination):
        raise StoreError(f"{destination} is there already; a backup never overwrites anything")
    _require_warehouses(path, settings)
    destination.parent.mkdir(parents=True, exist_ok=True)
    with _torso(destination) as folder:
        made = _fill(path, folder, tell)
        tell("verifying")
        verify(folder, made)
        copies.write_private(folder / manifest.NAME, made.text())
        copies.sync_tree(folder)
        folder.rename(destination)
    copies.sync_entries([destination])
    return made


def _require_warehouses(path: Path, settings: Settings) -> None:
    """Refuse a backup that would lack every metadata file of a warehouse."""
    with read_only.look(path) as tx:
        every = [*survey.pointers(tx, "living"), *survey.pointers(tx, "dropped")]
        for one in storage.missing(tx, settings):
            if any(one.holds(pointer) for pointer in every):
                raise StoreError(f"no backup is made: {one}")


def verify(folder: Path, told: Manifest, *, older: bool = False) -> None:
    """Read the whole backup back, and compare it with its manifest.

    Args:
        folder: the backup.
        told: its manifest.
        older: whether the schema of its database may be an older version's.

    Raises:
        StoreError: it is damaged; the message says where.
    """
    for copy in (told.database, *told.files):
        path = folder / copy.path
        if not path.is_file():
            raise StoreError(f"the backup {folder} is damaged: {copy.path} is missing")
        if copies.digest(path) != copy.sha256:
            raise StoreError(f"the backup {folder} is damaged: {copy.path} was changed")
    with read_only.look(folder / told.database.path, immutable=True, older=older) as tx:
        (result,) = tx.connection.execute("PRAGMA integrity_check(1)").fetchone()
        if result != "ok":
            raise StoreError(f"the database in {folder} is damaged: {result}")
        if (rows := survey.counts(tx)) != told.rows:
            raise StoreError(f"the database in {folder} has {rows}, not {told.rows}")
        known = {copy.location for copy in told.files} | set(told.unreadable)
        if strange := set(_pointed_at(tx)) - known:
            raise StoreError(f"the backup {folder} lacks metadata files: {min(strange)}")


@contextlib.contextmanager
def _torso(destination: Path) -> Iterator[Path]:
    """Make a folder beside the destination; remove what is still there at the end."""
    folder = tempfile.mkdtemp(prefix=f".{destination.name}.partial-", dir=destination.parent)
    try:
        yield Path(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _fill(path: Path, folder: Path, tell: Tell) -> Manifest:
    copied = _Copied(path, folder, tell)
    for _ in range(_MOMENTS):
        with read_only.one_moment(path) as tx:
            if _copy_files(tx, copied):
                return _conclude(tx, copied)
        tell("metadata files were deleted meanwhile; going on from a later moment")
    database = Database(path)
    with contextlib.closing(database), contextlib.ExitStack() as stack:
        with database.write():
            # Nobody commits now, so nobody deletes what rows point at.
            tx = stack.enter_context(read_only.one_moment(path))
            if not _copy_files(tx, copied):
                _note_unreadable(tx, copied)
        return _conclude(tx, copied)


def _copy_files(tx: Transaction, copied: _Copied) -> bool:
    """Copy what the moment points at and is not copied yet; return whether all was there."""
    wanted = [location for location in _pointed_at(tx) if location not in copied.files]
    complete = True
    for number, location in enumerate(wanted, 1):
        try:
            copied.files[location] = _copy_file(copied.folder, location)
        except NotFoundError:
            complete = False
        except CatalogError:
            copied.files[location] = None
        if number % _TELL_EVERY == 0:
            copied.tell(f"{number} of {len(wanted)} metadata files copied")
    return complete


def _pointed_at(tx: Transaction) -> list[str]:
    """Return what rows point at, but for tables whose files are being deleted."""
    pointers = [*survey.pointers(tx, "living"), *survey.pointers(tx, "dropped")]
    return list(dict.fromkeys(p.metadata_location for p in pointers if not p.purging))


def _note_unreadable(tx: Transaction, copied: _Copied) -> None:
    for location in _pointed_at(tx):
        copied.files.setdefault(location, None)


def _copy_file(folder: Path, location: str) -> Copy:
    """Copy one metadata file, if it is one that can be read.

    Raises:
        NotFoundError: it is not there.
        CatalogError: it is damaged.
    """
    content = LocalFileIO().read(location)
    path = f"{manifest.FILES}{local_path(location)}"
    target = folder / path
    if not target.exists():  # two ways to write one place
        target.parent.mkdir(parents=True, exist_ok=True)
        copies.write_private(target, content)
    files.read(LocalFileIO(), str(target))
    return Copy(location, path, len(content), hashlib.sha256(content).hexdigest())


def _conclude(tx: Transaction, copied: _Copied) -> Manifest:
    """Copy the database of this moment, and let go of files of earlier ones."""
    database = copied.folder / manifest.DATABASE
    _copy_database(tx.connection, database, copied.tell)
    wanted = _pointed_at(tx)
    kept = [copy for location in wanted if (copy := copied.files[location]) is not None]
    paths = {copy.path for copy in kept}
    for folder, _, names in os.walk(copied.folder / manifest.FILES):
        for file in (Path(folder) / name for name in names):
            if str(file.relative_to(copied.folder)) not in paths:
                file.unlink()
    return Manifest(
        version=__version__,
        moment=tx.now,
        database=Copy(
            f"file://{copied.store.absolute()}",
            manifest.DATABASE,
            database.stat().st_size,
            copies.digest(database),
        ),
        rows=survey.counts(tx),
        files=tuple(kept),
        unreadable=tuple(sorted(location for location in wanted if not copied.files[location])),
    )


def _copy_database(source: sqlite3.Connection, path: Path, tell: Tell) -> None:
    copies.write_private(path, b"")

    def progress(_status: int, remaining: int, total: int) -> None:
        tell(f"{total - remaining} of {total} pages of the database copied")

    with contextlib.closing(sqlite3.connect(path)) as target:
        source.backup(target, pages=_PAGES, progress=progress)
