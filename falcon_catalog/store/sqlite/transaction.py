"""A transaction of SQLite."""

import sqlite3
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

from falcon_catalog.store.database import Lock


@dataclass(slots=True)  # not frozen: one is made for each statement, and that takes longer
class SqliteTransaction:
    """A running transaction; as ``store.database.Transaction``."""

    connection: sqlite3.Connection
    now: int
    """Milliseconds since 1970-01-01 UTC."""
    afterwards: list[Callable[[], object]] = field(default_factory=list)

    def one(self, sql: str, parameters: tuple[Any, ...] = ()) -> Any | None:
        """Return the first row, or None."""
        return self.connection.execute(sql, parameters).fetchone()

    def all(self, sql: str, parameters: tuple[Any, ...] = ()) -> list[Any]:
        """Return every row."""
        return self.connection.execute(sql, parameters).fetchall()

    def change(self, sql: str, parameters: tuple[Any, ...] = ()) -> int:
        """Run one statement and return how many rows it changed."""
        return self.connection.execute(sql, parameters).rowcount

    def row_lock(self, _how: Lock, _of: str = "", /) -> str:
        """Return nothing: changes run one at a time."""
        return ""

    def hold(self, _name: str, /, *, around: Collection[str] = ()) -> None:
        """Do nothing: changes run one at a time."""

    def announce(self, _table: str, /) -> None:
        """Do nothing: changes run one at a time."""

    def settled_id(self, table: str, /) -> int:
        """Return the highest id: ids are given in the order of the commits."""
        return self.last_id(table)

    def after_commit(self, call: Callable[[], object], /) -> None:
        """Call something once the transaction is stored."""
        self.afterwards.append(call)

    def last_id(self, table: str, /) -> int:
        """Return the highest id that a table has given, or has where it may be given again."""
        given = self.one("SELECT seq FROM sqlite_sequence WHERE name = ?", (table,))
        found = given or self.one(f"SELECT coalesce(max(id), 0) FROM {table}")  # noqa: S608
        return int(found[0]) if found else 0

    def continue_ids(self, table: str, after: int, /) -> None:
        """Note the highest id, where the schema asks for it (AUTOINCREMENT)."""
        self.change("UPDATE sqlite_sequence SET seq = ? WHERE name = ?", (after, table))
        if self.one(
            "SELECT 1 FROM sqlite_master WHERE name = ? AND sql LIKE '%AUTOINCREMENT%'"
            " AND name NOT IN (SELECT name FROM sqlite_sequence)",
            (table,),
        ):
            self.change("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", (table, after))
