"""Files on the local file system."""

import contextlib
import copy
import errno
import os
import stat
import threading
import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Self

from falcon_catalog import durable_files
from falcon_catalog.errors import (
    BadRequestError,
    CatalogError,
    ForbiddenError,
    NotFoundError,
    ServiceUnavailableError,
)
from falcon_catalog.fileio.base import MAX_FILE_BYTES, Entry, Kind, delete_each, no_such_file
from falcon_catalog.fileio.deadline import Reader
from falcon_catalog.locations import key, local_path

Timing = contextlib.AbstractContextManager[None]

_ATTEMPTS = 3
_IS_ROOT = os.geteuid() == 0
_MOST_PIECES = 1024  # that one writev takes, on Linux
_KINDS: dict[int, Kind] = {stat.S_IFREG: "file", stat.S_IFDIR: "folder"}


class _Roots:
    """The folders that files must lie in, after links are followed."""

    def __init__(self, locations: Iterable[str]) -> None:
        self._paths = tuple(map(local_path, locations))
        self._real = self._resolve()

    def _resolve(self) -> tuple[str, ...]:
        return tuple(f"{os.path.realpath(path).rstrip('/')}/" for path in self._paths)

    def require(self, location: str, real: str) -> None:
        """Raise ForbiddenError unless a location's real path lies in one of the folders."""
        if f"{real}/".startswith(self._real):
            return
        self._real = self._resolve()  # a root that is a link may lead elsewhere by now
        if not f"{real}/".startswith(self._real):
            why = "" if real == local_path(location) else f" leads to {real}, which"
            raise ForbiddenError(
                f"Location {location}{why} is outside the allowed locations:"
                f" {', '.join(self._paths)}"
            )


