"""Read-only access to the lake: SQL by DuckDB, snapshots by PyIceberg."""

import datetime as dt
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, TypeVar

import duckdb
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.table.snapshots import Snapshot, ancestors_of

from jobs.lake import iceberg, rest
from jobs.transform.running import EXTENSIONS, install_extensions

# DuckDB's memory limit, beyond which it spills to disk.
MEMORY = "1GB"

Rows = list[dict[str, Any]]
T = TypeVar("T")

# What DuckDB raises for a table or a column that is not there.
MISSING = (duckdb.CatalogException, duckdb.BinderException)


@dataclass(frozen=True)
class Lake:
    """A warehouse attached to DuckDB as ``lake``; times are UTC."""

    connection: duckdb.DuckDBPyConnection
    catalog: Catalog
    uri: str
    warehouse: str

    def ask(self, sql: str, **parameters: Any) -> Rows:
        """Return a query's rows as dictionaries; parameters are written ``$name``.

        Raises:
            duckdb.CatalogException: there is no such table.
            duckdb.BinderException: there is no such column.
        """
        found = self.connection.execute(sql, parameters or None)
        names = [column[0] for column in found.description or []]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]

    def held(self, make: Callable[[], T]) -> T | None:
        """Return what queries make, or None if the lake lacks their tables."""
        try:
            return make()
        except MISSING:
            return None

    def snapshots(self, table: str) -> list[Snapshot]:
        """Return the table's history up to the current snapshot, oldest first.

        A load that replaces rows commits two snapshots at once, of which only the last was ever
        visible; the other is left out.
        """
        try:
            loaded = self.catalog.load_table(table)
        except NoSuchTableError:
            return []
        newest_first = ancestors_of(loaded.current_snapshot(), loaded.metadata)
        by_load = groupby(enumerate(newest_first), key=_load)
        return [next(snapshots)[1] for _, snapshots in by_load][::-1]


@contextmanager
def open_lake(
    uri: str, warehouse: str, extensions: Path, *, token: str = "", credential: str = ""
) -> Iterator[Lake]:
    """Attach a catalog's warehouse to a new DuckDB connection, which is closed on exit.

    Args:
        uri: URL of the catalog.
        warehouse: name of the warehouse.
        extensions: folder of DuckDB's extensions; missing ones are installed.
        token: bearer token, or empty.
        credential: CLIENT_ID:CLIENT_SECRET to get a token for, or empty.

    Raises:
        requests.ConnectionError: nothing listens at the URL.
    """
    catalog = rest.connect(uri, warehouse, token, credential)
    install_extensions(extensions)
    settings = f"SET memory_limit = '{MEMORY}'; SET TimeZone = 'UTC'"
    with duckdb.connect(config={"extension_directory": str(extensions)}) as connection:
        for name in EXTENSIONS:
            connection.load_extension(name)
        connection.execute(settings)
        options = f"TYPE iceberg, ENDPOINT {_quoted(uri)}, {_access(uri, token, credential)}"
        connection.execute(f"ATTACH {_quoted(warehouse)} AS lake ({options})")
        yield Lake(connection, catalog, uri, warehouse)


def committed(snapshot: Snapshot) -> dt.datetime:
    """Return a snapshot's commit time in UTC."""
    return dt.datetime.fromtimestamp(snapshot.timestamp_ms / 1000, dt.UTC)


def _load(numbered: tuple[int, Snapshot]) -> str | int:
    """Return the load that made a snapshot, or its number if no load did."""
    number, snapshot = numbered
    return (snapshot.summary and snapshot.summary.get(iceberg.LOAD_ID)) or number


def _access(uri: str, token: str, credential: str) -> str:
    if credential:
        client_id, _, secret = credential.partition(":")
        server = f"{uri.rstrip('/')}/v1/oauth/tokens"
        return (
            f"CLIENT_ID {_quoted(client_id)}, CLIENT_SECRET {_quoted(secret)},"
            f" OAUTH2_SERVER_URI {_quoted(server)}"
        )
    return f"TOKEN {_quoted(token)}" if token else "AUTHORIZATION_TYPE 'none'"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
