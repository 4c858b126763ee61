"""Marks of committed changes, which settle a COMMIT whose answer was lost.

Each change inserts a mark of its own in the message that also has its COMMIT. After a lost answer
the same mark is inserted over another connection, as one that stands for no change. Only one of
the two can be stored, as the mark is the primary key: either the change is committed, or it never
will be, even if its COMMIT still arrives. This also holds after a failover, where the mark is
there exactly if the change is.

PostgreSQL's ``pg_xact_status`` answers neither: after a crash, or on a standby that was promoted,
the number of a lost transaction is given to another one.
"""

import uuid

import psycopg

from falcon_catalog.store.postgres.transaction import Connection

TABLE = (
    "CREATE TABLE IF NOT EXISTS outcomes (mark UUID PRIMARY KEY, is_stored BOOLEAN NOT NULL,"
    " at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp())"
)
SETTLED_SECONDS = 300.0
"""For how long after its COMMIT was sent a change can be settled."""
PRUNE_SECONDS = 300.0
"""How often old marks are deleted."""
_PRUNE = "DELETE FROM outcomes WHERE at < clock_timestamp() - interval '15 minutes'"
# What changed nothing needs no mark.
_COMMIT = (
    "INSERT INTO outcomes (mark, is_stored) SELECT '{0}', true"
    " WHERE pg_current_xact_id_if_assigned() IS NOT NULL; COMMIT"
)
# The update makes its COMMIT wait until that of the change is as safe, on a standby, too.
_SETTLE = (
    "INSERT INTO outcomes (mark, is_stored) VALUES (%s, false)"
    " ON CONFLICT (mark) DO UPDATE SET at = clock_timestamp() RETURNING is_stored"
)


def commit(connection: Connection, mark: uuid.UUID) -> None:
    """Commit a change with its mark; fail if a statement had failed."""
    connection.execute(_COMMIT.format(mark).encode(), prepare=False)


def is_stored(connection: Connection, mark: uuid.UUID) -> bool:
    """Return whether a change is stored, and see to it that it will not be if it is not."""
    row = connection.execute(_SETTLE, (mark,)).fetchone()
    if row is None:
        raise psycopg.DatabaseError("the mark of a change is not returned")
    return bool(row[0])


def prune(connection: Connection) -> None:
    """Delete marks that no server can need any more."""
    connection.execute(_PRUNE)
