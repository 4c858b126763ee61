"""What a store and its metadata files say, read without the server."""

import contextlib
import json
import sqlite3
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

Read = Callable[[str], bytes]


def read_file(location: str) -> bytes:
    return Path(location.removeprefix("file://")).read_bytes()


class Store:
    """The rows of a database that nobody else may be in, or everybody: it only reads."""

    def __init__(self, path: Path, read: Read = read_file) -> None:
        self.read = read
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("PRAGMA busy_timeout = 60000")
            connection.execute("BEGIN")
            self.integrity = [row[0] for row in connection.execute("PRAGMA integrity_check")]
            self.strays = connection.execute("PRAGMA foreign_key_check").fetchall()
            self._fill(lambda statement: connection.execute(statement).fetchall())
            connection.execute("COMMIT")

    def _fill(self, select: Callable[[str], list[Any]]) -> None:
        """Keep the rows that a transaction sees."""
        self._parsed: dict[str, dict[str, Any]] = {}
        self.namespaces: dict[str, dict[str, str]] = {
            path: json.loads(properties)
            for path, properties in select("SELECT path, properties FROM namespaces")
        }
        self.rows = select(
            "SELECT n.path || '.' || t.name, t.uuid, t.metadata_location, t.location_key"
            " FROM tabulars t JOIN namespaces n ON n.id = t.namespace_id"
        )
        self.dropped = select(
            "SELECT uuid, metadata_location, location_key, namespace_path || '.' || name,"
            " purge, started_at IS NOT NULL FROM dropped_tabulars"
        )

    def pointers(self) -> dict[str, str]:
        """Return the metadata location of each table, by ``namespace.name``."""
        return {name: location for name, _, location, _ in self.rows}

    def purges(self, name: str) -> list[bool]:
        """Return, for each time that such a table was dropped, whether it is to be purged."""
        return [bool(row[4]) for row in self.dropped if row[3] == name]

    def metadata(self, location: str) -> dict[str, Any]:
        if location not in self._parsed:
            self._parsed[location] = json.loads(self.read(location))
        return self._parsed[location]

    def tables(self) -> dict[str, str]:
        """Return the operation that made each table's present version."""
        return {
            name: self.metadata(location)["properties"]["op"] for name, _, location, _ in self.rows
        }

    def check(self) -> None:
        """Hold that the store is sound, and each pointer leads to its own table's metadata."""
        assert self.integrity == ["ok"], self.integrity
        assert not self.strays, self.strays
        for name, uuid, location, folder in self.rows:
            found = self.metadata(location)
            assert found["table-uuid"] == uuid, name
            whole = folder if "://" in folder else f"file://{folder}"
            assert f"{found['location']}/" == whole, (name, folder)
        for uuid, location, *_, purging in self.dropped:
            if not purging:
                assert self.metadata(location)["table-uuid"] == uuid
        folders = sorted([row[3] for row in self.rows] + [row[2] for row in self.dropped])
        for one, next_one in pairwise(folders):
            assert not next_one.startswith(one), f"{one} and {next_one} share a folder"
