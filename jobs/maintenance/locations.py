"""One spelling for each file, however writers spell its location, and what is the same place."""

import os
import posixpath
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pyiceberg.io.pyarrow import PyArrowFileIO

# Hadoop's names of the same store.
_SCHEMES = {"s3a": "s3", "s3n": "s3", "abfs": "abfss", "wasb": "abfss", "wasbs": "abfss"}
_SCHEMES |= {"gcs": "gs"}

MISREAD = "?, # or a line break in their names, which not all clients read"

# Azure's two services for one account.
_BLOB, _DFS = ".blob.core.", ".dfs.core."


def normal(location: str) -> str:
    """Spell a location one way: ``file:/a``, ``file:///a`` and ``/a`` are one, so are s3 and s3a.

    Nothing is decoded: a ``%20`` in a location is a ``%20`` in the file's name. Slashes of object
    stores stay, for there they are part of the name.
    """
    path = local_path(location)
    if path is not None:
        return posixpath.normpath(path)
    scheme, _, rest = location.partition(":")
    scheme = _SCHEMES.get(scheme.lower(), scheme.lower())
    host, slash, key = rest.removeprefix("//").partition("/")
    host = host.lower()
    if scheme == "abfss":
        host = host.replace(_BLOB, _DFS)
    return f"{scheme}://{host}{slash}{key}"


def local_path(location: str) -> str | None:
    """Return the path of a location on this machine, None for one in a store."""
    scheme, separator, rest = location.partition(":")
    if not separator or "/" in scheme:
        return location
    if scheme.lower() != "file":
        return None
    path = rest
    if rest.startswith("//"):
        host, _, path = rest[2:].partition("/")
        path = f"/{path}" if host in {"", "localhost"} else f"//{host}/{path}"
    return "/" + path.lstrip("/")


def resolved(location: str) -> str:
    """Spell a location without links, where it is on this machine."""
    path = local_path(location)
    return normal(location) if path is None else os.path.realpath(path)


def identity(location: str) -> str:
    """Return a text that two locations of one existing file or folder share.

    On this machine that is its number in the file system: links, mounts and names in another
    case lead to the same one. Elsewhere, and where nothing is, it is the normal location.
    """
    path = local_path(location)
    if path is not None:
        try:
            facts = Path(path).stat()
        except (FileNotFoundError, NotADirectoryError):
            pass
        else:
            return f"inode {facts.st_dev}:{facts.st_ino}"
    return normal(location)


def keys(location: str) -> set[str]:
    """Return all by which a file may be met: its normal location, and its identity."""
    return {normal(location), identity(location)}


def read_alike(location: str) -> bool:
    """Return whether all clients take a location to the letter.

    Some read locations as URLs: they cut off what follows ``?`` and ``#`` and leave out line
    breaks and tabs, so that ``a.parquet#copy`` is ``a.parquet`` to them.
    """
    if "?" in location or "#" in location:
        return False
    path = PyArrowFileIO.parse_location(location)[2]
    if local_path(location) is not None:
        return posixpath.normpath(path) == normal(location)
    return location.endswith(path)


def within(location: str, folder: str) -> bool:
    """Return whether a location is the folder or lies in it; a namesake prefix does not."""
    inner, outer = normal(location), normal(folder).rstrip("/")
    return inner.rstrip("/") == outer or inner.startswith(f"{outer}/")


def overlap(one: str, other: str) -> bool:
    """Return whether one of two folders lies in the other."""
    return within(one, other) or within(other, one)


@dataclass(frozen=True)
class Place:
    """A folder, and all by which it may be known as another's, too."""

    location: str
    real: str
    """The normal location without links."""
    number: str | None
    """The identity of a folder of this machine."""
    chain: frozenset[str]
    """The identities of that folder and of all around it, by its own path and without links."""

    def clashes(self, other: "Place") -> bool:
        """Return whether one of two folders lies in the other, by any name."""
        return (
            overlap(self.location, other.location)
            or overlap(self.real, other.real)
            or self.number in other.chain
            or other.number in self.chain
        )

    def holds(self, location: str) -> bool:
        """Return whether a file or folder, once links are followed, lies in this one."""
        return within(resolved(location), self.real)


def place(location: str) -> Place:
    """Look a folder up.

    Raises:
        OSError: a folder of this machine cannot be looked at.
    """
    path, real = local_path(location), resolved(location)
    if path is None:
        return Place(location, real, None, frozenset())
    folders = {*_upwards(normal(location)), *_upwards(real)}
    return Place(location, real, identity(path), frozenset(map(identity, folders)))


def _upwards(path: str) -> Iterable[str]:
    while True:
        yield path
        parent = posixpath.dirname(path)
        if parent == path:
            return
        path = parent
