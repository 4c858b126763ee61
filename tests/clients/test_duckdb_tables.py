"""DuckDB creates, alters, renames and drops tables."""

import re
from collections.abc import Sequence

import duckdb
import pytest
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.table import Table

from tests.clients.conftest import Duck, Lake

COLUMNS = "i int required, s string, d date"


def columns(table: Table) -> str:
    """Show a table's columns on one line."""
    return ", ".join(
        f"{field.name} {field.field_type}{' required' if field.required else ''}"
        for field in table.schema().fields
    )


def partitions(table: Table) -> list[str]:
    """Show a table's partition fields."""
    return [
        f"{field.transform}({table.schema().find_column_name(field.source_id)})"
        for field in table.spec().fields
    ]


@pytest.fixture
def t(duck: Duck) -> Duck:
    """A connection with the table ``t`` of COLUMNS, one row in it."""
    duck("CREATE TABLE t (i INTEGER NOT NULL, s VARCHAR, d DATE)")
    duck("INSERT INTO t VALUES (1, 'a', DATE '2024-01-31')")
    return duck


@pytest.mark.parametrize("version", [1, 2, 3])
def test_a_table_is_made_in_each_format_version(
    duck: Duck, iceberg: RestCatalog, lake: Lake, version: int
) -> None:
    place = f"file://{lake.warehouse}/elsewhere"
    duck(
        "CREATE TABLE t (i INTEGER NOT NULL, s VARCHAR, d DATE) WITH"
        f" ('format-version' = '{version}', 'location' = '{place}/', 'owner' = 'me')"
    )
    assert duck("INSERT INTO t VALUES (1, 'a', NULL)") == [(1,)]

    table = iceberg.load_table("ns.t")
    assert table.format_version == version
    assert table.location() == place
    assert columns(table) == COLUMNS
    assert table.properties["owner"] == "me"
    assert "format-version" not in table.properties
    assert duck("FROM t") == [(1, "a", None)]


@pytest.mark.parametrize("version", [1, 2, 3])
def test_a_table_is_made_from_a_query(duck: Duck, iceberg: RestCatalog, version: int) -> None:
    made = duck(
        f"CREATE TABLE t WITH ('format-version' = '{version}')"
        " AS SELECT range AS i, range % 3 AS k FROM range(100)"
    )

    assert made == [(100,)]
    assert duck("SELECT count(*), sum(i), sum(k) FROM t") == [(100, 4950, 99)]
    assert len(iceberg.load_table("ns.t").snapshots()) == 1


def test_a_table_is_made_partitioned(duck: Duck, iceberg: RestCatalog) -> None:
    duck(
        "CREATE TABLE t (i INTEGER, s VARCHAR, d TIMESTAMP)"
        " PARTITIONED BY (day(d), bucket(3, i), s)",
        "INSERT INTO t VALUES (1, 'a', '2024-01-01 10:00'), (2, 'b', '2024-01-02 10:00')",
    )

    assert partitions(iceberg.load_table("ns.t")) == ["day(d)", "bucket[3](i)", "identity(s)"]
    assert duck("SELECT i FROM t WHERE d >= TIMESTAMP '2024-01-02'") == [(2,)]


def test_a_column_may_be_partitioned_by_twice(duck: Duck, iceberg: RestCatalog) -> None:
    duck(
        "CREATE TABLE t (i INTEGER, d TIMESTAMP) PARTITIONED BY (year(d), month(d))",
        "INSERT INTO t VALUES (1, '2024-01-01 10:00'), (2, '2024-02-02 10:00')",
        "ALTER TABLE t SET PARTITIONED BY (month(d), day(d))",
        "INSERT INTO t VALUES (3, '2024-02-03 10:00')",
    )

    table = iceberg.load_table("ns.t")
    assert partitions(table) == ["month(d)", "day(d)"]
    assert [str(field.transform) for field in table.specs()[0].fields] == ["year", "month"]
    assert duck("SELECT i FROM t WHERE d >= TIMESTAMP '2024-02-01' ORDER BY i") == [(2,), (3,)]


def test_every_type_comes_back(duck: Duck, iceberg: RestCatalog) -> None:
    select = """SELECT true AS a, 1::INTEGER AS b, 2::BIGINT AS c, 3::FLOAT AS d, 4::DOUBLE AS e,
        5.5::DECIMAL(12, 3) AS f, DATE '2020-01-01' AS g, TIME '10:00:00' AS h,
        TIMESTAMP '2020-01-01 10:00:00.123456' AS i, TIMESTAMPTZ '2020-01-01 10:00:00+00' AS j,
        'ünï' AS k, 'l'::BLOB AS l, '00000000-0000-0000-0000-000000000001'::UUID AS m,
        {'x': 1, 'y': 'a'} AS n, [1, 2] AS o, MAP {'a': 1} AS p, [{'z': [1]}] AS q"""
    duck(f"CREATE TABLE t AS {select}")

    assert duck("FROM t") == duck(select)
    types = [str(field.field_type) for field in iceberg.load_table("ns.t").schema().fields]
    assert " ".join(re.split("[<(]", type_)[0] for type_ in types) == (
        "boolean int long float double decimal date time timestamp timestamptz"
        " string binary uuid struct list map list"
    )


