"""Trino on the catalog, with the settings that ``falcon-catalog engines trino`` prints."""

from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.catalog import Catalog, load_catalog

from tests.catalog.serving import Server, serving
from tests.engines import coordinator
from tests.engines.coordinator import Sql

ROWS = "VALUES (1, 'Newark'), (2, 'New York'), (3, 'Albany')"

pytestmark = pytest.mark.timeout(900)  # the first one fetches half a gigabyte


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A running catalog."""
    with serving(tmp_path_factory.mktemp("lake")) as server:
        yield server


@pytest.fixture(scope="module")
def sql(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sql]:
    """Return a function that runs a statement in Trino and gives its rows."""
    with coordinator.connected(server.url, tmp_path_factory.mktemp("trino")) as run:
        yield run


@pytest.fixture
def lake(server: Server) -> Catalog:
    return load_catalog("lake", type="rest", uri=server.url, warehouse="default")


@pytest.fixture
def schema(sql: Sql, server: Server) -> Callable[[str], None]:
    """Return a function that makes a schema with a location."""

    def make(name: str) -> None:
        place = name.replace(".", "/")
        sql(f"CREATE SCHEMA \"{name}\" WITH (location = 'file://{server.warehouse}/{place}')")

    return make


def test_rows_are_written_changed_and_read(sql: Sql, schema: Any, lake: Catalog) -> None:
    schema("rows")
    sql(
        "CREATE TABLE rows.t (id bigint NOT NULL, city varchar)"
        " WITH (partitioning = ARRAY['bucket(id, 4)'], sorted_by = ARRAY['city'])"
    )
    assert sql(f"INSERT INTO rows.t {ROWS}") == [[3]]
    sql("UPDATE rows.t SET city = 'Buffalo' WHERE id = 3")
    sql("DELETE FROM rows.t WHERE id = 1")
    sql(
        "MERGE INTO rows.t USING (VALUES (2, 'NYC'), (9, 'Utica')) AS n (id, city) ON t.id = n.id"
        " WHEN MATCHED THEN UPDATE SET city = n.city"
        " WHEN NOT MATCHED THEN INSERT (id, city) VALUES (n.id, n.city)"
    )
    now = [[2, "NYC"], [3, "Buffalo"], [9, "Utica"]]
    assert sql("SELECT id, city FROM rows.t ORDER BY id") == now
    table = lake.load_table("rows.t")
    first = next(s for s in table.metadata.snapshots if s.summary["total-records"] == "3")
    was = sql(f"SELECT city FROM rows.t FOR VERSION AS OF {first.snapshot_id} ORDER BY id")
    assert was == [["Newark"], ["New York"], ["Albany"]]
    seen = lake.load_table("rows.t").scan().to_arrow().sort_by("id").to_pylist()
    assert [[row["id"], row["city"]] for row in seen] == now
    new = {"id": [10], "city": ["Troy"]}
    table.refresh().append(pa.table(new, schema=table.schema().as_arrow()))
    assert sql("SELECT count(*) FROM rows.t") == [[4]]
    sql("TRUNCATE TABLE rows.t")
    assert lake.load_table("rows.t").scan().count() == 0


def test_tables_change_their_shape(sql: Sql, schema: Any, lake: Catalog) -> None:
    schema("shape")
    sql(f"CREATE TABLE shape.t AS SELECT * FROM ({ROWS}) AS r (id, city)")
    sql("ALTER TABLE shape.t ADD COLUMN height double")
    sql("ALTER TABLE shape.t RENAME COLUMN city TO town")
    sql("ALTER TABLE shape.t SET PROPERTIES partitioning = ARRAY['bucket(id, 8)']")
    sql("COMMENT ON TABLE shape.t IS 'of towns'")
    table = lake.load_table("shape.t")
    assert table.schema().column_names == ["id", "town", "height"]
    assert [str(field.transform) for field in table.spec().fields] == ["bucket[8]"]
    assert table.properties["comment"] == "of towns"
    sql("CREATE OR REPLACE TABLE shape.t AS SELECT 7 AS n")
    assert sql("SELECT * FROM shape.t") == [[7]]
    assert lake.load_table("shape.t").metadata.table_uuid == table.metadata.table_uuid


def test_schemas_names_and_views(sql: Sql, schema: Any, lake: Catalog) -> None:
    for name in ("outer", "outer.inner", "elsewhere"):
        schema(name)
    assert {"outer", "outer.inner"} <= {row[0] for row in sql("SHOW SCHEMAS")}
    sql('CREATE TABLE "outer.inner"."ü b %+" AS SELECT 7 AS n')
    assert lake.list_tables(("outer", "inner")) == [("outer", "inner", "ü b %+")]
    assert sql('SELECT * FROM "outer.inner"."ü b %+"') == [[7]]
    sql('ALTER TABLE "outer.inner"."ü b %+" RENAME TO elsewhere.t')
    assert sql("SELECT * FROM elsewhere.t") == [[7]]
    sql("CREATE VIEW elsewhere.v AS SELECT n + 1 AS m FROM elsewhere.t")
    assert sql("SELECT m FROM elsewhere.v") == [[8]]
    assert sorted(sql("SHOW TABLES FROM elsewhere")) == [["t"], ["v"]]
    sql("DROP VIEW elsewhere.v")
    sql("CALL lake.system.unregister_table('elsewhere', 't')")
    assert lake.list_tables("elsewhere") == []
    for name in ('"outer.inner"', '"outer"', "elsewhere"):
        sql(f"DROP SCHEMA {name}")
    assert not lake.namespace_exists("elsewhere")


def test_what_fails_leaves_nothing_behind(sql: Sql, schema: Any, lake: Catalog) -> None:
    schema("failing")
    sql("CREATE TABLE failing.t (n integer)")
    for statement, why in (
        ("CREATE TABLE failing.t (n integer)", "already exists"),
        ("CREATE TABLE failing.u AS SELECT n / 0 AS n FROM (VALUES 1) AS r (n)", "zero"),
        ("CREATE TABLE failing.u (n integer) WITH (location = 'file:///elsewhere')", "transaction"),
        ("DROP SCHEMA failing", "non-empty"),
    ):
        with pytest.raises(Exception, match=why):
            sql(statement)
    assert lake.list_tables("failing") == [("failing", "t")]


def test_tables_are_maintained(sql: Sql, schema: Any, lake: Catalog) -> None:
    schema("kept")
    sql("CREATE TABLE kept.t (id integer, city varchar)")
    for _ in range(3):
        sql(f"INSERT INTO kept.t {ROWS}")
    assert len(lake.load_table("kept.t").inspect.files()) == 3
    sql("ALTER TABLE kept.t EXECUTE optimize")
    assert len(lake.load_table("kept.t").inspect.files()) == 1
    sql("ALTER TABLE kept.t EXECUTE optimize_manifests")
    for procedure in ("expire_snapshots", "remove_orphan_files"):
        sql(f"ALTER TABLE kept.t EXECUTE {procedure}(retention_threshold => '7d')")
    sql("ANALYZE kept.t")
    assert lake.load_table("kept.t").metadata.statistics
    assert sql("SELECT count(*) FROM kept.t") == [[9]]
