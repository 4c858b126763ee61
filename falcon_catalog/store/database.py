"""What a store offers, whatever database it is in: transactions, locks, and how they can fail.

The SQL of ``store`` runs on SQLite and on PostgreSQL alike. SQLite makes one change at a time, so
that a check holds until the COMMIT; on PostgreSQL what a change relies on must be locked, with
``row_lock`` and ``hold``, which do nothing on SQLite.
"""

import functools
import random
import sqlite3
import time
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Literal, ParamSpec, Protocol, TypeVar

from falcon_catalog.errors import CommitStateUnknownError, ServiceUnavailableError

P = ParamSpec("P")
T = TypeVar("T")

DRIVER_ERRORS: tuple[type[Exception], ...] = (sqlite3.Error,)
"""What the databases' own libraries raise when a statement cannot be run."""

Lock = Literal["share", "change", "skip"]
"""``share``: the row stays, and its key with it. ``change``: no other transaction changes it.
``skip``: as ``change``, without the rows that another transaction has locked."""

_ATTEMPTS = 5
_FIRST_WAIT_SECONDS = 0.02

Timing = Callable[[], AbstractContextManager[None]]


def now_ms() -> int:
    """Return the milliseconds since 1970-01-01 UTC."""
    return time.time_ns() // 1_000_000


class StoreError(Exception):
    """The database cannot be opened; the message says which and why."""


class DamagedStoreError(StoreError):
    """The database is lost or damaged: only a backup brings it back."""


class RolledBackError(ServiceUnavailableError):
    """The database undid a change for no fault of its own. Nothing was changed."""


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

    def row_lock(self, how: Lock, of: str = "", /) -> str:
        """Return the end of a SELECT that locks its rows, or those of one table, until COMMIT.

        Empty in a transaction that only reads.
        """

    def hold(self, name: str, /, *, around: Collection[str] = ()) -> None:
        """Hold a name until the end: wait for transactions that hold it, or are ``around`` it.

        Transactions that are around the same name do not wait for one another.
        """

    def last_id(self, table: str, /) -> int:
        """Return the highest id that a table has given to a row, which may be gone."""

    def continue_ids(self, table: str, after: int, /) -> None:
        """Give no id up to ``after`` to another row of a table."""


class Database(Protocol):
    """A store that is open. Safe to use from many threads."""

    @property
    def path(self) -> Path | None:
        """The file that holds it; None if it is reached over a network."""

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
            RolledBackError: another change got in the way; ``again`` repeats this one.
        """

    def check(self) -> None:
        """Raise an error if this process cannot use the database, and a new one could."""

    def require_available(self) -> None:
        """Raise ServiceUnavailableError if the database is not there, or does not answer."""

    @property
    def broken(self) -> str | None:
        """Why no further change is safe until the store is opened anew; None if it is safe."""

    def close(self) -> None:
        """Close every connection."""


def again(verb: Callable[P, T]) -> Callable[P, T]:
    """Run a verb again, a few times, if the database rolled its change back.

    Two changes had locked what the other one needs (a deadlock), or the connection was lost. All
    that the verb does must be in the one transaction that it ends with.
    """

    @functools.wraps(verb)
    def repeated(*args: P.args, **kwargs: P.kwargs) -> T:
        for attempt in range(_ATTEMPTS - 1):
            try:
                return verb(*args, **kwargs)
            except RolledBackError:
                # The other change must get its locks first, and then not meet this one again.
                time.sleep(_FIRST_WAIT_SECONDS * 2**attempt * random.uniform(1, 2))  # noqa: S311
        return verb(*args, **kwargs)

    return repeated
