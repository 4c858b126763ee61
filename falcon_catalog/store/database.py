"""The catalog's memory: one SQLite file, its connections and its transactions.

WAL with ``synchronous=FULL``: a commit that was acknowledged survives a power cut. Every
change runs in ``BEGIN IMMEDIATE``, one at a time.
"""

import contextlib
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from falcon_catalog.errors import CommitStateUnknownError, ServiceUnavailableError
from falcon_catalog.store.migrate import SchemaTooNewError, migrate

_SCHEME = "sqlite:///"
_BUSY_TIMEOUT_MS = 10_000
# Errors that end by themselves, and after which nothing of the transaction is stored.
_PASSING = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL}


class StoreError(Exception):
    """The database cannot be opened; the message says which and why."""


class OutcomeUnknownError(CommitStateUnknownError):
    """COMMIT itself failed: its rows may be there, now or after the next recovery."""


@dataclass(frozen=True, slots=True)
class Transaction:
    """A running transaction, with the one time that everything in it happens at."""

    connection: sqlite3.Connection
    now: int
    """Milliseconds since 1970-01-01 UTC."""

    def one(self, sql: str, parameters: tuple[Any, ...] = ()) -> Any | None:
        """Return the first row, or None."""
        return self.connection.execute(sql, parameters).fetchone()

    def all(self, sql: str, parameters: tuple[Any, ...] = ()) -> list[Any]:
        """Return every row."""
        return self.connection.execute(sql, parameters).fetchall()

    def change(self, sql: str, parameters: tuple[Any, ...] = ()) -> int:
        """Run one statement and return how many rows it changed."""
        return self.connection.execute(sql, parameters).rowcount


class Database:
    """One SQLite file. Safe to use from many threads: each has a connection of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.time_transaction: Callable[[], AbstractContextManager[None]] = nullcontext
        self.time_commit: Callable[[], AbstractContextManager[None]] = nullcontext
        self._local = threading.local()
        self._writing = threading.Lock()
        self._guard = threading.Lock()
        self._connections: list[sqlite3.Connection] = []
        self._broken: str | None = None

    @classmethod
    def open(cls, url: str) -> "Database":
        """Open ``sqlite:///PATH``, made and migrated as needed.

        Raises:
            StoreError: the file cannot be opened, is no database, or is too new.
        """
        if not url.startswith(_SCHEME):
            raise StoreError(f"store url {url!r}: only sqlite:///PATH is supported")
        database = cls(Path(url.removeprefix(_SCHEME)))
        try:
            database.path.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileExistsError):
                # It will hold the key that signs tokens: for the owner's eyes only.
                database.path.touch(mode=0o600, exist_ok=False)
            with contextlib.closing(database.connect()) as connection:
                migrate(connection)
        except (OSError, sqlite3.Error, SchemaTooNewError) as error:
            raise StoreError(f"store {database.path}: {error}") from error
        return database

    @contextlib.contextmanager
    def read(self) -> Iterator[Transaction]:
        """See one moment of the database."""
        connection = self._connection()
        connection.execute("BEGIN")
        try:
            yield Transaction(connection, _now())
        finally:
            if connection.in_transaction:
                connection.execute("COMMIT")

    @contextlib.contextmanager
    def fresh_read(self) -> Iterator[Transaction]:
        """See the database over a new connection, one that no failure has touched."""
        with contextlib.closing(self.connect()) as connection:
            yield Transaction(connection, _now())

    @contextlib.contextmanager
    def write(self) -> Iterator[Transaction]:
        """Change the database: all of it on leaving, or nothing on an exception.

        Raises:
            OutcomeUnknownError: COMMIT failed and nobody can tell what is stored.
            ServiceUnavailableError: another process holds the database, the disk is full, or an
                earlier COMMIT failed and the process must start again. Nothing was changed.
        """
        connection = self._connection()
        with self.time_transaction(), self._writing:
            self.check_writable()
            try:
                connection.execute("BEGIN IMMEDIATE")
                yield Transaction(connection, _now())
                self._commit(connection)
            except BaseException as error:
                # SQLite keeps a transaction open only when it surely has not committed it.
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                if getattr(error, "sqlite_errorcode", None) in _PASSING:
                    raise ServiceUnavailableError(
                        f"The database cannot take changes now: {error}. Nothing was changed"
                    ) from error
                raise

    def check_writable(self) -> None:
        """Raise ServiceUnavailableError when a failed COMMIT made further changes unsafe."""
        if self._broken is not None:
            raise ServiceUnavailableError(f"No changes until the server restarts: {self._broken}")

    def check(self) -> None:
        """Raise an error unless the database answers and takes changes."""
        self.check_writable()
        with self.read() as tx:
            tx.one("SELECT count(*) FROM warehouses")

    def connect(self) -> sqlite3.Connection:
        """Open one more connection; the caller closes it."""
        connection = sqlite3.connect(
            self.path, isolation_level=None, check_same_thread=False, cached_statements=256
        )
        connection.execute(f"PRAGMA busy_timeout = {_BUSY_TIMEOUT_MS}")
        mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        if (mode, connection.execute("PRAGMA synchronous").fetchone()[0]) != ("wal", 2):
            connection.close()
            raise sqlite3.OperationalError("the file system does not support write-ahead logging")
        return connection

    def close(self) -> None:
        """Close every connection; the last one folds the log into the database file."""
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

    def _commit(self, connection: sqlite3.Connection) -> None:
        try:
            with self.time_commit():
                connection.execute("COMMIT")
        except BaseException as error:
            passing = getattr(error, "sqlite_errorcode", None) in _PASSING
            if not passing and not connection.in_transaction:
                # The log may hold the whole commit although its sync failed: a later recovery
                # would bring it back. Until then no change may build on either answer.
                self._broken = str(error)
                raise OutcomeUnknownError(f"COMMIT failed: {error}") from error
            raise


def _now() -> int:
    return time.time_ns() // 1_000_000
