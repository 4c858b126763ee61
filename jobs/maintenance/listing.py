"""List the files below a table's location, and delete files."""

import datetime as dt
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pyarrow import fs
from pyiceberg.io import FileIO
from pyiceberg.io.pyarrow import PyArrowFileIO

from jobs.maintenance.errors import RefusedError
from jobs.maintenance.results import Skipped


@dataclass(frozen=True)
class Found:
    """A listed file; ``modified`` is None if the storage does not report it."""

    location: str
    bytes: int
    modified: dt.datetime | None
    path: str
    """Relative to the listed folder."""


def list_files(io: FileIO, location: str) -> list[Found]:
    """Return the files below a location, recursively; links and mounts are not followed.

    Raises:
        RefusedError: the location cannot be listed.
    """
    if "?" in location or "#" in location:
        raise RefusedError(f"{location} has a ? or # in it, which not all clients read alike")
    root = location.rstrip("/")
    scheme, host, path = PyArrowFileIO.parse_location(root, io.properties)
    if scheme == "file":
        return list(_local(root, Path(path)))
    arrow = io if isinstance(io, PyArrowFileIO) else PyArrowFileIO(io.properties)
    try:
        files = arrow.fs_by_scheme(scheme, host).get_file_info(
            fs.FileSelector(path, recursive=True, allow_not_found=True)
        )
    except (ValueError, OSError) as error:
        raise RefusedError(f"cannot list {location}: {error}") from error
    return [
        Found(f"{root}/{below}", info.size or 0, info.mtime, below)
        for info in files
        if info.type == fs.FileType.File
        for below in [info.path.removeprefix(path).removeprefix("/")]
    ]


def _local(root: str, folder: Path) -> Iterator[Found]:
    """Yield the files below a local folder; Arrow would follow links and mounts."""

    def fail(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):
            raise RefusedError(f"cannot list {root}: {error}") from error

    for place, folders, names in os.walk(folder, onerror=fail):
        folders[:] = [each for each in folders if not Path(place, each).is_mount()]
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
