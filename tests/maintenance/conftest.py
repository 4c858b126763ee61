"""A real catalog on a socket, with PyIceberg and DuckDB attached to it."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from pyiceberg.catalog.rest import RestCatalog

from tests.catalog.serving import serving
from tests.maintenance.lake import Lake, Wire, with_extensions


@pytest.fixture(scope="session")
def duckdb_config(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """DuckDB's extensions from their wheels; nothing is downloaded."""
    return with_extensions(tmp_path_factory.mktemp("extensions"))


@pytest.fixture
def lake(tmp_path: Path, duckdb_config: dict[str, str]) -> Iterator[Lake]:
    with _lake(tmp_path, duckdb_config) as lake:
        yield lake


@pytest.fixture
def shared_lake(tmp_path: Path, duckdb_config: dict[str, str]) -> Iterator[Lake]:
    """A catalog that, like most, lets tables lie over one another."""
    with _lake(tmp_path, duckdb_config, warehouse__allow_overlap=True) as lake:
        yield lake


@contextlib.contextmanager
def _lake(folder: Path, duckdb_config: dict[str, str], **settings: object) -> Iterator[Lake]:
    wire = Wire()
    with serving(folder, wire.around, **settings) as server:
        catalog = RestCatalog("lake", uri=server.url, warehouse="default")
        catalog.create_namespace("ns")
        with duckdb.connect(config=duckdb_config) as duck:
            duck.execute("LOAD iceberg; SET TimeZone = 'UTC'")
            duck.execute(
                f"ATTACH 'default' AS lake (TYPE iceberg, ENDPOINT '{server.url}',"
                " AUTHORIZATION_TYPE 'none')"
            )
            yield Lake(server, catalog, wire, duck)
        catalog.close()
