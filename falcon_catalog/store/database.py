"""What a store offers, whatever database it is in: transactions, and how they can fail."""

import sqlite3
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from falcon_catalog.errors import CommitStateUnknownError

DRIVER_ERRORS: tuple[type[Exception], ...] = (sqlite3.Error,)
"""What the databases' own libraries raise when a statement cannot be run."""

Timing = Callable[[], AbstractContextManager[None]]


class StoreError(Exception):
    """The database cannot be opened; the message says which and why."""


class DamagedStoreError(StoreError):
    """The database is lost or damaged: only a backup brings it back."""


class OutcomeUnknownError(CommitStateUnknownError):
    """COMMIT itself failed: its rows may be there, now or after the next recovery."""


class Transaction(Protocol):
    """A running transaction, with the one time that everything in it happens at."""

    @property
    def now(self) -> int:
        """Milliseconds since 1970-01-01 UTC."""

    def one(self, sql: str, parameters: tuple[Any, ...] = (), /) -> Any | None:
        """Return the first row, or None."""

    def all(self, sql: str, parameters: tuple[Any, ...] = (), /) -> list[Any]:
        """Return every row."""

    def change(self, sql: str, parameters: tuple[Any, ...] = (), /) -> int:
        """Run one statement and return how many rows it changed."""


class Database(Protocol):
    """A store that is open. Safe to use from many threads."""

    @property
    def path(self) -> Path:
        """The file that holds it."""

    def observe(self, *, transaction: Timing, commit: Timing) -> None:
        """Time each transaction that changes the store, and each COMMIT."""

    def read(self) -> AbstractContextManager[Transaction]:
        """See one moment of the database."""

    def autocommit(self) -> Transaction:
        """Return a view for single statements, which need no transaction around them."""

    def fresh_read(self) -> AbstractContextManager[Transaction]:
        """See the database over a new connection, which no failure has touched."""

    def write(self) -> AbstractContextManager[Transaction]:
        """Change the database: all of it on leaving, or nothing on an exception.

        Raises:
            OutcomeUnknownError: COMMIT failed and nobody can tell what is stored.
            ServiceUnavailableError: the database takes no changes now. Nothing was changed.
        """

    def check(self) -> None:
        """Raise an error unless the database answers and takes changes."""

    def require_file(self) -> None:
        """Raise ServiceUnavailableError if the file was replaced or removed."""

    @property
    def broken(self) -> str | None:
        """Why no further change is safe until the store is opened anew; None if it is safe."""

    def close(self) -> None:
        """Close every connection."""
