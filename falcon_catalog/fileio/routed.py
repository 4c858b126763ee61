"""The files of all warehouses by their locations, for commands that work on a whole store."""

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Self

from falcon_catalog.errors import CatalogError, ForbiddenError
from falcon_catalog.fileio.base import Entry, FileIO
from falcon_catalog.fileio.local import LocalFileIO
from falcon_catalog.fileio.opening import open_storage
from falcon_catalog.locations import is_local, key
from falcon_catalog.settings import StorageSettings


@dataclass(frozen=True, slots=True)
class Route:
    """What lies below a location, and what gives access to it."""

    key: str
    """Of the location: it ends in a slash."""
    files: FileIO


class RoutedFileIO:
    """FileIO that finds the storage of each location: the one with the longest root around it.

    What lies in no root, but in the bucket of one, is reached as that one is: settings that are
    wrong must not make files look lost. Elsewhere in an object store nothing can be read.
    """

    def __init__(self, routes: Iterable[Route], local: FileIO) -> None:
        """Take ``local`` for all local files."""
        self._routes = sorted(routes, key=lambda route: -len(route.key))
        self._local = local

    def _to(self, location: str) -> FileIO:
        if is_local(location):
            return self._local
        own = key(location)
        found = next((route for route in self._routes if own.startswith(route.key)), None)
        if found is None:
            bucket = _bucket(own)
            found = next((r for r in self._routes if _bucket(r.key) == bucket), None)
        if found is None:
            raise ForbiddenError(
                f"Location {location} is outside the locations of the settings: no warehouse is in"
                f" {_bucket(own)}"
            )
        return found.files

    def within(self, roots: Iterable[str]) -> Self:
        """Return access to what lies in these locations, as far as the settings reach them."""
        local: list[str] = []
        stores: dict[int, tuple[FileIO, list[str]]] = {}
        for root in roots:
            if is_local(root):
                local.append(root)
                continue
            for route in self._routes:
                # A root that is around that of a warehouse is reached in parts.
                if key(root).startswith(route.key) or route.key.startswith(key(root)):
                    stores.setdefault(id(route.files), (route.files, []))[1].append(root)
        confined = {
            known: files.within(dict.fromkeys(inner)) for known, (files, inner) in stores.items()
        }
        routes = [
            Route(route.key, confined[id(route.files)])
            for route in self._routes
            if id(route.files) in confined
        ]
        return type(self)(routes, self._local.within(local))

    def admission(self) -> AbstractContextManager[object]:
        """Return a context without a limit: a command serves no other clients."""
        return nullcontext()

    def read(self, location: str) -> bytes:
        """Return the content of a file."""
        return self._to(location).read(location)

    def read_part(self, location: str, offset: int, length: int) -> bytes:
        """Return a part of a file."""
        return self._to(location).read_part(location, offset, length)

    def exists(self, location: str) -> bool:
        """Return whether there is such a file."""
        return self._to(location).exists(location)

    def size(self, location: str) -> int:
        """Return the bytes of a file."""
        return self._to(location).size(location)

    def version(self, location: str) -> Hashable:
        """Return what changes when a file is replaced."""
        return self._to(location).version(location)

    def list(self, location: str) -> Iterator[Entry]:
        """Yield what lies directly in a folder."""
        return self._to(location).list(location)

    def write(self, location: str, *pieces: bytes, make_folder: bool = True) -> None:
        """Create a file, durable on return."""
        self._to(location).write(location, *pieces, make_folder=make_folder)

    def create(self, location: str, content: bytes) -> bool:
        """Create a file, whole or not at all, unless there is one."""
        return self._to(location).create(location, content)

    def replace(self, location: str, content: bytes) -> None:
        """Create a file, or take the place of one, whole or not at all."""
        self._to(location).replace(location, content)

    def delete(self, location: str) -> None:
        """Delete a file; one that is not there is no error."""
        self._to(location).delete(location)

    def delete_all(self, locations: Sequence[str]) -> dict[str, CatalogError]:
        """Delete files; return those that could not be deleted, and why."""
        stores: dict[int, tuple[FileIO, list[str]]] = {}
        failed: dict[str, CatalogError] = {}
        for location in locations:
            try:
                files = self._to(location)
            except CatalogError as error:
                failed[location] = error
            else:
                stores.setdefault(id(files), (files, []))[1].append(location)
        for files, inner in stores.values():
            failed |= files.delete_all(inner)
        return failed

    def resolve(self, location: str) -> str:
        """Return the key of the place that a location leads to; nothing is asked of a store."""
        return self._local.resolve(location) if is_local(location) else key(location)

    def prepare_table(self, location: str, *, staged: bool = False) -> None:
        """Make what engines expect to find at a table's location before they write."""
        self._to(location).prepare_table(location, staged=staged)

    def abandon_table(self, location: str) -> None:
        """Count on nothing that ``prepare_table`` made."""
        self._to(location).abandon_table(location)

    def remove_empty_folders(self, location: str) -> bool:
        """Remove what is at a location as far as there is no file in it."""
        return self._to(location).remove_empty_folders(location)


def open_files(storages: Mapping[str, StorageSettings]) -> FileIO:
    """Return access to the files of all warehouses, given the settings of each by its name.

    Raises:
        SettingsError: as ``open_storage``.
    """
    routes = []
    for name, storage in storages.items():
        if not is_local(storage.location):
            files = open_storage(name, storage).files
            roots = (storage.location, *storage.allowed_locations)
            routes += [Route(key(root), files) for root in roots]
    return RoutedFileIO(routes, LocalFileIO()) if routes else LocalFileIO()


def _bucket(location_key: str) -> str:
    return "/".join(location_key.split("/", 3)[:3])
