"""A catalog with tables to maintain, and what their files and readers say of them."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
from duckdb_extensions import import_extension
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.typedef import Identifier
from pyiceberg.types import DoubleType, LongType, NestedField, StringType

from falcon_catalog.identifiers import TableIdentifier
from falcon_catalog.locations import key
from falcon_catalog.store import tabulars
from jobs.maintenance.reach import everything
from tests.catalog.serving import Server

Rows = list[tuple[Any, ...]]
DAY = 24 * 60 * 60


def with_extensions(folder: Path) -> dict[str, str]:
    """Install DuckDB's extensions from their wheels; return the settings that find them."""
    config = {"extension_directory": str(folder), "autoinstall_known_extensions": "false"}
    with duckdb.connect(config=config) as database:
        for name in ("avro", "httpfs", "iceberg"):
            import_extension(name, con=database)
    return config


@dataclass
class Wire:
    """What becomes of requests on their way to the catalog, and of answers on their way back."""

    before: list[Callable[[str, str], None]] = field(default_factory=list)
    """Called with verb and path of each request before it is served."""
    lose: Callable[[str, str], bool] = lambda _verb, _path: False
    """Whether the answer to a request is lost, which was served."""
    refuse: Callable[[str, str], str | None] = lambda _verb, _path: None
    """The status that a request is answered with instead of being served, if any."""

    def around(self, app: Any) -> Callable[..., Any]:
        def wrapped(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
            verb, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
            for hook in list(self.before):
                hook(verb, path)
            status = self.refuse(verb, path)
            if status:
                start_response(status, [("Content-Type", "text/plain")])
                return [b"not this one"]
            if not self.lose(verb, path):
                return app(environ, start_response)
            for _ in app(environ, lambda *_: None):
                pass
            start_response("500 Internal Server Error", [("Content-Type", "text/plain")])
            return [b"the answer is lost"]

        return wrapped


def is_commit(verb: str, path: str) -> bool:
    """Say whether a request is a commit to one table."""
    return verb == "POST" and "/tables/" in path


@dataclass
class Lake:
    """A running catalog and its clients."""

    server: Server
    catalog: RestCatalog
    wire: Wire
    duck: duckdb.DuckDBPyConnection

    @property
    def url(self) -> str:
        return self.server.url

    @property
    def warehouse(self) -> Path:
        return self.server.warehouse

    def load(self, name: str | Identifier) -> Table:
        return self.catalog.load_table(name)

    def rows(self, name: str | Identifier, **options: Any) -> Rows:
        """Read a table with PyIceberg, sorted."""
        return in_order(self.load(name).scan(**options).to_arrow().to_pylist())

    def duck_rows(self, name: str) -> Rows:
        """Read a table with DuckDB, sorted."""
        return in_order(self.sql(f"SELECT * FROM lake.{name}").to_arrow_table().to_pylist())

    def ids(self, name: str) -> list[int]:
        """Read a table's ids with PyIceberg and with DuckDB, which must agree."""
        assert self.rows(name) == self.duck_rows(name)
        return sorted(row[0] for row in self.rows(name))

    def sql(self, statement: str) -> duckdb.DuckDBPyConnection:
        return self.duck.execute(statement)

    def move_unchecked(self, name: Identifier, location: str) -> None:
        """Move a table without snapshots to where an older version let it be created."""
        table = self.load(name)
        old, new = table.location(), f"{location}/metadata/00000-moved.metadata.json"
        path_of(old).rename(path_of(location))
        written = path_of(table.metadata_location.replace(old, location))
        path_of(new).write_text(written.read_text("utf-8").replace(old, location), "utf-8")
        catalog = self.server.catalog
        with catalog.store.write() as tx:
            identifier = TableIdentifier.of({"namespace": name[:-1], "name": name[-1]})
            row = tabulars.find(tx, catalog.id, identifier)
            assert row is not None
            tabulars.repoint(tx, row.id, new, key(location))

    def files(self, name: str | Identifier) -> set[Path]:
        """List what lies in a table's folder."""
        folder = path_of(self.load(name).location())
        return {path for path in folder.rglob("*") if path.is_file()}

    def missing(self, name: str | Identifier) -> set[str]:
        """Name the files that the table needs and that are not there."""
        return {path for path in everything(self.load(name)) if not Path(path).exists()}

    def unreferenced(self, name: str) -> set[Path]:
        """List the files in the table's folder that nothing of the table reaches."""
        needed = {Path(path) for path in everything(self.load(name))}
        return self.files(name) - needed


def path_of(location: str) -> Path:
    return Path(location.removeprefix("file://"))


def in_order(rows: list[dict[str, Any]]) -> Rows:
    """Sort rows, whatever is in them."""
    return sorted((tuple(row.values()) for row in rows), key=repr)


def age(paths: set[Path], days: float) -> None:
    """Make files look as if they had been written some days ago."""
    for path in paths:
        then = path.stat().st_mtime - days * DAY
        os.utime(path, (then, then))


SCHEMA = Schema(
    NestedField(1, "id", LongType(), required=False),
    NestedField(2, "station", StringType(), required=False),
    NestedField(3, "temperature", DoubleType(), required=False),
)
"""What ``observations`` makes."""


def observations(first: int, count: int) -> pa.Table:
    """Make rows of weather-like data; each has an id of its own."""
    ids = range(first, first + count)
    columns = {
        "id": ids,
        "station": [f"K{'ABC'[i % 3]}" for i in ids],
        "temperature": [None if i % 7 == 0 else i / 2 for i in ids],
    }
    return pa.table(columns, schema=schema_to_pyarrow(SCHEMA, include_field_ids=False))


def append_each(table: Table, batches: int, rows: int = 10, first: int = 0) -> None:
    """Append rows in commits of their own."""
    for number in range(batches):
        table.append(observations(first + number * rows, rows))
