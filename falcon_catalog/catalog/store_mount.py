"""Whether a warehouse's object store is there, and file access that depends on it.

It is not there if it does not answer, or if the bucket is another one than before. Local warehouses
are looked at each time they are used (``mount``); a look at an object store is a request.
"""

import contextlib
import threading
import time
from collections.abc import Collection, Hashable, Iterable, Iterator, Sequence
from typing import Self

from falcon_catalog.catalog.mount import (
    Condition,
    Mount,
    MountedFiles,
    Root,
    WarehouseFiles,
    unavailable,
)
from falcon_catalog.errors import (
    CatalogError,
    NotFoundError,
    ServiceUnavailableError,
    WarehouseUnavailableError,
)
from falcon_catalog.fileio.base import Entry, FileIO
from falcon_catalog.locations import is_local
from falcon_catalog.store.database import Database

# For so long an object store counts as there, or not, without another request to it. What it does
# not answer is noticed where it is used.
_PRESENT_SECONDS = 30.0
_ABSENT_SECONDS = 2.0
# Without an answer for so long, an object store is not there for all but the one that waits for it.
_PATIENCE_SECONDS = 2.0


class StoreMount(Mount):
    """The object store of one warehouse. Safe to use from many threads.

    It is asked at the start, after failures and after a while, never for each commit or load, and
    by one thread at a time: while it does not answer, others hear what was found out last.
    """

    def __init__(self, files: FileIO, database: Database, root: Root) -> None:
        super().__init__(files, database, root)
        self._until = 0.0
        self._asking = threading.Lock()
        self._asked_at: float | None = None

    @property
    def last_absence(self) -> str:
        """Why the warehouse cannot be used, or nothing, as far as is known; nothing is asked."""
        asked_at = self._asked_at
        if not self._why and asked_at and time.monotonic() > asked_at + _PATIENCE_SECONDS:
            return f"The {self.root} is not available: its store has not answered yet"
        return self._why

    def examine(self, *, adopt: bool = False) -> Condition:
        """Return what is at the root now, and remember it for a while."""
        found = super().examine(adopt=adopt)
        self._note(found)
        seconds = _PRESENT_SECONDS if found.is_there else _ABSENT_SECONDS
        self._until = time.monotonic() + seconds
        return found

    def suspect(self) -> None:
        """Ask the store again before the next use: it has just failed."""
        self._until = 0.0

    def absence(self) -> str:
        """Return why the warehouse cannot be used, or nothing; log when that changes."""
        if time.monotonic() < self._until or not self._asking.acquire(blocking=False):
            return self.last_absence
        try:
            self._asked_at = time.monotonic()
            self.examine()
            return self._why
        finally:
            self._asked_at = None
            self._asking.release()


class StoreFiles:
    """WarehouseFiles in an object store.

    Nothing is asked of a store that is known not to answer: its requests would keep the threads
    that serve other warehouses waiting.
    """

    def __init__(self, storage: FileIO, mount: StoreMount) -> None:
        self.storage = storage
        self._mount = mount

    @contextlib.contextmanager
    def _asking(self) -> Iterator[None]:
        self._mount.require()
        try:
            yield
        except NotFoundError:
            self._mount.suspect()
            self._mount.require()  # of another bucket, every file would be missing
            raise
        except ServiceUnavailableError:
            self._mount.suspect()
            raise

    def within(self, roots: Iterable[str]) -> Self:
        """Return access to what lies in these locations."""
        return type(self)(self.storage.within(roots), self._mount)

    def admission(self) -> contextlib.AbstractContextManager[object]:
        """Return a context in which this thread counts as one of the store's callers."""
        return self.storage.admission()

    def read(self, location: str) -> bytes:
        """Return the content of a file."""
        with self._asking():
            return self.storage.read(location)

    def read_part(self, location: str, offset: int, length: int) -> bytes:
        """Return a part of a file."""
        with self._asking():
            return self.storage.read_part(location, offset, length)

    def exists(self, location: str) -> bool:
        """Return whether there is such a file."""
        with self._asking():
            if self.storage.exists(location):
                return True
            self._mount.suspect()
        self._mount.require()
        return False

    def is_still_there(self, _location: str) -> bool:
        """Return that a file that was read before is there; the store is not asked."""
        return True

    def size(self, location: str) -> int:
        """Return the bytes of a file."""
        with self._asking():
            return self.storage.size(location)

    def version(self, location: str) -> Hashable:
        """Return what changes when a file is replaced."""
        with self._asking():
            return self.storage.version(location)

    def list(self, location: str) -> Iterator[Entry]:
        """Yield what lies directly in a folder."""
        with self._asking():
            yield from self.storage.list(location)

    def write(self, location: str, *pieces: bytes, make_folder: bool = True) -> None:
        """Create a file, durable on return."""
        with self._asking():
            self.storage.write(location, *pieces, make_folder=make_folder)

    def create(self, location: str, content: bytes) -> bool:
        """Create a file, whole or not at all, unless there is one."""
        with self._asking():
            return self.storage.create(location, content)

    def replace(self, location: str, content: bytes) -> None:
        """Create a file, or take the place of one, whole or not at all."""
        with self._asking():
            self.storage.replace(location, content)

    def delete(self, location: str) -> None:
        """Delete a file; one that is not there is no error."""
        with self._asking():
            self.storage.delete(location)

    def delete_all(self, locations: Sequence[str]) -> dict[str, CatalogError]:
        """Delete files; return those that could not be deleted, and why."""
        with self._asking():
            return self.storage.delete_all(locations)

    def resolve(self, location: str) -> str:
        """Return the key of a location: there are no links."""
        return self.storage.resolve(location)

    def prepare_table(self, location: str, *, staged: bool = False) -> None:
        """Make what engines expect to find at a table's location before they write."""
        with self._asking():
            self.storage.prepare_table(location, staged=staged)

    def abandon_table(self, location: str) -> None:
        """Count on nothing that ``prepare_table`` made."""
        self.storage.abandon_table(location)

    def remove_empty_folders(self, location: str) -> bool:
        """Remove what is at a location as far as there is no file in it."""
        with self._asking():
            return self.storage.remove_empty_folders(location)


def mount_of(files: FileIO, database: Database, root: Root) -> Mount:
    """Return what says whether the storage of a warehouse is there."""
    return (Mount if is_local(root.location) else StoreMount)(files, database, root)


def files_of(storage: FileIO, mount: Mount) -> WarehouseFiles:
    """Return access to the files of a warehouse, which are confined already."""
    if isinstance(mount, StoreMount):
        return StoreFiles(storage, mount)
    return MountedFiles(storage, mount)


def require_serving(mounts: Collection[Mount]) -> list[str]:
    """Return why warehouses in object stores cannot be used; the server serves without them.

    It takes a few seconds at most, however many stores do not answer.

    Raises:
        WarehouseUnavailableError: a local warehouse is not there, or none at all is.
    """
    stores = [mount for mount in mounts if isinstance(mount, StoreMount)]
    missing = unavailable([mount for mount in mounts if mount not in stores])
    asking = [threading.Thread(target=each.absence, name="ready", daemon=True) for each in stores]
    # One that is known not to answer is only asked, not waited for.
    is_news = any(not store.last_absence for store in stores)
    until = time.monotonic() + (_PATIENCE_SECONDS if is_news else _ABSENT_SECONDS / 10)
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join(max(0, until - time.monotonic()))
    lacking = [why for store in stores if (why := store.last_absence)]
    if missing or (lacking and len(lacking) == len(mounts)):
        raise WarehouseUnavailableError("; ".join([*missing, *lacking]))
    return lacking
