"""Back up a catalog while it is served: its database, and the metadata files it points at.

The copy is a snapshot of one moment. If a commit deletes a metadata file before it is copied, the
backup takes a later snapshot, of which only new files must be copied. After several attempts it
blocks commits while it copies those.
"""

import contextlib
import hashlib
import os
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from falcon_catalog import __version__, durable_files
from falcon_catalog.backup.manifest import DATABASE, FILES, NAME, OBJECTS, Copy, Manifest
from falcon_catalog.catalog.metadata_files import read
from falcon_catalog.doctor import storage
from falcon_catalog.doctor.check import Progress
from falcon_catalog.errors import CatalogError, NotFoundError
from falcon_catalog.fileio.base import FileIO
from falcon_catalog.fileio.local import LocalFileIO
from falcon_catalog.locations import MAX_SEGMENT_BYTES, parse
from falcon_catalog.settings import Settings
from falcon_catalog.store import survey
from falcon_catalog.store.database import StoreError, Transaction
from falcon_catalog.store.sqlite import read_only
from falcon_catalog.store.sqlite.connection import SqliteDatabase
from falcon_catalog.store.sqlite.transaction import SqliteTransaction

_MOMENTS = 5
_REPORT_EVERY = 1000


def backup(
    settings: Settings,
    destination: Path,
    files: FileIO,
    progress: Progress,
    *,
    older: bool = False,
) -> Manifest:
    """Back up a store into the new folder ``destination``; with ``older``, of an older version.

    The folder appears only once it is complete, verified and durable.

    Raises:
        StoreError: the destination exists, the store or the backup is damaged, or a warehouse with
            tables is not available.
        OSError: a file cannot be read or written.
    """
    path, destination = settings.store.path, destination.absolute()
    if os.path.lexists(destination):
        raise StoreError(f"{destination} already exists; a backup never overwrites anything")
    with read_only.connect(path, older=older) as tx:
        every = survey.all_pointers(tx)
        for one in storage.missing(files, tx, settings):
            if any(one.holds(pointer) for pointer in every):
                raise StoreError(f"no backup is made: {one}")
    destination.parent.mkdir(parents=True, exist_ok=True)
    prefix = f".{destination.name}.partial-"
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=destination.parent))
    try:
        manifest = _copy(path, _Copies(path, folder, files, progress), older=older)
        progress("verifying")
        verify(folder, manifest, older=older)
        durable_files.write_private(folder / NAME, manifest.text())
        durable_files.sync_tree(folder)
        folder.rename(destination)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    durable_files.sync_entries(destination)
    return manifest


def verify(folder: Path, manifest: Manifest, *, older: bool = False) -> None:
    """Read a backup completely and compare it with its manifest.

    With ``older`` its database may have the schema of an older version.

    Raises:
        StoreError: the backup is damaged; the message says where.
    """
    for copy in (manifest.database, *manifest.files):
        path = folder / copy.path
        if not path.is_file():
            raise StoreError(f"the backup {folder} is damaged: {copy.path} is missing")
        if durable_files.sha256(path) != copy.sha256:
            raise StoreError(f"the backup {folder} is damaged: {copy.path} was changed")
    with read_only.connect(folder / manifest.database.path, immutable=True, older=older) as tx:
        if problems := survey.integrity_problems(tx, 1):
            raise StoreError(f"the database in {folder} is damaged: {problems[0]}")
        # One of an older version does not have all tables.
        if (rows := survey.counts(tx, manifest.rows)) != manifest.rows:
            raise StoreError(f"the database in {folder} has {rows}, not {manifest.rows}")
        known = {copy.location for copy in manifest.files} | set(manifest.unreadable)
        if strange := set(_metadata_locations(tx)) - known:
            raise StoreError(f"the backup {folder} lacks metadata files: {min(strange)}")


def _copy(path: Path, copies: "_Copies", *, older: bool) -> Manifest:
    for _ in range(_MOMENTS):
        with read_only.snapshot(path, older=older) as tx:
            if copies.add(tx):
                return copies.conclude(tx)
        copies.progress("metadata files were deleted meanwhile; going on from a later moment")
    with contextlib.closing(SqliteDatabase(path)) as database, contextlib.ExitStack() as stack:
        with database.write():
            # Without commits no metadata file is deleted.
            tx = stack.enter_context(read_only.snapshot(path, older=older))
            copies.add(tx)
        return copies.conclude(tx)


@dataclass(slots=True)
class _Copies:
    """The metadata files copied so far into a new backup."""

    store: Path
    folder: Path
    files: FileIO
    progress: Progress
    copied: dict[str, Copy | None] = field(default_factory=dict)
    """By location; None for a file that exists but cannot be read."""
    own: LocalFileIO = field(default_factory=LocalFileIO)
    """Reads the copies: one for all, because each has threads of its own."""

    def add(self, tx: Transaction) -> bool:
        """Copy the files that a snapshot points at; return False if some no longer exist."""
        wanted = [location for location in _metadata_locations(tx) if location not in self.copied]
        complete = True
        for number, location in enumerate(wanted, 1):
            try:
                self.copied[location] = self._copy(location)
            except NotFoundError:
                complete = False
            except CatalogError:
                self.copied[location] = None
            if number % _REPORT_EVERY == 0:
                self.progress(f"{number} of {len(wanted)} metadata files copied")
        return complete

    def _copy(self, location: str) -> Copy:
        """Copy a metadata file; raise CatalogError if it is missing or damaged."""
        content = self.files.read(location)
        path = _path(location)
        target = self.folder / path
        if not target.exists():  # one path may have several spellings
            target.parent.mkdir(parents=True, exist_ok=True)
            durable_files.write_private(target, content)
        read(self.own, str(target))
        return Copy(location, path, len(content), hashlib.sha256(content).hexdigest())

    def conclude(self, tx: SqliteTransaction) -> Manifest:
        """Copy the database of a snapshot, and delete files copied for earlier snapshots."""
        database = self.folder / DATABASE
        durable_files.write_private(database, b"")
        read_only.copy(tx, database, self.progress)
        wanted = _metadata_locations(tx)
        kept = [copy for location in wanted if (copy := self.copied.get(location)) is not None]
        paths = {copy.path for copy in kept}
        for file in list((self.folder / FILES).rglob("*")):
            if file.is_file() and str(file.relative_to(self.folder)) not in paths:
                file.unlink()
        return Manifest(
            version=__version__,
            moment=tx.now,
            database=Copy(
                f"file://{self.store.absolute()}",
                DATABASE,
                database.stat().st_size,
                durable_files.sha256(database),
            ),
            rows=survey.counts(tx, read_only.tables(tx)),
            files=tuple(kept),
            unreadable=tuple(sorted(each for each in wanted if not self.copied.get(each))),
        )


def _path(location: str) -> str:
    """Return the path of a copy in a backup: ``files/PATH`` or ``objects/SCHEME/BUCKET/KEY``."""
    place = parse(location)
    if place.scheme == "file":
        return f"{FILES}{place.path}"
    folder = f"{OBJECTS}/{place.scheme}/{place.authority}"
    if any(len(segment.encode()) > MAX_SEGMENT_BYTES for segment in place.path.split("/")):
        return f"{folder}/{hashlib.sha256(place.path.encode()).hexdigest()}"  # no name of a file
    return f"{folder}/{place.path}"


def _metadata_locations(tx: Transaction) -> list[str]:
    """Return the metadata locations of all rows except those being purged."""
    every = survey.all_pointers(tx)
    return list(dict.fromkeys(each.metadata_location for each in every if not each.purging))
