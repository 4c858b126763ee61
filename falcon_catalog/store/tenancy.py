"""Who has a store open: a lock beside it, which no rename of the database moves away.

Each program that works on a store shares the lock as long as it runs, its forked workers
included; the kernel takes it back from the dead. Who replaces the database must have it alone.
"""

import contextlib
import fcntl
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from falcon_catalog.store import ownership
from falcon_catalog.store.database import StoreError

_LOOK_MS = 200


@contextlib.contextmanager
def shared(path: Path) -> Iterator[None]:
    """Work on the store at ``path``, beside others.

    Raises:
        StoreError: somebody is replacing it, or was interrupted: it must not be made anew.
    """
    with _locked(path, fcntl.LOCK_SH, "is being replaced by falcon-catalog restore"):
        if is_half_replaced(path):
            raise StoreError(
                f"store {path} is not there: falcon-catalog restore was interrupted before it was"
                " done. Run it again, or put the old store back, if there was one, from"
                f" {path}.replaced-…, and delete {successor(path)}"
            )
        yield


@contextlib.contextmanager
def alone(path: Path) -> Iterator[None]:
    """Have the store at ``path`` for oneself, whether a database is there or not.

    Raises:
        StoreError: a server or another command is at work on it.
    """
    in_use = "is in use: stop the server and every other program that has it open"
    with _locked(path, fcntl.LOCK_EX, in_use):
        if path.exists() and _is_open(path):
            raise StoreError(f"store {path} {in_use}")
        yield


def successor(path: Path) -> Path:
    """Return where restore makes what is to take the place of the database at ``path``."""
    return path.with_name(f".{path.name}.restored")


def is_half_replaced(path: Path) -> bool:
    """Tell whether a restore was interrupted when no database was in its place."""
    return not path.exists() and successor(path).exists()


def may_be_in_use(path: Path) -> bool:
    """Tell whether somebody may be at work on a store; changes nothing.

    Who stops in order folds SQLite's log away: one that holds something is in use, or was left
    by who was killed.
    """
    log = Path(f"{path}-wal")
    return _is_locked(path) or (log.exists() and log.stat().st_size > 0)


def _is_locked(path: Path) -> bool:
    try:
        descriptor = os.open(_lock_path(path), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _locked(path: Path, how: int, otherwise: str) -> Iterator[None]:
    try:
        descriptor = ownership.open_lock(_lock_path(path), path)
    except OSError as error:
        raise StoreError(f"store {path}: {error}") from error
    try:
        try:
            fcntl.flock(descriptor, how | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreError(f"store {path} {otherwise}") from None
        yield
    finally:
        os.close(descriptor)


def _is_open(path: Path) -> bool:
    """Ask SQLite: whoever has a database in WAL mode open shares a lock on it.

    So a shell, or a version of this program that knows no lock of ours, is seen too.
    """
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        try:
            connection.execute(f"PRAGMA busy_timeout = {_LOOK_MS}")
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            connection.execute("BEGIN EXCLUSIVE")
            connection.execute("ROLLBACK")
        except sqlite3.Error as error:
            # A damaged database says so here, and may be replaced.
            return error.sqlite_errorcode in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
    return False


def _lock_path(path: Path) -> Path:
    return Path(f"{path}-in-use")
