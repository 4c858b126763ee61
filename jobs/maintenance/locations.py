"""Locations of files and folders: one normal spelling each, comparison and containment."""

import os
import posixpath
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pyiceberg.io.pyarrow import PyArrowFileIO

# Hadoop's other names for a scheme.
_SCHEMES = {"s3a": "s3", "s3n": "s3", "abfs": "abfss", "wasb": "abfss", "wasbs": "abfss"}
_SCHEMES |= {"gcs": "gs"}

MISREAD = "?, # or a line break in their names, which not all clients read"

# Azure's two services for one account.
_BLOB, _DFS = ".blob.core.", ".dfs.core."


def normal(location: str) -> str:
    """Return the normal spelling: ``/a`` for ``file:/a`` and ``file:///a``, s3 for s3a.

    Nothing is decoded: a ``%20`` in a location is a ``%20`` in the file's name. Repeated slashes in
    object stores are kept, because they are part of the key.
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
    """Return the path of a local location; None for an object store's."""
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
    """Return the normal location with links resolved, if it is local."""
    path = local_path(location)
    return normal(location) if path is None else os.path.realpath(path)


def identity(location: str) -> str:
    """Return a text that all locations of one existing file or folder share.

    For a local file this is its inode, which links, mounts and names in another case share. In
    object stores, and if there is no such file, it is the normal location.
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
    """Return the keys of a file: its normal location and its identity."""
    return {normal(location), identity(location)}


def read_alike(location: str) -> bool:
    """Return whether all clients read a location as the same file.

    Some parse locations as URLs: they drop ``?`` and ``#`` with what follows, line breaks and tabs,
    so that ``a.parquet#copy`` is ``a.parquet`` to them.
    """
    if "?" in location or "#" in location:
        return False
    path = PyArrowFileIO.parse_location(location)[2]
    if local_path(location) is not None:
        return posixpath.normpath(path) == normal(location)
    return location.endswith(path)


def within(location: str, folder: str) -> bool:
    """Return whether a location is the folder or lies in it; ``/ab`` does not lie in ``/a``."""
    inner, outer = normal(location), normal(folder).rstrip("/")
    return inner.rstrip("/") == outer or inner.startswith(f"{outer}/")


def overlap(one: str, other: str) -> bool:
    """Return whether one of two folders lies in the other."""
    return within(one, other) or within(other, one)


@dataclass(frozen=True)
class Place:
    """A folder, with what is needed to compare it with others."""

    location: str
    real: str
    """The normal location with links resolved."""
    number: str | None
    """The identity, if the folder is local."""
    chain: frozenset[str]
    """The identities of a local folder and its parents, as spelled and with links resolved."""

    def clashes(self, other: "Place") -> bool:
        """Return whether one of two folders lies in the other, under any of their names."""
        return (
            overlap(self.location, other.location)
            or overlap(self.real, other.real)
            or self.number in other.chain
            or other.number in self.chain
        )

    def holds(self, location: str) -> bool:
        """Return whether a file or folder, with links resolved, lies in this one."""
        return within(resolved(location), self.real)


def place(location: str) -> Place:
    """Return the folder at a location.

    Raises:
        OSError: a local folder cannot be read.
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