class LocalFileIO:
    """FileIO for ``file:///x``, ``file:/x`` and ``/x``.

    Unless it is ``durable``, a file is there once it was written, but may not outlive a power cut.
    """

    def __init__(
        self, *, durable: bool = True, time_sync: Callable[[], Timing] = contextlib.nullcontext
    ) -> None:
        """Time each sync of a file's content with ``time_sync``."""
        self._durable = durable
        self._time_sync = time_sync
        self._folders = durable_files.Folders(sync=durable)
        self._reader = Reader()
        self._guard = threading.Lock()
        self._roots: _Roots | None = None
        self.writes = 0
        """Files that were written. May be read at any time, as all that is counted here."""
        self.written_bytes = 0
        self.write_seconds = 0.0
        """Spent in writing them and in waiting until they were durable."""

    def within(self, roots: Iterable[str]) -> Self:
        """Return access to what lies in these locations, after links are followed."""
        confined = copy.copy(self)
        confined._roots = _Roots(roots)  # noqa: SLF001 - its own class
        return confined

    def admission(self) -> contextlib.AbstractContextManager[object]:
        """Return a context that admits every thread: a read that hangs is left behind."""
        return contextlib.nullcontext()

    def _require_inside(self, location: str, descriptor: int | None = None) -> None:
        """Raise ForbiddenError if a location is outside; judge what is open as ``descriptor``.

        The path of what is open cannot be replaced by a link any more.
        """
        if self._roots is not None:
            real = (
                os.path.realpath(local_path(location))
                if descriptor is None
                else durable_files.path_of(descriptor)
            )
            self._roots.require(location, real)

    def read(self, location: str) -> bytes:
        """Return the content of a regular file."""

        def check(descriptor: int) -> None:
            self._require_inside(location, descriptor)
            if (size := os.fstat(descriptor).st_size) > MAX_FILE_BYTES:
                raise BadRequestError(
                    f"{location} has {size} bytes, at most {MAX_FILE_BYTES} are read"
                )

        with _found(location):
            return self._reader.read(local_path(location), check)

    def read_part(self, location: str, offset: int, length: int) -> bytes:
        """Return a part of a regular file."""

        def check(descriptor: int) -> None:
            self._require_inside(location, descriptor)

        with _found(location):
            return self._reader.read(local_path(location), check, (offset, length))

    def exists(self, location: str) -> bool:
        """Return whether there is such a file."""
        path = local_path(location)
        if os.access(path, os.F_OK):  # on each load's way, and faster than stat
            return True
        try:
            with _found(location):
                os.stat(path)  # noqa: PTH116 - says why
        except NotFoundError:
            return False
        return True

    def size(self, location: str) -> int:
        """Return the bytes of a file."""
        with _found(location):
            return Path(local_path(location)).stat().st_size

    def write(self, location: str, *pieces: bytes, make_folder: bool = True) -> None:
        """Create a file, durable with its folder entry before this returns."""
        started = time.perf_counter()
        with _unavailable_on_trouble(location):
            path = local_path(location)
            folder = os.path.dirname(path)  # noqa: PTH120 - a string in and out
            for attempt in range(_ATTEMPTS):
                try:
                    if not self._folders.is_durable(folder) and (
                        make_folder or os.path.isdir(folder)  # noqa: PTH112
                    ):
                        self._require_inside(folder)
                        self._folders.make(folder)
                    self._create(location, path, pieces)
                    break
                except FileNotFoundError:  # or somebody has just removed it, as it was empty
                    self._folders.forget(folder)
                    if not make_folder:
                        raise no_such_file(location) from None
                    if attempt == _ATTEMPTS - 1:
                        raise
        with self._guard:
            self.writes += 1
            self.written_bytes += sum(map(len, pieces))
            self.write_seconds += time.perf_counter() - started

    def _create(self, location: str, path: str, pieces: Sequence[bytes]) -> None:
        folder, name = os.path.split(path)
        directory = os.open(folder, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY)
        try:
            self._require_inside(location, directory)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            descriptor = os.open(name, flags, 0o666, dir_fd=directory)
            try:
                try:
                    if _IS_ROOT:
                        durable_files.give(descriptor, directory)
                    _write_all(descriptor, pieces)
                    if self._durable:
                        with self._time_sync():
                            durable_files.sync_data(descriptor)
                finally:
                    os.close(descriptor)
                if self._durable:
                    os.fsync(directory)
            except BaseException:
                # Nobody can point at this file yet, so removing the torso is safe.
                with contextlib.suppress(OSError):
                    os.unlink(name, dir_fd=directory)
                raise
        finally:
            os.close(directory)

    def delete(self, location: str) -> None:
        """Delete a file; one that is not there is no error."""
        folder, name = os.path.split(local_path(location))
        with _unavailable_on_trouble(location, "delete"), contextlib.suppress(FileNotFoundError):
            directory = durable_files.open_handle(folder, os.O_DIRECTORY)
            try:
                self._require_inside(location, directory)
                os.unlink(name, dir_fd=directory)
            finally:
                os.close(directory)

    def delete_all(self, locations: Sequence[str]) -> dict[str, CatalogError]:
        """Delete files; return those that could not be deleted, and why."""
        return delete_each(self.delete, locations)

    def version(self, location: str) -> Hashable:
        """Return what changes when a file is replaced by another, on this file system or not."""
        with _found(location):
            status = os.stat(local_path(location))  # noqa: PTH116 - on each write's way
        return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size

    def list(self, location: str) -> Iterator[Entry]:
        """Yield what lies directly in a folder, in no order; nothing if there is no such folder."""
        found = []
        with (
            contextlib.suppress(NotFoundError),
            _found(location),
            os.scandir(local_path(location)) as entries,
        ):
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):  # deleted since it was listed
                    status = entry.stat(follow_symlinks=False)
                    kind = _KINDS.get(stat.S_IFMT(status.st_mode), "other")
                    where = f"{location.rstrip('/')}/{entry.name}"
                    changed = status.st_mtime_ns // 1_000_000
                    found.append(Entry(where, kind, status.st_size, changed))
        return iter(found)

    def create(self, location: str, content: bytes) -> bool:
        """Create a file, whole or not at all; return False, and leave it, if there is one."""
        with _unavailable_on_trouble(location):
            path = local_path(location)
            if not os.path.lexists(path):
                with (
                    contextlib.suppress(FileExistsError),
                    self._made_beside(path, content) as new,
                ):
                    os.link(new, path)
                    return True
            # Who made it may not have made its entry durable yet, or was killed before.
            if self._durable:
                self._folders.make(os.path.dirname(path))  # noqa: PTH120
                durable_files.sync_entry(path)
        return False

    def replace(self, location: str, content: bytes) -> None:
        """Create a file, or take the place of one, whole or not at all."""
        with _unavailable_on_trouble(location):
            path = local_path(location)
            with self._made_beside(path, content) as new:
                new.rename(path)

    @contextlib.contextmanager
    def _made_beside(self, path: str, content: bytes) -> Iterator[Path]:
        """Make a file beside its place, from where it is moved there; then make that durable.

        Made by root, it belongs to the owner of the folder.
        """
        folder, name = os.path.split(path)
        self._require_inside(folder)
        self._folders.make(folder)
        new = Path(folder, f".{os.getpid()}.{threading.get_ident()}.{name}"[:255])
        try:
            new.write_bytes(content)
            durable_files.inherit(new)
            if self._durable:
                durable_files.sync_file(str(new))
            yield new
        finally:
            new.unlink(missing_ok=True)
        if self._durable:
            durable_files.sync(folder)

    def resolve(self, location: str) -> str:
        """Return the key of the place that a location leads to: links are followed."""
        return key(os.path.realpath(local_path(location)))

    def prepare_table(self, location: str, *, staged: bool = False) -> None:
        """Make ``metadata/`` and ``data/``: DuckDB writes into them without making them.

        Those of a table that is only ``staged`` are not made durable, and not remembered: they may
        be removed before the table is created, which makes them again, and durable.
        """
        self._require_inside(location)
        with _unavailable_on_trouble(location):
            made = durable_files.Folders(sync=False) if staged else self._folders
            for folder in ("metadata", "data"):
                made.make(f"{local_path(location)}/{folder}")

    def abandon_table(self, location: str) -> None:
        """Forget that a table's folders are durable: they may be removed, and made by others."""
        path = local_path(location)
        for folder in (path, f"{path}/metadata", f"{path}/data"):
            self._folders.forget(folder)

    def remove_empty_folders(self, location: str) -> bool:
        """Remove the folder at a location and those in it, but those that hold a file."""
        self._require_inside(location)
        durable_files.remove_empty(local_path(location))
        self.abandon_table(location)
        return not os.path.lexists(local_path(location))


@contextlib.contextmanager
def _found(location: str) -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise no_such_file(location) from error
    except OSError as error:
        raise _trouble(location, "read", error) from error


@contextlib.contextmanager
def _unavailable_on_trouble(location: str, attempt: str = "write") -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _trouble(location, attempt, error) from error


def _trouble(location: str, attempt: str, error: OSError) -> CatalogError:
    if error.errno == errno.ENAMETOOLONG:  # as a retry would find again
        return BadRequestError(
            f"Invalid location {location[:200]!r}: its path is too long for the file system"
        )
    return ServiceUnavailableError(f"Cannot {attempt} {location}: {error.strerror}")


def _write_all(descriptor: int, pieces: Sequence[bytes]) -> None:
    for start in range(0, len(pieces), _MOST_PIECES):
        batch = pieces[start : start + _MOST_PIECES]
        written = os.writev(descriptor, batch)
        if written < sum(map(len, batch)):
            view = memoryview(b"".join(batch))[written:]
            while view:
                view = view[os.write(descriptor, view) :]
