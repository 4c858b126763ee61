"""Bring a PostgreSQL database's schema up to date with the numbered scripts."""

from falcon_catalog import __version__
from falcon_catalog.store import schema
from falcon_catalog.store.database import StoreError
from falcon_catalog.store.postgres import dialect, outcomes
from falcon_catalog.store.postgres.transaction import Connection

_LOCK = 0x46616C636F6E  # of all migrations in a database, whatever their schema


def applied(connection: Connection) -> list[str] | None:
    """Return the scripts that a database has seen; None if it holds no catalog."""
    there = connection.execute("SELECT to_regclass('schema_migrations')::text").fetchone()
    if there is None or there[0] is None:
        return None
    rows = connection.execute("SELECT name FROM schema_migrations ORDER BY name")
    return [name for (name,) in rows]


def require_current(connection: Connection, *, hint: str) -> None:
    """Raise unless the schema is this version's; ``hint`` says how to get there.

    Raises:
        StoreError: there is no catalog.
        SchemaError: it is of another version.
    """
    found = applied(connection)
    if found is None:
        raise StoreError(f"there is no catalog in the database; {hint}")
    if missing := schema.pending(found):
        raise schema.SchemaTooOldError(
            f"its schema is {found[-1]!r}, of an older version; falcon-catalog {__version__} needs"
            f" {missing[-1]!r}; {hint}"
        )


def migrate(connection: Connection) -> list[str]:
    """Apply every script that the database has not seen, all of them or none; return their names.

    Raises:
        SchemaTooNewError: the database has seen scripts that this version does not have.
        StoreError: there is no schema to create the tables in.
        psycopg.Error: a script failed; the database is as it was.
    """
    found = applied(connection)
    if found is not None and not schema.pending(found):
        return []  # without a lock, which a standby would refuse
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        row = connection.execute("SELECT current_schema()").fetchone()
        if row is None or row[0] is None:
            raise StoreError(
                "none of the schemas in the search path exists: create one, or set"
                " store.search_path"
            )
        found = applied(connection)
        if found is None:
            connection.execute(
                'CREATE TABLE schema_migrations (name TEXT COLLATE "C" PRIMARY KEY,'
                " applied_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp())"
            )
        connection.execute(outcomes.TABLE)
        pending, scripts = schema.pending(found or []), schema.scripts()
        for name in pending:
            connection.execute(dialect.script(scripts[name]).encode())
            connection.execute("INSERT INTO schema_migrations (name) VALUES (%s)", (name,))
    return pending
