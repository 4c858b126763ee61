"""A transaction of PostgreSQL, and single statements without one."""

import hashlib
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
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


_HELD = (
    "SELECT (classid::bigint << 32) | objid::bigint FROM pg_locks WHERE locktype = 'advisory'"
    " AND objsubid = 1 AND granted"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)
_ID_BITS = 44


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
    afterwards: list[Callable[[], object]] = field(default_factory=list)

    def one(self, sql: str, parameters: tuple[Any, ...] = (), /) -> Any | None:
        """Return the first row, or None."""
        return _run(self.connection, sql, parameters).fetchone()

    def all(self, sql: str, parameters: tuple[Any, ...] = (), /) -> list[Any]:
        """Return every row."""
        return _run(self.connection, sql, parameters).fetchall()

    def change(self, sql: str, parameters: tuple[Any, ...] = (), /) -> int:
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

    def announce(self, table: str, /) -> None:
        """Hold, until the end, a number that this transaction's ids of a table will exceed.

        Ids are given before COMMIT, and the lower one may be committed later. The sequence is read
        before the lock is taken, and the ids are drawn after it.
        """
        last = self.last_id(table)
        try:
            self.connection.execute(
                "SELECT pg_advisory_xact_lock_shared(%s)", (_pending(self.schema, table) | last,)
            )
        except psycopg.Error as error:
            raise explained(error) from error

    def settled_id(self, table: str, /) -> int:
        """Return the id up to which no further row of a table can appear.

        A transaction that holds its number when the locks are read has only higher ids; one that
        takes it later draws its ids later, and so above the last one of now; one that no longer
        has it is committed, and its rows are visible.
        """
        return _settled(self.last_id(table), self.all(_HELD), _pending(self.schema, table))

    def after_commit(self, call: Callable[[], object], /) -> None:
        """Call something once the transaction is stored."""
        self.afterwards.append(call)

    def last_id(self, table: str, /) -> int:
        """Return the highest id that a table has given to a row, which may be gone."""
        row = self.one(f"SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM {table}_id_seq")  # noqa: S608
        return int(row[0]) if row else 0

    def continue_ids(self, table: str, after: int, /) -> None:
        """Give no id up to ``after`` to another row of a table."""
        if after:
            self.one("SELECT setval(?, ?)", (f"{table}_id_seq", after))

    def _lock_id(self, name: str) -> int:
        digest = hashlib.blake2b(f"{self.schema}\0{name}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, signed=True)


@dataclass(frozen=True, slots=True)
class Statements:
    """Single statements, each over any connection of the pool."""

    run: Callable[[Callable[[Connection], Any]], Any]
    """Run one over a connection, and again over another one if that was lost: it only reads."""
    now: int
    """Milliseconds since 1970-01-01 UTC."""
    schema: str = ""
    """As that of ``PostgresTransaction``."""

    def one(self, sql: str, parameters: tuple[Any, ...] = (), /) -> Any | None:
        """Return the first row, or None."""
        return self.run(lambda session: session.execute(statement(sql), parameters).fetchone())

    def all(self, sql: str, parameters: tuple[Any, ...] = (), /) -> list[Any]:
        """Return every row."""
        rows: list[Any] = self.run(
            lambda session: session.execute(statement(sql), parameters).fetchall()
        )
        return rows

    def change(self, _sql: str, _parameters: tuple[Any, ...] = (), /) -> int:
        """Refuse: a change needs a transaction, whose outcome is known or said to be unknown."""
        raise TypeError("a change needs Database.write")

    def row_lock(self, _how: Lock, _of: str = "", /) -> str:
        """Return nothing: the lock would end with the statement."""
        return ""

    def hold(self, _name: str, /, *, around: Collection[str] = ()) -> None:
        """Do nothing: the lock would end with the statement."""

    def announce(self, _table: str, /) -> None:
        """Refuse, as ``change``."""
        raise TypeError("a change needs Database.write")

    def settled_id(self, table: str, /) -> int:
        """As ``PostgresTransaction.settled_id``."""
        return _settled(self.last_id(table), self.all(_HELD), _pending(self.schema, table))

    def after_commit(self, _call: Callable[[], object], /) -> None:
        """Refuse, as ``change``."""
        raise TypeError("a change needs Database.write")

    def last_id(self, table: str, /) -> int:
        """As ``PostgresTransaction.last_id``."""
        last: int = self.run(lambda session: PostgresTransaction(session, self.now).last_id(table))
        return last

    def continue_ids(self, _table: str, _after: int, /) -> None:
        """Refuse, as ``change``."""
        raise TypeError("a change needs Database.write")


def _pending(schema: str, table: str) -> int:
    """Return the upper bits of the advisory locks that announce rows of a table."""
    digest = hashlib.blake2b(f"{schema}\0pending {table}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, signed=True) >> _ID_BITS << _ID_BITS


def _settled(last: int, held: list[Any], pending: int) -> int:
    ids = (1 << _ID_BITS) - 1
    held_ids: list[int] = [lock & ids for (lock,) in held if lock & ~ids == pending]
    return min([last, *held_ids])


def _run(
    connection: Connection, sql: str, parameters: tuple[Any, ...]
) -> psycopg.Cursor[tuple[Any, ...]]:
    try:
        return connection.execute(statement(sql), parameters)
    except psycopg.Error as error:
        raise explained(error) from error
