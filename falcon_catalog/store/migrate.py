"""Bring a database's schema up to date with the numbered scripts in ``migrations/``."""

import sqlite3
from collections.abc import Callable
from importlib import resources

import sqlite_utils
from sqlite_utils import Migrations


class SchemaTooNewError(Exception):
    """The database was written by a newer version of this program."""


def migrate(connection: sqlite3.Connection) -> list[str]:
    """Apply every script that the database has not seen, all of them or none.

    Returns the names of the applied scripts, oldest first.

    Raises:
        SchemaTooNewError: the database has seen scripts that this version does not have.
        sqlite3.Error: a script failed; the database is as it was.
    """
    database = sqlite_utils.Database(connection)
    scripts = _scripts()
    migrations = Migrations("falcon_catalog")
    for name, sql in scripts.items():
        migrations(name=name)(_run(sql))
    # One lock around the look and the change: two servers may start at once.
    connection.execute("BEGIN IMMEDIATE")
    try:
        unknown = [m.name for m in migrations.applied(database) if m.name not in scripts]
        if unknown:
            raise SchemaTooNewError(
                f"the database has the schema change {unknown[-1]!r}, which this version of "
                "falcon-catalog does not know; use the version that made it, or a newer one"
            )
        pending = [m.name for m in migrations.pending(database)]
        if pending:
            migrations.apply(database)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return pending


def _run(sql: str) -> Callable[[sqlite_utils.Database], None]:
    def run(database: sqlite_utils.Database, /) -> None:
        database.executescript(sql)

    return run


def _scripts() -> dict[str, str]:
    folder = resources.files("falcon_catalog.store") / "migrations"
    scripts = [entry for entry in folder.iterdir() if entry.name.endswith(".sql")]
    return {
        entry.name.removesuffix(".sql"): entry.read_text(encoding="utf-8")
        for entry in sorted(scripts, key=lambda entry: entry.name)
    }
