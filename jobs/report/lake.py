"""Questions to the lake: SQL by DuckDB, snapshots by PyIceberg, nothing written."""

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import duckdb
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.table.snapshots import Snapshot, ancestors_of

from jobs import iceberg
from jobs.transform.running import EXTENSIONS, install_extensions

# What DuckDB may hold at once; beyond it, it spills to disk or says so.
MEMORY = "1GB"

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Lake:
    """A warehouse attached to DuckDB as ``lake``; times are UTC."""

    connection: duckdb.DuckDBPyConnection
    catalog: Catalog
    uri: str

    def ask(self, sql: str, **parameters: Any) -> Rows:
        """Give a query's rows as dictionaries; parameters are written ``$name``.

        Raises:
            duckdb.CatalogException: there is no such table.
            duckdb.BinderException: there is no such column.
        """
        found = self.connection.execute(sql, parameters or None)
        names = [column[0] for column in found.description or []]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]

    def snapshots(self, table: str) -> list[Snapshot]:
        """Give the snapshots that a reader could meet, up to the present one, oldest first.

        A load that replaces rows makes two in one commit, one without the old rows, one with the
        new: the first of them was never there to be read.
        """
        try:
            loaded = self.catalog.load_table(table)
        except NoSuchTableError:
            return []
        newest_first = ancestors_of(loaded.current_snapshot(), loaded.metadata)
        by_load = groupby(enumerate(newest_first), key=_load)
        return [next(snapshots)[1] for _, snapshots in by_load][::-1]


@contextmanager
def open_lake(uri: str, warehouse: str, token: str, extensions: Path) -> Iterator[Lake]:
    """Attach a catalog's warehouse for a while.

    Args:
        uri: URL of the catalog.
        warehouse: name of the warehouse.
        token: bearer token, or empty.
        extensions: folder of DuckDB's extensions, filled if it is not.

    Raises:
        requests.ConnectionError: nothing listens at the URL.
    """
    catalog = iceberg.connect(uri, warehouse, token)
    install_extensions(extensions)
    settings = f"SET memory_limit = '{MEMORY}'; SET TimeZone = 'UTC'"
    with duckdb.connect(config={"extension_directory": str(extensions)}) as connection:
        for name in EXTENSIONS:
            connection.load_extension(name)
        connection.execute(settings)
        connection.execute(f"ATTACH '{_quoted(warehouse)}' AS lake ({_options(uri, token)})")
        yield Lake(connection, catalog, uri)


def committed(snapshot: Snapshot) -> dt.datetime:
    """Give a snapshot's time, UTC."""
    return dt.datetime.fromtimestamp(snapshot.timestamp_ms / 1000, dt.UTC)


def _load(numbered: tuple[int, Snapshot]) -> str | int:
    """Name the load that made a snapshot; what no load made stands alone."""
    number, snapshot = numbered
    return (snapshot.summary and snapshot.summary.get(iceberg.LOAD_ID)) or number


def _options(uri: str, token: str) -> str:
    access = f"TOKEN '{_quoted(token)}'" if token else "AUTHORIZATION_TYPE 'none'"
    return f"TYPE iceberg, ENDPOINT '{_quoted(uri)}', {access}"


def _quoted(text: str) -> str:
    return text.replace("'", "''")
