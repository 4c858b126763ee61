"""Bring a SQLite database's schema up to date with the numbered scripts."""

import contextlib
import sqlite3
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from falcon_catalog.store import schema
from falcon_catalog.store.database import now_ms
from falcon_catalog.store.sqlite.transaction import SqliteTransaction

_SET = "falcon_catalog"


def migrate(connection: sqlite3.Connection) -> list[str]:
    """Apply every script that the database has not seen, all of them or none.

    Returns the names of the applied scripts, oldest first.

    Raises:
        SchemaTooNewError: the database has seen scripts that this version does not have.
        sqlite3.Error: a script failed; the database is as it was.
    """
    # One lock around the look and the change: two servers may start at once.
    connection.execute("BEGIN IMMEDIATE")
    try:
        pending = schema.pending(applied(connection))
        if pending:
            _apply(connection, schema.scripts())
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return pending


@contextlib.contextmanager
def migrated(path: Path) -> Iterator[SqliteTransaction]:
    """Migrate a database that nobody else has open, and change it in one transaction.

    The file alone is the database on return, so that it can be renamed; it is not synced.

    Raises:
        SchemaTooNewError, sqlite3.Error: as ``migrate``.
    """
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        # Without a log beside it.
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("PRAGMA synchronous = FULL")
        migrate(connection)
        connection.execute("BEGIN IMMEDIATE")
        yield SqliteTransaction(connection, now_ms())
        connection.execute("COMMIT")
        connection.execute("PRAGMA journal_mode = WAL")


def applied(connection: sqlite3.Connection) -> list[str]:
    """Return the names of the scripts that the database has seen, from sqlite-utils' own table."""
    there = connection.execute(
        "SELECT 1 FROM sqlite_master WHERE name = '_sqlite_migrations'"
    ).fetchone()
    if there is None:
        return []
    rows = connection.execute(
        "SELECT name FROM _sqlite_migrations WHERE migration_set = ? ORDER BY rowid", (_SET,)
    )
    return [row[0] for row in rows]


def _apply(connection: sqlite3.Connection, scripts: Mapping[str, str]) -> None:
    with _hidden("numpy", "pandas"):
        import sqlite_utils  # noqa: PLC0415 - not needed while the schema is up to date

    def step(sql: str) -> Callable[[sqlite_utils.Database], None]:
        def run(database: sqlite_utils.Database, /) -> None:
            for statement in _statements(sql):
                database.conn.execute(statement)

        return run

    connection.create_function("new_uuid", 0, lambda: str(uuid.uuid4()))
    connection.create_function("now_ms", 0, now_ms)
    migrations = sqlite_utils.Migrations(_SET)
    for name, sql in scripts.items():
        migrations(name=name)(step(sql))
    migrations.apply(sqlite_utils.Database(connection))


def _statements(script: str) -> Iterator[str]:
    """Yield the statements of a script; each ends with a line.

    sqlite-utils looks for the end after every character, which takes 50 ms for all scripts.
    """
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
    if statement.strip():
        yield statement


@contextlib.contextmanager
def _hidden(*modules: str) -> Iterator[None]:
    """Hide modules from an import that would load them where they are installed.

    sqlite-utils loads pandas and numpy for features that are not used here: a second, and 80 MB
    that the process would keep.
    """
    hidden = [module for module in modules if module not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type] # None: not importable
    try:
        yield
    finally:
        for module in hidden:
            del sys.modules[module]
