"""Stores as an older version left them."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

BEFORE = "0006_store_identity"
NEWEST = "0007_rotation"
_BACK = (
    "DROP TABLE signing_keys",
    """CREATE TABLE signing_keys (
        id INTEGER PRIMARY KEY CHECK (id = 1), key BLOB NOT NULL, created_at INTEGER NOT NULL
    ) STRICT""",
    "ALTER TABLE principals DROP COLUMN previous_secret_hash",
    "ALTER TABLE principals DROP COLUMN previous_until",
    f"DELETE FROM _sqlite_migrations WHERE name = '{NEWEST}'",
)


@contextmanager
def made_older(database: Path) -> Iterator[sqlite3.Connection]:
    """Take the newest schema change back from a database, which may then be changed further."""
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        for statement in _BACK:
            connection.execute(statement)
        yield connection
