"""Read a store without changing it, whether it is served, stopped or left by a killed server."""

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

from falcon_catalog.store import schema
from falcon_catalog.store.database import DamagedStoreError, StoreError, now_ms
from falcon_catalog.store.sqlite import creation
from falcon_catalog.store.sqlite.migrate import applied
from falcon_catalog.store.sqlite.transaction import SqliteTransaction

__all__ = ["connect", "copy", "now_ms", "snapshot", "tables"]

_BUSY_TIMEOUT_MS = 10_000
_PAGES = 4096
_DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


@contextlib.contextmanager
def connect(
    path: Path, *, immutable: bool = False, older: bool = False
) -> Iterator[SqliteTransaction]:
    """Open the store at ``path``; each statement sees the newest state.

    ``immutable``: a copy that nobody else has open; no file is made beside it. ``older``: its
    schema may be an older version's; what later versions added must not be used.

    Raises:
        DamagedStoreError: it is no database, or a damaged one.
        StoreError: there is none, or its schema is of another version.
    """
    if not creation.is_made(path):
        raise StoreError(f"store {path}: there is no such file")
    # Only a connection that may write takes away the files that SQLite makes beside a database
    # that nobody has open. A log that is there is left for the next server to fold in.
    mode = "ro" if immutable or Path(f"{path}-wal").exists() else "rw"
    uri = f"file:{quote(str(path))}?mode={mode}{'&immutable=1' if immutable else ''}"
    try:
        with contextlib.closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as connection:
            connection.execute(f"PRAGMA busy_timeout = {_BUSY_TIMEOUT_MS}")
            connection.execute("PRAGMA query_only = ON")
            _check_schema(path, connection, older=older)
            yield SqliteTransaction(connection, now_ms())
    except sqlite3.Error as error:
        is_damaged = getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGE
        kind = DamagedStoreError if is_damaged else StoreError
        raise kind(f"store {path}: {error}") from error


@contextlib.contextmanager
def snapshot(path: Path, *, older: bool = False) -> Iterator[SqliteTransaction]:
    """Open the store at ``path`` as ``connect`` does; every statement sees the state of now."""
    with connect(path, older=older) as tx:
        tx.connection.execute("BEGIN")
        tx.one("SELECT count(*) FROM warehouses")  # the moment is the first read's
        try:
            yield SqliteTransaction(tx.connection, now_ms())
        finally:
            tx.connection.execute("ROLLBACK")


def tables(tx: SqliteTransaction) -> set[str]:
    """Return the names of the tables that are there; an older version's are fewer."""
    return {name for (name,) in tx.all("SELECT name FROM sqlite_master WHERE type = 'table'")}


def copy(tx: SqliteTransaction, path: Path, progress: Callable[[str], None]) -> None:
    """Copy the state that a transaction sees into a database file."""

    def report(_status: int, remaining: int, total: int) -> None:
        progress(f"{total - remaining} of {total} pages of the database copied")

    with contextlib.closing(sqlite3.connect(path)) as target:
        tx.connection.backup(target, pages=_PAGES, progress=report)


def _check_schema(path: Path, connection: sqlite3.Connection, *, older: bool) -> None:
    found = applied(connection)
    try:
        if older:
            schema.pending(found)
        else:
            schema.require_current(found, f"sqlite:///{path}")
    except schema.SchemaError as error:
        raise StoreError(f"store {path}: {error}") from error
