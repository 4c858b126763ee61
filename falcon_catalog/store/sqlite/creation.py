"""Creation of a database file: under a temporary name, so that it appears whole or not at all.

A database that is empty or half there was therefore damaged later. Opening it as a new one would
hide that its rows are lost.
"""

import contextlib
import fcntl
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from falcon_catalog import durable_files
from falcon_catalog.store.database import DamagedStoreError
from falcon_catalog.store.sqlite import locks
from falcon_catalog.store.sqlite.migrate import migrate

_LOGS = ("-wal", "-journal")


def is_made(path: Path) -> bool:
    """Return whether there is a database at ``path``; whether it is intact SQLite will find out.

    Raises:
        DamagedStoreError: the file is empty, or only SQLite's log of it is left.
    """
    if path.exists():
        if path.stat().st_size == 0:
            raise DamagedStoreError(
                f"store {path} is damaged: the file is empty (0 bytes). Restore a backup with"
                " falcon-catalog restore --replace; if it never held a catalog, delete it"
            )
        return True
    for log in (Path(f"{path}{end}") for end in _LOGS):
        # Looked at again: another process may have made both since.
        if log.exists() and log.stat().st_size > 0 and not path.exists():
            raise DamagedStoreError(
                f"store {path} is damaged: {log} is there, the database that it belongs to is not."
                " Bring that file back, or restore a backup with falcon-catalog restore --replace"
            )
    return path.exists()


def make(path: Path) -> None:
    """Create an empty catalog at ``path``, durable on return, unless another process did so first.

    Raises:
        OSError, sqlite3.Error: it cannot be made; nothing is at ``path``.
    """
    with _alone(locks.write_lock_path(path)):
        if path.exists():
            return
        new = path.with_name(f".{path.name}.new")
        for end in ("-journal", "-wal", "-shm", ""):  # of a process that was killed here
            Path(f"{new}{end}").unlink(missing_ok=True)
        # It will hold the key that signs tokens: only the owner may read it.
        os.close(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        durable_files.inherit(new)
        with contextlib.closing(sqlite3.connect(new, isolation_level=None)) as connection:
            connection.execute("PRAGMA synchronous = FULL")
            migrate(connection)
            # Processes that start at once would compete for this change, which does not wait.
            connection.execute("PRAGMA journal_mode = WAL")
        durable_files.sync_file(str(new))
        new.rename(path)
        durable_files.sync(str(path.parent))


@contextlib.contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Let one process at a time create a database; the lock file is the writers' own."""
    descriptor = locks.open_lock(lock)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
