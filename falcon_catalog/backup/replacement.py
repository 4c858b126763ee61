"""Crash-safe replacement of a database.

The new database is written beside the old one. While that file exists and the old one has been
moved away, no process opens the store, and the next restore continues the replacement.
"""

import contextlib
import glob
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from falcon_catalog.durable_files import inherit, sync, sync_entries, sync_file, write_private
from falcon_catalog.store.database import StoreError
from falcon_catalog.store.sqlite import locks

# The database comes first: its log must never be applied to another database.
_PARTS = ("", "-wal", "-shm", "-journal")


def is_there(path: Path) -> bool:
    """Return whether a database, or a part of one, exists at ``path``."""
    return bool(_parts(path))


def conclude(path: Path) -> Path | None:
    """Finish moving the old store aside after an interruption.

    Return the folder of the old store; None if nothing was interrupted or there was no old store.
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
    """Write the new database durably; if the caller cannot complete it, restore the old state."""
    needed = locks.is_half_replaced(path)  # only this file keeps a new store from being created
    there = path.exists()
    new = locks.successor(path)
    beside = Path(f"{new}-journal"), Path(f"{new}-wal"), Path(f"{new}-shm")
    try:
        for part in beside:  # SQLite would apply an earlier attempt's journal
            part.unlink(missing_ok=True)
        write_private(new, content, anew=True)
        inherit(new)
        sync_file(new)
        sync_entries(new)
        yield new
    except BaseException:
        if not needed and path.exists() == there:
            sync(path.parent)  # otherwise a power failure could leave neither
            for part in (*beside, new):
                part.unlink(missing_ok=True)
        raise


def replace(path: Path) -> Path | None:
    """Move the new database into place; return the folder of the old store, if there was one."""
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
