"""What one client writes, the other reads; wherever the table lies and however it is written."""

from decimal import Decimal

import pyarrow as pa
import pytest
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.expressions import EqualTo
from pyiceberg.transforms import BucketTransform, MonthTransform
from pyiceberg.types import StringType

from tests.clients.conftest import ARROW, Duck, Lake, read, reload, rows

ROWS = [(1, "a"), (2, "b"), (3, "c")]


@pytest.fixture(params=["file://", "file:", "", "default", "namespace"])
def options(request: pytest.FixtureRequest, lake: Lake, iceberg: RestCatalog) -> dict[str, str]:
    """Where the table is to lie: each way to write a local location, and each to get none."""
    if request.param == "namespace":
        home = {"location": f"file:{lake.warehouse}/home/"}
        iceberg.update_namespace_properties("ns", updates=home)
    elif request.param != "default":
        return {"location": f"{request.param}{lake.warehouse}/sub/t"}
    return {}


def test_duckdb_writes_and_pyiceberg_reads(
    duck: Duck, iceberg: RestCatalog, lake: Lake, options: dict[str, str]
) -> None:
    properties = ", ".join(f"'{key}' = '{value}'" for key, value in options.items())
    duck(
        f"CREATE TABLE t {f'WITH ({properties})' if properties else ''}"
        " AS FROM (VALUES (1, 'a'), (2, 'b'), (3, 'c')) AS v (i, s)"
    )
    table = iceberg.load_table("ns.t")

    assert table.location() == options.get("location", table.location())
    assert len({path.parent.parent for path in lake.warehouse.rglob("*/*.*")}) == 1
    assert read(table) == ROWS
    duck("DELETE FROM t WHERE i = 2", "UPDATE t SET s = 'C' WHERE i = 3")
    assert read(table) == duck("FROM t ORDER BY i") == [(1, "a"), (3, "C")]
    table.append(rows((4, "d")))
    table.delete(EqualTo("i", 1))
    assert read(table) == duck("FROM t ORDER BY i") == [(3, "C"), (4, "d")]
    duck("INSERT INTO t VALUES (5, 'e')", "DELETE FROM t WHERE i = 4")
    assert read(table) == duck("FROM t ORDER BY i") == [(3, "C"), (5, "e")]


@pytest.mark.parametrize("version", ["1", "2"])
def test_pyiceberg_writes_and_duckdb_reads(
    duck: Duck, iceberg: RestCatalog, lake: Lake, options: dict[str, str], version: str
) -> None:
    properties = {"format-version": version}
    table = iceberg.create_table("ns.t", ARROW, properties=properties, **options)
    table.append(rows(*ROWS))

    assert table.location() == options.get("location", table.location())
    assert len({path.parent.parent for path in lake.warehouse.rglob("*/*.*")}) == 1
    assert duck("FROM t ORDER BY i") == ROWS
    table.overwrite(rows((2, "B")), overwrite_filter=EqualTo("i", 2))
    duck("INSERT INTO t VALUES (4, 'd')")
    left = [(1, "a"), (2, "B"), (3, "c"), (4, "d")]
    assert read(table) == duck("FROM t ORDER BY i") == left
    if version == "2":
        duck("DELETE FROM t WHERE i < 4")
        assert read(table) == duck("FROM t ORDER BY i") == left[3:]


def test_deletes_of_a_v3_table_are_read(duck: Duck, iceberg: RestCatalog) -> None:
    duck(
        "CREATE TABLE t WITH ('format-version' = '3') AS SELECT range AS i FROM range(10)",
        "DELETE FROM t WHERE i % 2 = 0",
        "DELETE FROM t WHERE i = 1",
        "UPDATE t SET i = 30 WHERE i = 3",
    )

    assert (
        read(iceberg.load_table("ns.t")) == duck("FROM t ORDER BY i") == [(5,), (7,), (9,), (30,)]
    )


def test_every_type_crosses(duck: Duck, iceberg: RestCatalog) -> None:
    select = """SELECT true AS a, 1::INTEGER AS b, 2::BIGINT AS c, 0.5::FLOAT AS d, 4::DOUBLE AS e,
        5.5::DECIMAL(12, 3) AS f, DATE '2020-01-01' AS g, TIME '10:00:00' AS h,
        TIMESTAMP '2020-01-01 10:00:00.123456' AS i, 'ünï' AS k, 'l'::BLOB AS l,
        {'x': 1, 'y': 'a'} AS n, [1, 2] AS o"""
    duck(f"CREATE TABLE t AS {select}")
    written = iceberg.load_table("ns.t").scan().to_arrow()
    expected = duck(select)
    assert [tuple(row.values()) for row in written.to_pylist()] == expected
    assert expected[0][5] == Decimal("5.500")

    iceberg.create_table("ns.u", written.schema).append(written)

    assert duck("FROM u") == expected


