"""A transaction of SQLite."""

import sqlite3
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from falcon_catalog.store.database import Lock


@dataclass(frozen=True, slots=True)
class SqliteTransaction:
    """A running transaction; as ``store.database.Transaction``."""

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

    def row_lock(self, _how: Lock, _of: str = "", /) -> str:
        """Return nothing: changes run one at a time."""
        return ""

    def hold(self, _name: str, /, *, around: Collection[str] = ()) -> None:
        """Do nothing: changes run one at a time."""
