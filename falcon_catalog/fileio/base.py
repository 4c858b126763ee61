"""File access by location: Iceberg's FileIO, reduced to what the catalog and its commands need.

One implementation a kind of storage. All of them take any location of their scheme, unless they are
confined to some (``within``).
"""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Literal, Protocol, Self, runtime_checkable

from falcon_catalog.errors import CatalogError, NotFoundError, ServiceUnavailableError

Kind = Literal["file", "folder", "other"]

MAX_FILE_BYTES = 1 << 30
"""Of a file that is read whole: metadata files, manifest lists and manifests."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What a listing shows of one file or folder."""

    location: str
    kind: Kind
    """``other``: a symbolic link, or what is no regular file. It is never followed."""
    bytes: int
    changed: int
    """When it was written last; milliseconds since 1970-01-01 UTC. 0 where a store does not say."""

    @property
    def name(self) -> str:
        """Return the last segment of the location."""
        return self.location.rsplit("/", 1)[-1]


class FileIO(Protocol):
    """Reads, writes, lists and deletes whole files by location.

    Every operation raises BadRequestError for a location that cannot name a file here, and
    ServiceUnavailableError where the storage does not answer or refuses.
    """

    def within(self, roots: Iterable[str]) -> Self:
        """Return access to what lies in these locations, after links are followed.

        Outside of them nothing is read, written, made or removed: ForbiddenError.
        """

    def admission(self) -> AbstractContextManager[object]:
        """Return a context in which this thread counts as one of those that wait for the storage.

        Only some of the server's threads may do so at the same time. Entered around anything in
        which threads wait for one another while one of them uses the storage.

        Raises:
            ServiceUnavailableError: on entry, where too many wait and nothing moves.
        """

    def read(self, location: str) -> bytes:
        """Return the content of a regular file.

        Raises:
            NotFoundError: there is no such file.
            BadRequestError: it is larger than ``MAX_FILE_BYTES``.
        """

    def read_part(self, location: str, offset: int, length: int) -> bytes:
        """Return a part of a regular file: less of it, or nothing, where the file ends before.

        The file may be of any size.

        Raises:
            NotFoundError: there is no such file.
        """

    def exists(self, location: str) -> bool:
        """Return whether there is such a file."""

    def size(self, location: str) -> int:
        """Return the bytes of a file.

        Raises:
            NotFoundError: there is no such file.
        """

    def version(self, location: str) -> Hashable:
        """Return what changes when a file is replaced by another; the file is not read.

        Raises:
            NotFoundError: there is no such file.
        """

    def list(self, location: str) -> Iterator[Entry]:
        """Yield what lies directly in a folder, in no order; nothing if there is no such folder."""

    def write(self, location: str, *pieces: bytes, make_folder: bool = True) -> None:
        """Create a file of these pieces that outlives a power cut once this returns.

        Raises:
            NotFoundError: its folder is not there, and was not to be made.
            ServiceUnavailableError: the file is there already and was left alone, or could
                not be made durable and no part of it is left behind.
        """

    def create(self, location: str, content: bytes) -> bool:
        """Create a file, whole or not at all; return False, and leave it, if there is one.

        Either way the file is durable on return.
        """

    def replace(self, location: str, content: bytes) -> None:
        """Create a file, or take the place of one: whole or not at all, durable on return.

        Raises:
            ServiceUnavailableError: it could not be done; what was there is still there.
        """

    def delete(self, location: str) -> None:
        """Delete a file; one that is not there is no error."""

    def delete_all(self, locations: Sequence[str]) -> dict[str, CatalogError]:
        """Delete files in any order; return those that could not be deleted, and why.

        In an object store, many at a time. One that is not there is no error.

        Raises:
            ServiceUnavailableError: the storage does not answer. Some files may be deleted.
        """

    def resolve(self, location: str) -> str:
        """Return the key of the place that a location leads to: links are followed."""

    def prepare_table(self, location: str, *, staged: bool = False) -> None:
        """Make what engines expect to find at a table's location before they write.

        For a table that is only ``staged`` it need not outlive a power cut.
        """

    def abandon_table(self, location: str) -> None:
        """Count on nothing that ``prepare_table`` made: the table was not created."""

    def remove_empty_folders(self, location: str) -> bool:
        """Remove what is at a location as far as there is no file in it.

        Returns whether nothing is left there.
        """


@runtime_checkable
class Counts(Protocol):
    """What a FileIO counts since the start, if it does. May be read at any time."""

    @property
    def failures(self) -> Mapping[str, int]:
        """Requests to the storage that failed, by reason."""

    @property
    def orphans(self) -> int:
        """Files that may have been left behind: whether they were written is unknown."""


def no_such_file(location: str) -> NotFoundError:
    """Return the error for a file that is not there, in the words of Java's library."""
    return NotFoundError(f"Failed to open input stream for file: {location}")


def delete_each(delete: Callable[[str], None], locations: Iterable[str]) -> dict[str, CatalogError]:
    """Delete files one by one; return as ``FileIO.delete_all``."""
    failed = {}
    for location in locations:
        try:
            delete(location)
        except CatalogError as error:
            failed[location] = error
    return failed


def is_empty(files: FileIO, location: str) -> bool:
    """Return whether a folder is missing, or holds nothing but what a new file system does."""
    return all(e.name.startswith(".") or e.name == "lost+found" for e in files.list(location))


def walk(files: FileIO, folder: Entry) -> Iterator[tuple[Entry, list[Entry], list[Entry]]]:
    """Yield each folder from the given one down, the folders in it, and all else in it.

    The caller removes folders from the list to leave them out. As ``os.walk``, it does not follow
    links and takes a folder that is gone by now for an empty one. One that cannot be listed is
    shown as if it held something that is no folder.
    """
    try:
        entries = list(files.list(folder.location))
    except ServiceUnavailableError:
        entries = [replace(folder, kind="other")]
    folders = [entry for entry in entries if entry.kind == "folder"]
    yield folder, folders, [entry for entry in entries if entry.kind != "folder"]
    for inner in folders:
        yield from walk(files, inner)
