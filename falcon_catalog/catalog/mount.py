"""Whether a warehouse's storage is there, and file access that depends on it.

A mount point without its file system is an empty folder. Taken for the warehouse, every table in
it would be missing, new ones would be written underneath, and purges would find nothing to delete.
Object stores: ``store_mount``.
"""

import contextlib
import logging
import threading
from collections.abc import Collection, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, Self

from falcon_catalog.catalog import marker
from falcon_catalog.catalog.marker import Marker
from falcon_catalog.errors import (
    CatalogError,
    NotFoundError,
    WarehouseUnavailableError,
)
from falcon_catalog.fileio.base import Entry, FileIO, is_empty
from falcon_catalog.locations import is_local, key, key_or_none
from falcon_catalog.store import warehouses
from falcon_catalog.store.database import Database, StoreError, Transaction

State = Literal["present", "unmarked", "absent", "refused"]

# So many metadata files are looked for before a warehouse without a marker counts as absent.
_MOST_LOOKED_FOR = 100
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Root:
    """The name and location of a warehouse, as the settings name them."""

    name: str
    location: str
    others: frozenset[str] = frozenset()
    """The warehouses that lie elsewhere: a marker of one of them does not belong here."""

    def __str__(self) -> str:
        return f"warehouse {self.name} ({self.location})"


def roots_of(roots: dict[str, str]) -> list[Root]:
    """Return the warehouses that settings name, from the location of each."""
    return [
        Root(name, location, frozenset(n for n, other in roots.items() if other != location))
        for name, location in roots.items()
    ]


@dataclass(frozen=True, slots=True)
class Condition:
    """What was found at a warehouse's root."""

    state: State
    """``unmarked``: it is there, or new, and its marker is still to be written. ``refused``: it
    holds files of which this store knows nothing, or another store's warehouse."""
    why: str = ""

    @property
    def is_there(self) -> bool:
        """Whether tables may be read and written."""
        return self.state in ("present", "unmarked")


def examine(files: FileIO, tx: Transaction, root: Root, *, adopt: bool = False) -> Condition:
    """Find out whether a warehouse is there; nothing is changed.

    Args:
        files: reads its storage.
        tx: the store; each look is one statement, so that no transaction is needed around it.
        root: of the warehouse.
        adopt: whether the operator says that the folder is this warehouse, whatever it holds.
    """
    try:
        condition = _by_marker(files, tx, root)
        if condition.state != "present" and adopt:
            return _by_tables(files, tx, root, otherwise=Condition("unmarked"))
        if condition.state == "unmarked":
            condition = _by_tables(files, tx, root, otherwise=_new(files, tx, root))
        if condition.state == "refused":
            # Another process that starts on a new folder may have marked it between the two looks.
            marked = _by_marker(files, tx, root)
            return condition if marked.state == "unmarked" else marked
    except CatalogError as error:
        return Condition(
            "absent", f"{marker.location(root.location)} cannot be judged: {error.message}"
        )
    return condition


def _by_marker(files: FileIO, tx: Transaction, root: Root) -> Condition:
    """Judge by the marker; ``unmarked``: there is none, and none was ever written."""
    place, store = marker.location(root.location), warehouses.store_id(tx)
    try:
        found = marker.read(files, root.location)
    except CatalogError as error:
        return Condition("absent", error.message)
    if found is not None and found.store != store:
        return Condition(
            "refused",
            f"{place} says that the folder belongs to another catalog's store, {found.store};"
            f" this one is {store}",
        )
    if found is not None:
        if found.warehouse in root.others:
            return Condition("absent", f"{place} is that of the warehouse {found.warehouse}")
        return Condition("present")
    row = warehouses.find(tx, root.name)
    if row is not None and row.marked_location == key(root.location):
        return Condition("absent", f"its marker file {place} is missing: {_question(root)}")
    return Condition("unmarked")


