"""Replace a database so that no interruption loses a catalog, or leaves an empty one in its place.

The new one is made beside its place. While the place is empty, that file says so: nobody works on
the store then, and the next restore goes on from there.
"""

import contextlib
import glob
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from falcon_catalog.durable_files import inherit, sync, sync_entries, sync_file, write_private
from falcon_catalog.store.database import StoreError
from falcon_catalog.store.sqlite import locks

# The database first: what is beside it must never be played into another one.
_PARTS = ("", "-wal", "-shm", "-journal")


def is_there(path: Path) -> bool:
    """Return whether there is a database at ``path``, or a part of one."""
    return bool(_parts(path))


def conclude(path: Path) -> Path | None:
    """Move what is left of the old store after its database, if an interruption parted them.

    Returns where the old store is, or None if nothing was interrupted, or there was none.
    """
    if not locks.is_half_replaced(path):
        return None
    asides = sorted(path.parent.glob(f"{glob.escape(path.name)}.replaced-*"))
    if not asides:
        return None
    for part in _parts(path):
        if not (asides[-1] / part.name).exists():
            part.rename(asides[-1] / part.name)
    sync(asides[-1])
    sync(path.parent)
    return asides[-1]


@contextlib.contextmanager
def successor(path: Path, content: bytes) -> Iterator[Path]:
    """Make the new database, durable; if it cannot be completed, leave all as it was."""
    needed = locks.is_half_replaced(path)  # it alone tells that the place must stay empty
    there = path.exists()
    new = locks.successor(path)
    beside = Path(f"{new}-journal"), Path(f"{new}-wal"), Path(f"{new}-shm")
    try:
        for part in beside:  # a journal of an earlier one would be played into this one
            part.unlink(missing_ok=True)
        write_private(new, content, anew=True)
        inherit(new)
        sync_file(new)
        sync_entries(new)
        yield new
    except BaseException:
        if not needed and path.exists() == there:
            sync(path.parent)  # else a power cut could leave neither
            for part in (*beside, new):
                part.unlink(missing_ok=True)
        raise


def replace(path: Path) -> Path | None:
    """Let the successor take its place; return where the old store is now, if there was one."""
    aside = _put_aside(path) if is_there(path) else None
    try:
        locks.successor(path).rename(path)
    except BaseException:
        if aside:
            _put_back(path, aside)
        raise
    try:
        sync(path.parent)
    except OSError as error:
        raise StoreError(f"{path} was replaced, but a power cut may undo it: {error}") from error
    return aside


def _put_aside(path: Path) -> Path:
    """Move the old store's files into a new folder beside them."""
    aside = Path(f"{path}.replaced-{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}")
    aside.mkdir(mode=0o700)
    try:
        inherit(aside)
        sync(path.parent)
        for part in _parts(path):
            part.rename(aside / part.name)
        sync(aside)
        sync(path.parent)
    except BaseException:
        _put_back(path, aside)
        raise
    return aside


def _put_back(path: Path, aside: Path) -> None:
    for part in reversed(_parts(aside / path.name)):
        part.rename(path.parent / part.name)
    aside.rmdir()


def _parts(path: Path) -> list[Path]:
    """Return the files of a database that are there, itself first."""
    return [part for end in _PARTS if (part := Path(f"{path}{end}")).exists()]
