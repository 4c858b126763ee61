"""One SQLite file, its connections and its transactions.

WAL with ``synchronous=FULL``: a commit that was acknowledged survives a power cut. Changes run
one at a time, those that come together in one transaction (``writer.py``).
"""

import contextlib
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from urllib.parse import quote

from falcon_catalog.durable_files import Folders
from falcon_catalog.errors import ServiceUnavailableError
from falcon_catalog.store.database import StoreError, Timing, now_ms
from falcon_catalog.store.schema import SchemaError, require_current
from falcon_catalog.store.sqlite import creation, locks
from falcon_catalog.store.sqlite.migrate import applied, migrate
from falcon_catalog.store.sqlite.transaction import SqliteTransaction
from falcon_catalog.store.sqlite.writer import Writer

_BUSY_TIMEOUT_MS = 10_000
LOG_BYTES = 16 * 1024 * 1024
"""What the write-ahead log shrinks back to after a burst, or after a long read that kept it from
being folded. It is folded at 4 MB, so that in quiet times it is never cut."""
_CACHE_KIBIBYTES = 1024  # of each thread's connection: the system caches the file, too
_SYNCHRONOUS = {"relaxed": 1, "full": 2}  # SQLite's NORMAL and FULL


class SqliteDatabase:
    """One SQLite file. Safe to use from many threads: each reads over a connection of its own."""

    def __init__(self, path: Path, durability: str = "full") -> None:
        self.path = path
        self._time_transaction: Timing = nullcontext
        self.writer = Writer(self.connect, path, self.require_file)
        self._file: tuple[int, int] | None = None
        self._synchronous = _SYNCHRONOUS[durability]
        self._local = threading.local()
        self._guard = threading.Lock()
        self._connections: list[sqlite3.Connection] = []

    @classmethod
    def open(
        cls, path: Path, durability: str = "full", *, upgrade: bool = False
    ) -> "SqliteDatabase":
        """Open a database file, created if there is none.

        With ``relaxed`` durability a power cut may take the last commits, though acknowledged. With
        ``upgrade`` the schema of an older version is migrated.

        Raises:
            StoreError: the file cannot be opened, is no database or a damaged one, is of another
                version, or the store is fenced.
        """
        database = cls(path, durability)
        try:
            Folders().make(str(database.path.parent.absolute()))
            if locks.is_fenced(database.path):
                raise StoreError(f"store {database.path} is fenced: a COMMIT failed")
            if not creation.is_made(database.path):
                creation.make(database.path)
            with contextlib.closing(database.connect()) as connection:
                if upgrade:
                    migrate(connection)
                else:
                    require_current(applied(connection), f"sqlite:///{path}")
                # What recovery brought back may be in the log's memory alone, if its sync failed.
                connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
        except (OSError, sqlite3.Error, SchemaError) as error:
            raise StoreError(f"store {database.path}: {error}") from error
        return database

    @contextlib.contextmanager
    def read(self) -> Iterator[SqliteTransaction]:
        """See one moment of the database."""
        connection = self._connection()
        connection.execute("BEGIN")
        try:
            yield SqliteTransaction(connection, now_ms())
        finally:
            if connection.in_transaction:
                connection.execute("COMMIT")

    def observe(self, *, transaction: Timing, commit: Timing) -> None:
        """Time each transaction that changes the store, and each COMMIT."""
        self._time_transaction = transaction
        self.writer.time_commit = commit

    @property
    def broken(self) -> str | None:
        """Why no further change is safe until the store is opened anew; None if it is safe."""
        return self.writer.broken

    def autocommit(self) -> SqliteTransaction:
        """Return a view for one statement, which needs no transaction around it."""
        return SqliteTransaction(self._connection(), now_ms())

    @contextlib.contextmanager
    def fresh_read(self) -> Iterator[SqliteTransaction]:
        """See the database over a new connection, one that no failure has touched."""
        with contextlib.closing(self.connect()) as connection:
            yield SqliteTransaction(connection, now_ms())

    @contextlib.contextmanager
    def write(self) -> Iterator[SqliteTransaction]:
        """Change the database: all of it on leaving, or nothing on an exception.

        Raises:
            OutcomeUnknownError: COMMIT failed and nobody can tell what is stored.
            ServiceUnavailableError: another process holds the database, the disk is full, or an
                earlier COMMIT failed and the process must start again. Nothing was changed.
        """
        with self._time_transaction(), self.writer.change() as tx:
            yield tx

    def check(self) -> None:
        """Raise an error unless the database answers and takes changes."""
        self.writer.check_writable()
        with self.read() as tx:
            tx.one("SELECT count(*) FROM warehouses")

    def require_available(self) -> None:
        """As ``require_file``; whether it takes changes ``check`` finds out."""
        self.require_file()

    def require_file(self) -> None:
        """Raise ServiceUnavailableError if another file, or none, is where the database was opened.

        The process still has the old one open: what it wrote there would be lost when it ends.
        """
        with contextlib.suppress(OSError):
            if _identity(self.path) == self._file:
                return
        raise ServiceUnavailableError(
            f"The database file {self.path} was replaced or removed under the running server."
            " Nothing was changed: put it back, or stop the server and restore a backup"
        )

    def connect(self) -> sqlite3.Connection:
        """Open one more connection; the caller closes it."""
        if self._file is not None:
            self.require_file()
        connection = sqlite3.connect(
            f"file:{quote(str(self.path))}?mode=rw",  # one that is gone is never made anew
            uri=True,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=256,
        )
        connection.execute(f"PRAGMA busy_timeout = {_BUSY_TIMEOUT_MS}")
        mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        connection.execute(f"PRAGMA synchronous = {self._synchronous}")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute(f"PRAGMA journal_size_limit = {LOG_BYTES}")
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIBIBYTES}")
        synchronous = connection.execute("PRAGMA synchronous").fetchone()[0]
        if (mode, synchronous) != ("wal", self._synchronous):
            connection.close()
            raise sqlite3.OperationalError("the file system does not support write-ahead logging")
        if self._file is None:
            self._file = _identity(self.path)
        return connection

    def close(self) -> None:
        """Close every connection; the last one folds the log into the database file."""
        self.writer.close()
        with self._guard:
            for connection in self._connections:
                connection.close()
            self._connections.clear()
            self._local = threading.local()

    def _connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = self.connect()
            with self._guard:
                self._connections.append(connection)
        return connection


def _identity(path: Path) -> tuple[int, int]:
    status = os.stat(path)  # noqa: PTH116 - on each write's way
    return status.st_dev, status.st_ino