def _by_tables(files: FileIO, tx: Transaction, root: Root, *, otherwise: Condition) -> Condition:
    """Judge by the metadata files of its tables; ``otherwise`` holds if it has none in its root."""
    row = warehouses.find(tx, root.name)
    found = warehouses.metadata_locations(tx, row.id, _MOST_LOOKED_FOR) if row else []
    root_key = key(root.location)
    known = [each for each in found if (key_or_none(each) or "").startswith(root_key)]
    if not known:
        return otherwise
    if any(map(files.exists, known)):
        return Condition("unmarked")
    return Condition(
        "absent",
        f"none of its tables' metadata files is there, such as {known[0]}: {_question(root)}",
    )


def _question(root: Root) -> str:
    return "is it mounted?" if is_local(root.location) else "is it the right bucket?"


def _new(files: FileIO, tx: Transaction, root: Root) -> Condition:
    row = warehouses.find(tx, root.name)
    if is_empty(files, root.location) or (row is not None and row.predates_markers):
        return Condition("unmarked")
    return Condition("refused", "it holds files, but this store has no table in it")


class Mount:
    """The storage of one warehouse: there, or not. Safe to use from many threads.

    It is looked at whenever it is needed, so that it may come and go while the server runs.
    """

    def __init__(self, files: FileIO, database: Database, root: Root) -> None:
        self.root = root
        self._files = files
        self._database = database
        self._marker = marker.location(root.location)
        self._known: Hashable = None  # the version of the marker that was read and is ours
        self._why = ""
        self._guard = threading.Lock()

    def examine(self, *, adopt: bool = False) -> Condition:
        """Return what is at the root now; as ``examine``."""
        return examine(self._files, self._database.autocommit(), self.root, adopt=adopt)

    def require(self) -> None:
        """Do nothing if the warehouse is there: one look at its marker.

        Raises:
            WarehouseUnavailableError: it is not.
        """
        if why := self.absence():
            raise WarehouseUnavailableError(f"{why}. Nothing was changed")

    def absence(self) -> str:
        """Return why the warehouse cannot be used, or nothing; log when that changes."""
        with contextlib.suppress(CatalogError):
            if self._known is not None and self._files.version(self._marker) == self._known:
                return ""
        version: Hashable = None
        with contextlib.suppress(CatalogError):
            version = self._files.version(self._marker)
        found = self.examine()
        with self._guard:
            self._known = version if found.state == "present" else None
            return self._note(found)

    def _note(self, found: Condition) -> str:
        why = "" if found.is_there else f"The {self.root} is not available: {found.why}"
        if why and not self._why:
            _log.error("%s", why)
        elif self._why and not why:
            _log.warning("the %s is available again", self.root)
        self._why = why
        return why

    def mark(self, *, adopt: bool = False) -> None:
        """Write the marker if ``examine`` says that it is still to be written; remember that.

        Raises:
            ServiceUnavailableError: it cannot be written.
            StoreError: another store has just taken the place.
        """
        name, root = self.root.name, self.root.location
        found = self.examine(adopt=adopt)
        if not found.is_there:
            return
        if found.state == "unmarked":
            own = Marker(warehouses.store_id(self._database.autocommit()), name)
            if adopt:
                marker.write(self._files, root, own)
            elif not marker.create(self._files, root, own):  # another process was faster
                found = self.examine()
                if found.state == "refused":
                    raise StoreError(f"cannot use the {self.root}: {found.why}")
        row = warehouses.find(self._database.autocommit(), name)
        if row is None or row.marked_location != key(root):
            with self._database.write() as tx:
                warehouses.mark(tx, name, key(root))


class WarehouseFiles(FileIO, Protocol):
    """FileIO of one warehouse: while that is not there, no file is missing, and none is written."""

    def is_still_there(self, location: str) -> bool:
        """Return whether a file that was read before is there.

        In an object store, True without a request: it would cost more than the rest of the load,
        could block the event loop, and would find only files deleted outside the catalog.
        """


