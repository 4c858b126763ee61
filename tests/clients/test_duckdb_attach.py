"""Every way in which DuckDB can attach the catalog."""

import duckdb
import pytest
import requests
from pyiceberg.catalog.rest import RestCatalog

from tests.clients.conftest import Attach, Duck, Lake, Pool

COMMIT = "/v1/default/transactions/commit"


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize("scheme", ["", "http://"])
@pytest.mark.parametrize("warehouse", ["default", "", "location"])
def test_the_catalog_is_found(
    lake: Lake, pool: Pool, scheme: str, slash: str, warehouse: str
) -> None:
    name = f"file://{lake.warehouse}" if warehouse == "location" else warehouse
    endpoint = scheme + lake.url.removeprefix("http://") + slash
    with pool.connection() as connection:
        duck = Duck(connection)
        duck(
            f"ATTACH '{name}' AS lake"
            f" (TYPE iceberg, ENDPOINT '{endpoint}', AUTHORIZATION_TYPE 'none')",
            "CREATE SCHEMA lake.s",
            "CREATE TABLE lake.s.t AS SELECT 1 AS i",
        )
        assert duck("FROM lake.s.t") == [(1,)]


def test_an_unknown_warehouse_is_refused(lake: Lake, pool: Pool) -> None:
    with (
        pool.connection() as connection,
        pytest.raises(duckdb.Error, match=r"elsewhere.*Not Found"),
    ):
        Duck(connection)(
            f"ATTACH 'elsewhere' AS lake"
            f" (TYPE iceberg, ENDPOINT '{lake.url}', AUTHORIZATION_TYPE 'none')"
        )


@pytest.mark.parametrize(
    "options",
    [
        "STAGE_CREATE_TABLES false",
        "SKIP_CREATE_TABLE_METADATA_UPDATES true",
        "STAGE_CREATE_TABLES false, SKIP_CREATE_TABLE_METADATA_UPDATES true",
        "DISABLE_MULTI_TABLE_COMMIT true",
        "STAGE_CREATE_TABLES false, DISABLE_MULTI_TABLE_COMMIT true",
        "ENCODE_ENTIRE_PREFIX true",
        "ACCESS_DELEGATION_MODE 'none'",
        "MAX_TABLE_STALENESS '10 minutes'",
        "SUPPORT_NESTED_NAMESPACES true",
        "DEFAULT_SCHEMA 'ns'",
    ],
)
@pytest.mark.parametrize("version", [1, 2, 3])
def test_tables_are_made_and_filled_under_every_option(
    iceberg: RestCatalog, attach: Attach, options: str, version: int
) -> None:
    duck = attach(options)
    version_of_format = f"'format-version' = '{version}'"
    duck(
        "CREATE TABLE lake.ns.made (i INTEGER NOT NULL, d DATE) PARTITIONED BY (month(d))"
        f" WITH ({version_of_format}, 'owner' = 'me')",
        f"CREATE TABLE lake.ns.filled WITH ({version_of_format}) AS SELECT 1 AS i",
        "INSERT INTO lake.ns.made VALUES (1, DATE '2024-01-01')",
        "INSERT INTO lake.ns.filled VALUES (2)",
    )

    assert duck("FROM lake.ns.filled ORDER BY i") == [(1,), (2,)]
    assert duck("SELECT i FROM lake.ns.made WHERE d < DATE '2024-02-01'") == [(1,)]
    made, filled = (iceberg.load_table(f"ns.{name}") for name in ("made", "filled"))
    assert made.format_version == filled.format_version == version
    assert [str(field.transform) for field in made.spec().fields] == ["month"]
    assert made.properties["owner"] == "me"
    for table in (made, filled):
        assert len(table.schemas()) == len(table.specs()) == len(table.sort_orders()) == 1
    assert len(filled.history()) == 2


def test_without_staging_the_table_is_there_before_its_rows(
    iceberg: RestCatalog, attach: Attach, lake: Lake
) -> None:
    duck = attach("STAGE_CREATE_TABLES false")
    duck("BEGIN", "CREATE TABLE lake.ns.t AS SELECT 1 AS i")
    assert iceberg.load_table("ns.t").metadata.current_snapshot_id is None

    duck("COMMIT")

    assert lake.sent("POST").count(COMMIT) == 1
    assert duck("FROM lake.ns.t") == [(1,)]


def test_without_multi_table_commit_tables_are_committed_one_by_one(
    duck: Duck, attach: Attach, lake: Lake
) -> None:
    duck("CREATE TABLE a (i INTEGER)", "CREATE TABLE b (i INTEGER)")
    single = attach("DISABLE_MULTI_TABLE_COMMIT true")
    lake.forget()

    single("BEGIN", "INSERT INTO lake.ns.a VALUES (1)", "INSERT INTO lake.ns.b VALUES (2)")
    single("COMMIT")

    tables = "/v1/default/namespaces/ns/tables"
    assert sorted(lake.sent("POST")) == [f"{tables}/a", f"{tables}/b"]
    assert single("FROM lake.ns.a UNION ALL FROM lake.ns.b") == [(1,), (2,)]


def test_a_read_only_attachment_reads(duck: Duck, attach: Attach) -> None:
    duck("CREATE TABLE t AS SELECT 1 AS i")
    reader = attach("READ_ONLY")

    assert reader("FROM lake.ns.t") == [(1,)]
    with pytest.raises(duckdb.InvalidInputException, match="read-only"):
        reader("INSERT INTO lake.ns.t VALUES (2)")


def test_a_stale_table_is_read_without_asking_and_written_safely(
    duck: Duck, attach: Attach, lake: Lake
) -> None:
    duck("CREATE TABLE t AS SELECT 1 AS i")
    stale = attach("MAX_TABLE_STALENESS '10 minutes'")
    stale("FROM lake.ns.t")
    duck("INSERT INTO t VALUES (2)")
    lake.forget()

    assert stale("FROM lake.ns.t") == [(1,)]
    assert lake.requests == []
    with pytest.raises(duckdb.TransactionException, match="branch main has changed"):
        stale("INSERT INTO lake.ns.t VALUES (3)")


def test_a_purge_drops_at_once_and_deletes_later(duck: Duck, attach: Attach, lake: Lake) -> None:
    duck("CREATE TABLE t AS SELECT 1 AS i")

    attach("PURGE_REQUESTED true")("DROP TABLE lake.ns.t")

    assert requests.head(f"{lake.url}/v1/namespaces/ns/tables/t", timeout=10).status_code == 404
    [dropped] = requests.get(
        f"{lake.url}/management/v1/warehouses/default/dropped", timeout=10
    ).json()["dropped"]
    assert dropped["purge"] is True
