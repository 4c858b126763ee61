"""The files of a table: list, examine, read and delete them.

The only module of maintenance that knows where files are kept: local ones are looked at directly,
so that links and mounts are noticed, all others through the table's own FileIO, which has the
credentials that the catalog vends for it.
"""

import datetime as dt
import os
import posixpath
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pyarrow import fs
from pyiceberg.io import FileIO
from pyiceberg.io.pyarrow import PyArrowFileIO

from jobs.maintenance.errors import RefusedError, UncheckedError
from jobs.maintenance.locations import local_path, normal
from jobs.maintenance.results import Skipped

_MOST_BYTES = 1 << 30
# PyIceberg's property that names who signs requests to the object store.
_SIGNER = "s3.signer"


@dataclass(frozen=True)
class Found:
    """A listed file; ``modified`` is None if the storage does not report it."""

    location: str
    bytes: int
    modified: dt.datetime | None
    path: str
    """Relative to the listed folder."""


def list_files(io: FileIO, location: str, *, recursive: bool = True) -> list[Found]:
    """Return the files below a location; links and mounts are not followed.

    Raises:
        RefusedError: the location cannot be listed.
    """
    if "?" in location or "#" in location:
        raise RefusedError(f"{location} has a ? or # in it, which not all clients read alike")
    root = location.rstrip("/")
    scheme, host, path = PyArrowFileIO.parse_location(root, io.properties)
    if scheme == "file":
        return list(_local(root, Path(path), recursive=recursive))
    if _SIGNER in io.properties:
        raise RefusedError(f"cannot list {location}: the catalog signs requests, and not Arrow's")
    arrow = io if isinstance(io, PyArrowFileIO) else PyArrowFileIO(io.properties)
    try:
        files = arrow.fs_by_scheme(scheme, host).get_file_info(
            fs.FileSelector(path, recursive=recursive, allow_not_found=True)
        )
    except (ValueError, OSError) as error:
        raise RefusedError(f"cannot list {location}: {error}") from error
    return [
        Found(f"{root}/{below}", info.size or 0, info.mtime, below)
        for info in files
        if info.type == fs.FileType.File
        for below in [info.path.removeprefix(path).removeprefix("/")]
    ]


def _local(root: str, folder: Path, *, recursive: bool) -> Iterator[Found]:
    """Yield the files below a local folder; Arrow would follow links and mounts."""

    def fail(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):
            raise RefusedError(f"cannot list {root}: {error}") from error

    for place, folders, names in os.walk(folder, onerror=fail):
        folders[:] = [each for each in folders if recursive and not Path(place, each).is_mount()]
        for name in names:
            path = Path(place, name)
            try:
                facts = path.lstat()
            except FileNotFoundError:
                continue
            if stat.S_ISREG(facts.st_mode):
                modified = dt.datetime.fromtimestamp(facts.st_mtime, dt.UTC)
                below = str(path.relative_to(folder))
                yield Found(f"{root}/{below}", facts.st_size, modified, below)


def examine(io: FileIO, root: str, locations: Iterable[str]) -> list[Found]:
    """Return those of the files below a root that exist, which another program has listed.

    Local files are left out if they have a second name, or are reached over a link or a mount.
    """
    root = root.rstrip("/")
    scheme, host, top = PyArrowFileIO.parse_location(root, io.properties)
    below = [posixpath.relpath(normal(each), normal(root)) for each in locations]
    if scheme == "file":
        real = os.path.realpath(top)
        paths = [Path(real, each) for each in below]
        listed = zip(below, paths, strict=True)
        return [
            Found(
                f"{root}/{each}",
                facts.st_size,
                dt.datetime.fromtimestamp(facts.st_mtime, dt.UTC),
                each,
            )
            for each, path in listed
            if path.is_file() and os.path.realpath(path) == str(path)
            if (facts := path.lstat()).st_nlink == 1
            if facts.st_dev == Path(real).stat().st_dev
        ]
    arrow = io if isinstance(io, PyArrowFileIO) else PyArrowFileIO(io.properties)
    infos = arrow.fs_by_scheme(scheme, host).get_file_info([f"{top}/{each}" for each in below])
    return [
        Found(f"{root}/{each}", info.size or 0, info.mtime, each)
        for each, info in zip(below, infos, strict=True)
        if info.type == fs.FileType.File
    ]


def check_readable(io: FileIO, location: str) -> None:
    """Check a file that metadata or a manifest names, before it is read whole.

    Raises:
        UncheckedError: it is no regular file, or too large.
        OSError: it cannot be examined.
    """
    path = local_path(location)
    if path is None:
        length = len(io.new_input(location))
    else:
        facts = Path(path).stat()
        if not stat.S_ISREG(facts.st_mode):
            raise UncheckedError(f"{location} is not a regular file")
        length = facts.st_size
    if length > _MOST_BYTES:
        raise UncheckedError(f"{location} has {length} bytes, at most {_MOST_BYTES} are read")


def read(io: FileIO, location: str) -> bytes:
    """Return the content of a file; raises as ``check_readable``."""
    check_readable(io, location)
    with io.new_input(location).open() as stream:
        content: bytes = stream.read()
        return content


def is_link(location: str) -> bool:
    """Return whether a location is a local symbolic link."""
    path = local_path(location)
    return path is not None and Path(path).is_symlink()


def delete(io: FileIO, locations: Iterable[str]) -> tuple[set[str], list[Skipped]]:
    """Delete files; return those deleted, and those that could not be."""
    gone, skipped = set(), []
    for location in locations:
        try:
            io.delete(location)
        except FileNotFoundError:
            continue
        except OSError as error:
            skipped.append(Skipped(location, f"could not be deleted: {error}"))
        else:
            gone.add(location)
    return gone, skipped


def discard(io: FileIO, paths: Iterable[str]) -> None:
    """Delete files that were never committed; files that cannot be deleted are left as orphans."""
    for path in paths:
        try:
            io.delete(path)
        except Exception:  # noqa: BLE001, S112 - an orphan is harmless, a raised error hides another
            continue
