"""The catalog on a real socket, DuckDB and PyIceberg attached to it."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from duckdb_extensions import import_extension
from pyiceberg.catalog import load_catalog
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.table import Table

from tests.catalog.serving import Server
from tests.catalog.serving import serving as catalog_serving

Rows = list[tuple[Any, ...]]

# The schema of most tables that PyIceberg makes here.
ARROW = pa.schema([("i", pa.int32()), ("s", pa.string())])


def rows(*pairs: tuple[int, str]) -> pa.Table:
    """Make rows of the schema ARROW."""
    return pa.Table.from_pylist([{"i": i, "s": s} for i, s in pairs], schema=ARROW)


def reload(table: Table) -> Table:
    """Load a table again: what the catalog says, not what the client thinks."""
    return table.catalog.load_table(table.name())


def read(table: Table, **options: Any) -> Rows:
    """Read what the catalog has of a table, with PyIceberg, sorted."""
    found = reload(table).scan(**options).to_arrow().to_pylist()
    return sorted(tuple(row.values()) for row in found)


class Lake:
    """A running catalog, the folder of its tables, and the requests that came in."""

    def __init__(self, server: Server) -> None:
        self.url = server.url
        self.warehouse = server.warehouse
        self._server = server
        self._forgotten = 0

    @property
    def requests(self) -> list[str]:
        """Verb and raw path of each request, without its query, as the access log has them.

        Those that one process answered are in order.
        """
        lines = map(json.loads, self._server.log[self._forgotten :].splitlines())
        return [line["message"] for line in lines if line["logger"] == "falcon_catalog.access"]

    def forget(self) -> None:
        """Let ``requests`` have only those that come from now on."""
        self._forgotten = len(self._server.log)

    def sent(self, verb: str) -> list[str]:
        """Return the paths that were asked for with a verb."""
        return [path for seen, path in map(str.split, self.requests) if seen == verb]


class Duck:
    """A DuckDB connection that has the catalog attached as ``lake``."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self.connection = connection

    def __call__(self, *statements: str) -> Rows:
        """Run statements in order; return the rows of the last one."""
        for statement in statements:
            self.connection.execute(statement)
        return self.connection.fetchall()


Attach = Callable[..., Duck]
Connect = Callable[..., RestCatalog]


class Pool:
    """DuckDB databases to use again: loading their extensions takes longer than most tests."""

    def __init__(self, extensions: Path) -> None:
        self.config = {
            "extension_directory": str(extensions),
            "autoinstall_known_extensions": "false",
        }
        self.idle: list[duckdb.DuckDBPyConnection] = []
        with duckdb.connect(config=self.config) as database:
            for name in ("avro", "httpfs", "iceberg"):
                import_extension(name, con=database)

    @contextmanager
    def connection(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Yield a connection to a database that nobody else uses."""
        if not self.idle:
            self.idle.append(duckdb.connect(config=self.config))
            self.idle[-1].execute("LOAD iceberg")
        database = self.idle.pop()
        with database.cursor() as connection:
            yield connection
        database.execute("DETACH DATABASE IF EXISTS lake")
        self.idle.append(database)

    def close(self) -> None:
        """Close the databases."""
        for database in self.idle:
            database.close()


@contextmanager
def serving(folder: Path, **told: object) -> Iterator[Lake]:
    """Run a catalog in a folder, with settings (``auth__required=True``)."""
    with catalog_serving(folder, apart=True, log__format="json", **told) as server:
        yield Lake(server)


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[Lake]:
    with serving(tmp_path) as one:
        yield one


@pytest.fixture(scope="session")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pool]:
    """DuckDB databases with the extensions of the wheels; nothing is downloaded."""
    one = Pool(tmp_path_factory.mktemp("extensions"))
    yield one
    one.close()


@pytest.fixture
def attach(lake: Lake, pool: Pool) -> Iterator[Attach]:
    """Return a function that opens a DuckDB database of its own; ``options`` are of ATTACH."""
    with ExitStack() as stack:

        def open_one(options: str = "") -> Duck:
            duck = Duck(stack.enter_context(pool.connection()))
            options = f", {options}" if options else ""
            duck(
                "ATTACH 'default' AS lake"
                f" (TYPE iceberg, ENDPOINT '{lake.url}', AUTHORIZATION_TYPE 'none'{options})",
            )
            return duck

        yield open_one


@pytest.fixture
def duck(attach: Attach) -> Duck:
    """A DuckDB connection whose current schema is ``lake.ns``, made for the test."""
    one = attach()
    one("CREATE SCHEMA lake.ns", "USE lake.ns")
    return one


@pytest.fixture
def connect(lake: Lake) -> Iterator[Connect]:
    """Return a function that opens a PyIceberg catalog."""
    with ExitStack() as stack:

        def open_one(**properties: str) -> RestCatalog:
            catalog = load_catalog("lake", type="rest", uri=lake.url, **properties)
            assert isinstance(catalog, RestCatalog)
            stack.callback(catalog.close)
            return catalog

        yield open_one


@pytest.fixture
def iceberg(connect: Connect) -> RestCatalog:
    """A PyIceberg catalog, with the namespace ``ns`` made if it is not there."""
    catalog = connect()
    catalog.create_namespace_if_not_exists("ns")
    return catalog


@pytest.fixture(params=["1", "2"])
def table(iceberg: RestCatalog, request: pytest.FixtureRequest) -> Table:
    """A table of PyIceberg's with two rows in one snapshot."""
    made = iceberg.create_table("ns.t", ARROW, properties={"format-version": request.param})
    made.append(rows((1, "a"), (2, "b")))
    return made
