"""Trino on a warehouse in an S3 store, with the settings that are printed and vended credentials.

Region, endpoint and path style are in Trino's own file; no key is.
"""

from collections.abc import Iterator

import pytest
from pyiceberg.catalog import load_catalog

from tests.catalog.serving import Server
from tests.clouds import emulators
from tests.clouds.lake import Lake, knowing_keys
from tests.engines import coordinator
from tests.engines.coordinator import Sql
from tests.engines.test_trino import ROWS

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lake]:
    with emulators.s3("--bucket", "lake") as store, knowing_keys(store):
        yield Lake(tmp_path_factory.mktemp("lake"), store)


@pytest.fixture(scope="module")
def server(lake: Lake) -> Iterator[Server]:
    with lake.serving() as server:
        yield server


@pytest.fixture(scope="module")
def sql(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sql]:
    with coordinator.connected(server.url, tmp_path_factory.mktemp("trino")) as run:
        yield run


def test_it_writes_and_reads_with_vended_credentials(sql: Sql, lake: Lake, server: Server) -> None:
    sql(f"CREATE SCHEMA lake.cities WITH (location = '{lake.location}/cities')")
    sql("CREATE TABLE lake.cities.names (id bigint, name varchar)")
    sql(f"INSERT INTO lake.cities.names {ROWS}")
    sql("DELETE FROM lake.cities.names WHERE id = 3")
    rows = sql("SELECT * FROM lake.cities.names ORDER BY id")
    assert rows == [[1, "Newark"], [2, "New York"]]
    table = load_catalog("lake", type="rest", uri=server.url).load_table("cities.names")
    assert table.location().startswith(f"{lake.location}/cities/")
    found = table.scan().to_arrow().sort_by("id").to_pylist()
    assert [list(row.values()) for row in found] == rows
    table.append(table.scan().to_arrow())
    assert sql("SELECT count(*) FROM lake.cities.names") == [[4]]