@pytest.mark.parametrize(
    ("alters", "expected"),
    [
        (["ADD COLUMN n DOUBLE"], f"{COLUMNS}, n double"),
        (["ADD COLUMN n DOUBLE", "RENAME COLUMN n TO m"], f"{COLUMNS}, m double"),
        (["ADD COLUMN n FLOAT", "ALTER n TYPE DOUBLE"], f"{COLUMNS}, n double"),
        (["RENAME COLUMN s TO z"], "i int required, z string, d date"),
        (["ALTER i TYPE BIGINT"], "i long required, s string, d date"),
        (["DROP COLUMN d"], "i int required, s string"),
        (["ALTER i DROP NOT NULL"], "i int, s string, d date"),
        (["ADD COLUMN n DOUBLE", "DROP COLUMN n"], COLUMNS),
    ],
)
def test_columns_are_altered(
    t: Duck, iceberg: RestCatalog, alters: Sequence[str], expected: str
) -> None:
    for alter in alters:
        t(f"ALTER TABLE t {alter}")

    assert columns(iceberg.load_table("ns.t")) == expected
    t("INSERT INTO t (i) VALUES (2)")
    assert t("SELECT i FROM t ORDER BY i") == [(1,), (2,)]


def test_a_schema_that_returns_keeps_its_id(t: Duck, iceberg: RestCatalog) -> None:
    t("ALTER TABLE t ADD COLUMN n DOUBLE", "ALTER TABLE t DROP COLUMN n")

    metadata = iceberg.load_table("ns.t").metadata
    assert metadata.current_schema_id == 0
    assert [schema.schema_id for schema in metadata.schemas] == [0, 1]


def test_a_column_dropped_and_made_again_is_another_one(t: Duck, iceberg: RestCatalog) -> None:
    t("ALTER TABLE t DROP COLUMN s", "ALTER TABLE t ADD COLUMN s VARCHAR")

    assert iceberg.load_table("ns.t").schema().find_field("s").field_id == 4
    assert t("SELECT i, s FROM t") == [(1, None)]


@pytest.mark.parametrize(
    ("alters", "expected", "spec_id"),
    [
        (["SET PARTITIONED BY (month(d))"], ["month(d)"], 1),
        (
            ["SET PARTITIONED BY (bucket(4, i), truncate(2, s), d)"],
            ["bucket[4](i)", "truncate[2](s)", "identity(d)"],
            1,
        ),
        (["SET PARTITIONED BY (month(d))", "RESET PARTITIONED BY"], [], 0),
        (
            [
                "SET PARTITIONED BY (month(d))",
                "SET PARTITIONED BY (year(d))",
                "SET PARTITIONED BY (month(d))",
            ],
            ["month(d)"],
            1,
        ),
    ],
)
def test_partitioning_is_altered(
    t: Duck, iceberg: RestCatalog, alters: Sequence[str], expected: list[str], spec_id: int
) -> None:
    for number, alter in enumerate(alters, 2):
        t(f"ALTER TABLE t {alter}", f"INSERT INTO t VALUES ({number}, 'b', DATE '2025-02-01')")

    table = iceberg.load_table("ns.t")
    assert partitions(table) == expected
    assert table.spec().spec_id == spec_id
    assert t("SELECT count(*) FROM t") == [(1 + len(alters),)]
    assert t("SELECT i FROM t WHERE d < DATE '2025-01-01'") == [(1,)]


def test_properties_are_set_and_reset(t: Duck, iceberg: RestCatalog) -> None:
    before = dict(t("FROM iceberg_table_properties(t)"))
    t("ALTER TABLE t SET ('owner' = 'me', 'tier' = 'gold')")
    assert dict(t("FROM iceberg_table_properties(t)")) == before | {"owner": "me", "tier": "gold"}

    t("ALTER TABLE t RESET ('tier')")
    assert iceberg.load_table("ns.t").properties == before | {"owner": "me"}


def test_defaults_of_a_v3_table_are_kept(duck: Duck) -> None:
    duck(
        "CREATE TABLE t (i INTEGER DEFAULT 7, j INTEGER) WITH ('format-version' = '3')",
        "INSERT INTO t (j) VALUES (1)",
        "ALTER TABLE t ADD COLUMN k INTEGER DEFAULT 5",
        "ALTER TABLE t ALTER i SET DEFAULT 9",
        "INSERT INTO t (j) VALUES (2)",
    )

    assert duck("FROM t ORDER BY j") == [(7, 1, 5), (9, 2, 5)]


def test_a_table_is_renamed_and_its_name_is_free_again(t: Duck, iceberg: RestCatalog) -> None:
    t("ALTER TABLE t RENAME TO u", "CREATE TABLE t AS SELECT 'new' AS x")

    assert sorted(iceberg.list_tables("ns")) == [("ns", "t"), ("ns", "u")]
    assert t("SELECT i FROM u") == [(1,)]
    assert t("FROM t") == [("new",)]
    t("INSERT INTO u (i) VALUES (2)", "DROP TABLE t")
    assert t("SELECT i FROM u ORDER BY i") == [(1,), (2,)]


def test_a_table_is_dropped_and_its_files_stay(t: Duck, iceberg: RestCatalog, lake: Lake) -> None:
    t("DROP TABLE t")

    assert not iceberg.table_exists("ns.t")
    assert list(lake.warehouse.rglob("*.parquet"))
    with pytest.raises(duckdb.CatalogException, match="t does not exist"):
        t("FROM t")
    t("DROP TABLE IF EXISTS t", "CREATE TABLE t AS SELECT 5 AS i")
    assert t("FROM t") == [(5,)]