@pytest.mark.parametrize("version", ["2", "3"])
def test_deletes_in_partitions_are_read(duck: Duck, iceberg: RestCatalog, version: str) -> None:
    duck(
        "CREATE TABLE t (i INTEGER, d DATE) PARTITIONED BY (month(d), bucket(2, i))"
        f" WITH ('format-version' = '{version}')",
        "INSERT INTO t SELECT range, DATE '2024-01-01' + range::INTEGER * 9 FROM range(10)",
        "DELETE FROM t WHERE i % 3 = 0",
        "UPDATE t SET d = d + 60 WHERE i = 4",
    )

    table = iceberg.load_table("ns.t")
    assert read(table) == duck("FROM t ORDER BY i")
    assert [i for i, _ in read(table)] == [1, 2, 4, 5, 7, 8]


def test_partitioning_that_evolves_in_both_clients(duck: Duck, iceberg: RestCatalog) -> None:
    # After a change of the spec DuckDB 1.5.5 writes deletes under the new spec with values of
    # the old one, which readers that follow the specification do not apply: PyIceberg deletes.
    duck(
        "CREATE TABLE t (i INTEGER, d DATE)",
        "INSERT INTO t VALUES (1, DATE '2024-01-31')",
        "ALTER TABLE t SET PARTITIONED BY (year(d))",
        "INSERT INTO t VALUES (2, DATE '2024-02-29'), (3, DATE '2025-02-01')",
    )
    table = iceberg.load_table("ns.t")
    with table.update_spec() as update:
        update.remove_field(table.spec().fields[0].name)
        update.add_field("d", MonthTransform(), "month")
        update.add_field("i", BucketTransform(4), "bucket")
    added = duck("SELECT 4::INTEGER AS i, DATE '2025-03-01' AS d")
    table.append(
        pa.Table.from_pylist(
            [dict(zip(("i", "d"), row, strict=True)) for row in added],
            schema=pa.schema([("i", pa.int32()), ("d", pa.date32())]),
        )
    )
    duck("INSERT INTO t VALUES (5, DATE '2025-03-02')")
    table.refresh().delete("i IN (2, 4)")
    duck("ALTER TABLE t RESET PARTITIONED BY", "INSERT INTO t VALUES (6, DATE '2025-04-01')")

    assert [i for i, _ in read(table)] == [1, 3, 5, 6]
    assert duck("SELECT i FROM t ORDER BY i") == [(1,), (3,), (5,), (6,)]
    assert duck("SELECT i FROM t WHERE d >= DATE '2025-03-01' ORDER BY i") == [(5,), (6,)]
    recent = read(table, row_filter="d >= '2025-03-01'")
    assert [i for i, _ in recent] == [5, 6]
    assert reload(table).spec().spec_id == 0


def test_columns_that_evolve_in_both_clients(duck: Duck, iceberg: RestCatalog) -> None:
    duck("CREATE TABLE t AS SELECT 1::INTEGER AS i, 'a' AS s")
    table = iceberg.load_table("ns.t")
    with table.update_schema() as update:
        update.rename_column("s", "old")
    with table.update_schema() as update:
        update.add_column("s", StringType())
    duck("INSERT INTO t VALUES (2, 'b', 'new')", "ALTER TABLE t DROP COLUMN old")
    duck("ALTER TABLE t ALTER i TYPE BIGINT", "ALTER TABLE t RENAME COLUMN i TO id")

    assert read(table) == duck("FROM t ORDER BY id") == [(1, None), (2, "new")]
    assert [field.field_id for field in reload(table).schema().fields] == [1, 3]


def test_the_past_is_the_same_in_both_clients(duck: Duck, iceberg: RestCatalog) -> None:
    duck("CREATE TABLE t AS SELECT 1::INTEGER AS i, 'a' AS s")
    table = iceberg.load_table("ns.t")
    table.append(rows((2, "b")))
    duck("DELETE FROM t WHERE i = 1")
    table.refresh()

    for snapshot in table.snapshots():
        of_duckdb = duck(f"FROM t AT (VERSION => {snapshot.snapshot_id}) ORDER BY i")
        assert read(table, snapshot_id=snapshot.snapshot_id) == of_duckdb
    table.manage_snapshots().rollback_to_snapshot(table.history()[1].snapshot_id).commit()
    assert duck("FROM t ORDER BY i") == [(1, "a"), (2, "b")]
