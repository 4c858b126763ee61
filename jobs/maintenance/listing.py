"""List what lies in a table's folder."""

import datetime as dt
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pyarrow import fs
from pyiceberg.io import FileIO
from pyiceberg.io.pyarrow import PyArrowFileIO

from jobs.maintenance.errors import RefusedError


@dataclass(frozen=True)
class Found:
    """A file as the storage lists it; ``modified`` is None where the storage does not say."""

    location: str
    bytes: int
    modified: dt.datetime | None


def list_files(io: FileIO, location: str) -> list[Found]:
    """List the files below a location, as deep as it goes; links are not followed.

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
        Found(f"{root}/{info.path.removeprefix(path).lstrip('/')}", info.size or 0, info.mtime)
        for info in files
        if info.type == fs.FileType.File
    ]


def _local(root: str, folder: Path) -> Iterator[Found]:
    """Walk a folder of this machine: Arrow would follow links out of it."""
    for place, _, names in os.walk(folder):
        for name in names:
            path = Path(place, name)
            try:
                facts = path.lstat()
            except FileNotFoundError:
                continue
            if stat.S_ISREG(facts.st_mode):
                modified = dt.datetime.fromtimestamp(facts.st_mtime, dt.UTC)
                yield Found(f"{root}/{path.relative_to(folder)}", facts.st_size, modified)
