"""List what lies in a table's folder."""

import datetime as dt
from dataclasses import dataclass

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
    properties = {**io.properties}
    arrow = io if isinstance(io, PyArrowFileIO) else PyArrowFileIO(properties)
    scheme, host, path = PyArrowFileIO.parse_location(location, properties)
    try:
        files = arrow.fs_by_scheme(scheme, host).get_file_info(
            fs.FileSelector(path, recursive=True, allow_not_found=True)
        )
    except (ValueError, OSError) as error:
        raise RefusedError(f"cannot list {location}: {error}") from error
    root, path = location.rstrip("/"), path.rstrip("/")
    return [
        Found(f"{root}/{info.path.removeprefix(path).lstrip('/')}", info.size or 0, info.mtime)
        for info in files
        if info.type == fs.FileType.File
    ]
