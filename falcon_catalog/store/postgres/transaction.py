"""A transaction of PostgreSQL, and single statements without one."""

import hashlib
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import psycopg

from falcon_catalog.store.database import Lock
from falcon_catalog.store.postgres.dialect import statement
from falcon_catalog.store.postgres.failures import explained

Connection = psycopg.Connection[tuple[Any, ...]]

_ROW_LOCKS: dict[Lock, str] = {
    "share": " FOR KEY SHARE",
    "change": " FOR UPDATE",
    "skip": " FOR UPDATE SKIP LOCKED",
}
_HOLD = (
    "SELECT CASE WHEN alone THEN pg_advisory_xact_lock(id) ELSE pg_advisory_xact_lock_shared(id)"
    " END FROM unnest(%s::bigint[], %s::boolean[]) AS wanted (id, alone)"
)


@dataclass(frozen=True, slots=True)
class PostgresTransaction:
    """A running transaction; as ``store.database.Transaction``."""

    connection: Connection
    now: int
    """Milliseconds since 1970-01-01 UTC."""
    schema: str = ""
    """Of the catalog's tables: each has names of its own that can be held."""
    locks: bool = False
    """Whether it changes something, and so locks what it reads for that."""

    def one(self, sql: str, parameters: tuple[Any, ...] = ()) -> Any | None:
        """Return the first row, or None."""
        return _run(self.connection, sql, parameters).fetchone()

    def all(self, sql: str, parameters: tuple[Any, ...] = ()) -> list[Any]:
        """Return every row."""
        return _run(self.connection, sql, parameters).fetchall()

    def change(self, sql: str, parameters: tuple[Any, ...] = ()) -> int:
        """Run one statement and return how many rows it changed."""
        return _run(self.connection, sql, parameters).rowcount

    def row_lock(self, how: Lock, of: str = "", /) -> str:
        """Return the end of a SELECT that locks its rows, or those of one table, until COMMIT."""
        if not self.locks:
            return ""
        if not of:
            return _ROW_LOCKS[how]
        mode, _, rest = _ROW_LOCKS[how].partition(" SKIP")
        return f"{mode} OF {of}{' SKIP' if rest else ''}{rest}"

    def hold(self, name: str, /, *, around: Collection[str] = ()) -> None:
        """Hold a name until the end, with advisory locks in one order."""
        if not self.locks:
            return
        wanted = sorted(
            [(self._lock_id(each), False) for each in around] + [(self._lock_id(name), True)]
        )
        ids, alone = ([each[column] for each in wanted] for column in (0, 1))
        try:
            self.connection.execute(_HOLD, (ids, alone))
        except psycopg.Error as error:
            raise explained(error) from error

    def _lock_id(self, name: str) -> int:
        digest = hashlib.blake2b(f"{self.schema}\0{name}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, signed=True)


@dataclass(frozen=True, slots=True)
class Statements:
    """Single statements, each over any connection of the pool."""

    borrow: Callable[[], AbstractContextManager[Connection]]
    now: int
    """Milliseconds since 1970-01-01 UTC."""

    def one(self, sql: str, parameters: tuple[Any, ...] = ()) -> Any | None:
        """Return the first row, or None."""
        return self._run(sql, parameters, lambda cursor: cursor.fetchone())

    def all(self, sql: str, parameters: tuple[Any, ...] = ()) -> list[Any]:
        """Return every row."""
        rows: list[Any] = self._run(sql, parameters, lambda cursor: cursor.fetchall())
        return rows

    def change(self, sql: str, parameters: tuple[Any, ...] = ()) -> int:
        """Run one statement and return how many rows it changed."""
        with self.borrow() as connection:
            return _run(connection, sql, parameters).rowcount

    def row_lock(self, _how: Lock, _of: str = "", /) -> str:
        """Return nothing: the lock would end with the statement."""
        return ""

    def hold(self, _name: str, /, *, around: Collection[str] = ()) -> None:
        """Do nothing: the lock would end with the statement."""

    def _run(self, sql: str, parameters: tuple[Any, ...], fetch: Callable[[Any], Any]) -> Any:
        with self.borrow() as connection:
            try:
                return fetch(connection.execute(statement(sql), parameters))
            except psycopg.Error as error:
                if not connection.closed:
                    raise explained(error) from error
        # The server closed it while it was idle. A SELECT can be repeated.
        with self.borrow() as connection:
            return fetch(_run(connection, sql, parameters))


def _run(
    connection: Connection, sql: str, parameters: tuple[Any, ...]
) -> psycopg.Cursor[tuple[Any, ...]]:
    try:
        return connection.execute(statement(sql), parameters)
    except psycopg.Error as error:
        raise explained(error) from error