class MountedFiles:
    """WarehouseFiles on a local file system, which may be unmounted at any time."""

    def __init__(self, storage: FileIO, mount: Mount) -> None:
        self.storage = storage
        self._mount = mount

    def within(self, roots: Iterable[str]) -> Self:
        """Return access to what lies in these locations."""
        return type(self)(self.storage.within(roots), self._mount)

    def admission(self) -> contextlib.AbstractContextManager[object]:
        """Return a context in which this thread counts as one of those that wait for it."""
        return self.storage.admission()

    def read(self, location: str) -> bytes:
        """Return the content of a file."""
        try:
            return self.storage.read(location)
        except NotFoundError:
            self._mount.require()
        return self.storage.read(location)  # it may have been mounted between the two looks

    def read_part(self, location: str, offset: int, length: int) -> bytes:
        """Return a part of a file."""
        try:
            return self.storage.read_part(location, offset, length)
        except NotFoundError:
            self._mount.require()
            raise

    def exists(self, location: str) -> bool:
        """Return whether there is such a file."""
        if self.storage.exists(location):
            return True
        self._mount.require()
        return self.storage.exists(location)  # it may have been mounted between the two looks

    def is_still_there(self, location: str) -> bool:
        """Return whether a file that was read before is there."""
        return self.exists(location)

    def size(self, location: str) -> int:
        """Return the bytes of a file."""
        try:
            return self.storage.size(location)
        except NotFoundError:
            self._mount.require()
            raise

    def write(self, location: str, *pieces: bytes, make_folder: bool = True) -> None:
        """Create a file; also when the warehouse goes away meanwhile, none is left elsewhere."""
        try:
            self.storage.write(location, *pieces, make_folder=False)
        except NotFoundError:
            self._mount.require()
            self.storage.write(location, *pieces, make_folder=make_folder)
        try:
            self._mount.require()
        except WarehouseUnavailableError:
            with contextlib.suppress(CatalogError):
                self.storage.delete(location)
            raise

    def delete(self, location: str) -> None:
        """Delete a file; one that is not there is no error."""
        self._mount.require()
        self.storage.delete(location)

    def delete_all(self, locations: Sequence[str]) -> dict[str, CatalogError]:
        """Delete files; return those that could not be deleted, and why."""
        self._mount.require()
        failed = self.storage.delete_all(locations)
        self._mount.require()  # else files are not deleted, but out of sight
        return failed

    def prepare_table(self, location: str, *, staged: bool = False) -> None:
        """Make what engines expect to find at a table's location before they write."""
        self._mount.require()
        self.storage.prepare_table(location, staged=staged)

    def abandon_table(self, location: str) -> None:
        """Forget that a table's folders are durable."""
        self.storage.abandon_table(location)

    def remove_empty_folders(self, location: str) -> bool:
        """Remove the empty folders at a location and below it."""
        self._mount.require()
        return self.storage.remove_empty_folders(location)

    def list(self, location: str) -> Iterator[Entry]:
        """Yield what lies directly in a folder."""
        self._mount.require()
        return self.storage.list(location)

    def create(self, location: str, content: bytes) -> bool:
        """Create a file, whole or not at all, unless there is one."""
        self._mount.require()
        return self.storage.create(location, content)

    def resolve(self, location: str) -> str:
        """Return the key of the place that a location leads to."""
        return self.storage.resolve(location)

    def version(self, location: str) -> Hashable:
        """Return what changes when a file is replaced."""
        return self.storage.version(location)

    def replace(self, location: str, content: bytes) -> None:
        """Create a file, or take the place of one, whole or not at all."""
        self._mount.require()
        self.storage.replace(location, content)


def unavailable(mounts: Collection[Mount]) -> list[str]:
    """Return why warehouses cannot be used, a line for each that cannot."""
    return [why for mount in mounts if (why := mount.absence())]
