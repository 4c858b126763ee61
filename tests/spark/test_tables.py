"""Tables made, replaced, changed, renamed and dropped by Spark."""

from typing import Any

import pytest

from falcon_catalog.engines import SPARK_PACKAGE

AB = [(1, "a"), (2, "b")]


def test_the_printed_settings_made_the_session(spark: Any, lake: Any) -> None:
    assert spark.conf.get("spark.sql.catalog.lake.uri") == lake.url
    assert spark.conf.get("spark.sql.catalog.lake.warehouse") == "default"
    assert spark.conf.get("spark.jars.packages") == SPARK_PACKAGE
    assert spark.catalog.listCatalogs()


def test_namespaces(ns: str, sql: Any, lake: Any) -> None:
    sql(f"CREATE NAMESPACE {ns}.inner COMMENT 'the inner one' WITH DBPROPERTIES ('k' = 'v')")
    sql(f"ALTER NAMESPACE {ns}.inner SET PROPERTIES ('l' = 'w')")
    assert sql(f"SHOW NAMESPACES IN {ns}") == [(f"{ns.removeprefix('lake.')}.inner",)]
    level = ns.removeprefix("lake.")
    properties = lake.get(f"namespaces/{level}%1Finner")["properties"]
    assert {"comment": "the inner one", "k": "v", "l": "w"}.items() <= properties.items()
    with pytest.raises(Exception, match="is not empty"):
        sql(f"DROP NAMESPACE {ns}")
    sql(f"DROP NAMESPACE {ns}.inner")
    sql(f"DROP NAMESPACE {ns}")
    assert (ns.removeprefix("lake."),) not in sql("SHOW NAMESPACES IN lake")


def test_create(ns: str, sql: Any, lake: Any) -> None:
    statement = f"""
        CREATE TABLE {ns}.t (
            id BIGINT NOT NULL COMMENT 'the key', at TIMESTAMP, place STRUCT<x: DOUBLE, y: DOUBLE>,
            tags ARRAY<STRING>, more MAP<STRING, INT>, price DECIMAL(9, 2)
        ) USING iceberg
        PARTITIONED BY (days(at), bucket(4, id), truncate(10, price))
        COMMENT 'all of it' TBLPROPERTIES ('k' = 'v')"""
    sql(statement)
    metadata = lake.metadata(f"{ns}.t")
    (schema,) = metadata["schemas"]
    first = schema["fields"][0]
    assert (first["name"], first["required"], first["doc"]) == ("id", True, "the key")
    assert sorted(f["name"] for f in schema["fields"]) == sorted(
        ["id", "at", "place", "tags", "more", "price"]
    )
    (spec,) = metadata["partition-specs"]
    transforms = [field["transform"] for field in spec["fields"]]
    assert transforms == ["day", "bucket[4]", "truncate[10]"]
    assert metadata["properties"]["k"] == "v"
    assert metadata["properties"]["comment"] == "all of it"
    assert metadata["format-version"] == 2
    level = ns.removeprefix("lake.")
    assert sql(f"SHOW TABLES IN {ns}") == [(level, "t", False)]
    with pytest.raises(Exception, match="TABLE_OR_VIEW_ALREADY_EXISTS"):
        sql(statement)
    sql(statement.replace("CREATE TABLE", "CREATE TABLE IF NOT EXISTS"))
    assert lake.metadata(f"{ns}.t") == metadata


def test_create_as_select(t: str, ns: str, sql: Any, lake: Any) -> None:
    sql(f"CREATE TABLE {ns}.c PARTITIONED BY (data) TBLPROPERTIES ('k' = 'v') AS TABLE {t}")
    assert sql(f"SELECT * FROM {ns}.c ORDER BY id") == AB
    metadata = lake.metadata(f"{ns}.c")
    assert len(metadata["snapshots"]) == 1
    assert metadata["properties"]["k"] == "v"
    assert len(sql(f"SELECT * FROM {ns}.c.partitions")) == 2


def test_a_failed_create_as_select_leaves_nothing(ns: str, sql: Any, lake: Any) -> None:
    with pytest.raises(Exception, match="on purpose"):
        sql(f"CREATE TABLE {ns}.c AS SELECT CAST(raise_error('on purpose') AS INT) AS id")
    assert lake.get(f"namespaces/{ns.removeprefix('lake.')}/tables")["identifiers"] == []
    sql(f"CREATE TABLE {ns}.c AS SELECT 1 AS id")
    assert sql(f"TABLE {ns}.c") == [(1,)]


def test_replace_as_select_keeps_the_history(t: str, sql: Any, lake: Any) -> None:
    before = lake.metadata(t)
    sql(
        f"CREATE OR REPLACE TABLE {t} PARTITIONED BY (bucket(2, n)) "
        f"AS SELECT id * 10 AS n, true AS flag FROM {t}"
    )
    assert sql(f"SELECT * FROM {t} ORDER BY n") == [(10, True), (20, True)]
    after = lake.metadata(t)
    for key in ("table-uuid", "location"):
        assert after[key] == before[key]
    assert after["last-column-id"] == 4  # a new column never takes an old one's id
    assert after["snapshot-log"][:1] == before["snapshot-log"]
    old = before["current-snapshot-id"]
    assert sql(f"SELECT * FROM {t} VERSION AS OF {old} ORDER BY id") == AB


def test_replace_without_rows_empties_the_table(t: str, sql: Any, lake: Any) -> None:
    before = lake.metadata(t)
    sql(f"REPLACE TABLE {t} (id BIGINT, data STRING)")
    assert sql(f"TABLE {t}") == []
    after = lake.metadata(t)
    assert after["table-uuid"] == before["table-uuid"]
    assert [s["snapshot-id"] for s in after["snapshots"]] == [before["current-snapshot-id"]]
    assert "main" not in after["refs"]
    sql(f"CALL lake.system.set_current_snapshot('{t}', {before['current-snapshot-id']})")
    assert sql(f"SELECT * FROM {t} ORDER BY id") == AB


def test_replace_needs_a_table_unless_it_may_create_one(ns: str, sql: Any) -> None:
    with pytest.raises(Exception, match="TABLE_OR_VIEW_NOT_FOUND"):
        sql(f"REPLACE TABLE {ns}.r AS SELECT 1 AS id")
    sql(f"CREATE OR REPLACE TABLE {ns}.r AS SELECT 1 AS id")
    assert sql(f"TABLE {ns}.r") == [(1,)]


def test_schemas_evolve(ns: str, sql: Any, lake: Any) -> None:
    sql(f"CREATE TABLE {ns}.t (id INT, data STRING, place STRUCT<x: FLOAT>)")
    sql(f"INSERT INTO {ns}.t VALUES (1, 'a', named_struct('x', 0.5F))")
    for change in (
        "ADD COLUMNS (place.y DOUBLE COMMENT 'up', extra STRING FIRST)",
        "RENAME COLUMN data TO payload",
        "ALTER COLUMN id TYPE BIGINT",
        "ALTER COLUMN place.x TYPE DOUBLE",
        "ALTER COLUMN payload COMMENT 'what it says'",
        "ALTER COLUMN payload AFTER extra",
    ):
        sql(f"ALTER TABLE {ns}.t {change}")
    sql(f"INSERT INTO {ns}.t VALUES ('e', 'b', {2**40}, named_struct('x', 1D, 'y', 2D))")
    assert sql(f"SELECT * FROM {ns}.t ORDER BY id") == [
        (None, "a", 1, (0.5, None)),
        ("e", "b", 2**40, (1.0, 2.0)),
    ]
    sql(f"ALTER TABLE {ns}.t DROP COLUMN extra")
    sql(f"ALTER TABLE {ns}.t ADD COLUMN extra INT")
    assert sql(f"SELECT extra FROM {ns}.t") == [(None,), (None,)]  # a new column, an old name
    metadata = lake.metadata(f"{ns}.t")
    current = metadata["schemas"][metadata["current-schema-id"]]
    assert [(f["name"], f["id"]) for f in current["fields"]] == [
        ("payload", 2),
        ("id", 1),
        ("place", 3),
        ("extra", 7),
    ]
    with pytest.raises(Exception, match="Cannot change column type: id: long -> string"):
        sql(f"ALTER TABLE {ns}.t ALTER COLUMN id TYPE STRING")


def test_partitions_evolve(ns: str, sql: Any, lake: Any) -> None:
    sql(f"CREATE TABLE {ns}.t (id BIGINT, at TIMESTAMP) PARTITIONED BY (days(at))")
    insert = f"INSERT INTO {ns}.t VALUES ({{}}, TIMESTAMP '2024-01-0{{}} 12:30:00')"
    sql(insert.format(1, 1))
    sql(f"ALTER TABLE {ns}.t REPLACE PARTITION FIELD at_day WITH hours(at) AS hour")
    sql(insert.format(2, 2))
    sql(f"ALTER TABLE {ns}.t ADD PARTITION FIELD bucket(4, id) AS shard")
    sql(f"ALTER TABLE {ns}.t DROP PARTITION FIELD hour")
    sql(insert.format(3, 3))
    specs = {
        spec["spec-id"]: [field["name"] for field in spec["fields"]]
        for spec in lake.metadata(f"{ns}.t")["partition-specs"]
    }
    used = [specs[spec] for (spec,) in sql(f"SELECT spec_id FROM {ns}.t.files ORDER BY spec_id")]
    assert used == [["at_day"], ["hour"], ["shard"]]
    after = f"SELECT id FROM {ns}.t WHERE at > TIMESTAMP '2024-01-02 00:00:00' ORDER BY id"
    assert sql(after) == [(2,), (3,)]
    sql(f"ALTER TABLE {ns}.t ADD PARTITION FIELD days(at)")  # takes up the first one's id again
    fields = [
        (field["name"], field["field-id"])
        for spec in lake.metadata(f"{ns}.t")["partition-specs"]
        for field in spec["fields"]
    ]
    assert len({number for name, number in fields if name == "at_day"}) == 1


def test_a_column_may_be_partitioned_by_twice(ns: str, sql: Any, lake: Any) -> None:
    sql(f"CREATE TABLE {ns}.t (id BIGINT, at TIMESTAMP) PARTITIONED BY (days(at))")
    sql(f"ALTER TABLE {ns}.t ADD PARTITION FIELD hours(at)")
    values = "(1, TIMESTAMP '2024-01-01 12:30:00'), (2, TIMESTAMP '2024-01-01 13:30:00')"
    sql(f"INSERT INTO {ns}.t VALUES {values}")
    (*_, spec) = lake.metadata(f"{ns}.t")["partition-specs"]
    assert [field["transform"] for field in spec["fields"]] == ["day", "hour"]
    assert len(sql(f"SELECT * FROM {ns}.t.partitions")) == 2
    assert sql(f"SELECT id FROM {ns}.t WHERE at > TIMESTAMP '2024-01-01 13:00:00'") == [(2,)]


def test_a_column_cannot_take_a_partition_fields_name(ns: str, sql: Any, lake: Any) -> None:
    """Spark could not load the table any more."""
    sql(f"CREATE TABLE {ns}.t (id BIGINT, at TIMESTAMP) PARTITIONED BY (days(at))")
    for change in ("ADD COLUMN at_day STRING", "RENAME COLUMN id TO at_day"):
        with pytest.raises(Exception, match="different field in schema: at_day"):
            sql(f"ALTER TABLE {ns}.t {change}")
    sql(f"ALTER TABLE {ns}.t RENAME COLUMN at TO at_day")  # its own source
    sql(f"INSERT INTO {ns}.t VALUES (1, TIMESTAMP '2024-01-01 12:30:00')")
    assert lake.metadata(f"{ns}.t")["current-schema-id"] == 1
    sql(f"REFRESH TABLE {ns}.t")
    assert sql(f"SELECT id FROM {ns}.t") == [(1,)]


def test_sort_orders_and_identifier_fields(ns: str, sql: Any, lake: Any) -> None:
    sql(f"CREATE TABLE {ns}.t (id BIGINT NOT NULL, data STRING)")
    sql(f"ALTER TABLE {ns}.t WRITE ORDERED BY data DESC NULLS LAST, bucket(4, id)")
    sql(f"ALTER TABLE {ns}.t SET IDENTIFIER FIELDS id")
    sql(f"INSERT INTO {ns}.t VALUES (1, 'a'), (2, 'c'), (3, 'b')")
    assert sql(f"TABLE {ns}.t") == [(2, "c"), (3, "b"), (1, "a")]
    metadata = lake.metadata(f"{ns}.t")
    assert metadata["default-sort-order-id"] == 1
    assert metadata["schemas"][metadata["current-schema-id"]]["identifier-field-ids"] == [1]
    sql(f"ALTER TABLE {ns}.t DROP IDENTIFIER FIELDS id")
    sql(f"ALTER TABLE {ns}.t WRITE UNORDERED")
    assert lake.metadata(f"{ns}.t")["default-sort-order-id"] == 0


def test_properties(t: str, sql: Any, lake: Any) -> None:
    sql(f"ALTER TABLE {t} SET TBLPROPERTIES ('k' = 'v', 'comment' = 'c')")
    assert {"k": "v", "comment": "c"}.items() <= lake.metadata(t)["properties"].items()
    sql(f"ALTER TABLE {t} UNSET TBLPROPERTIES ('k')")
    assert "k" not in lake.metadata(t)["properties"]


def test_rename(t: str, ns: str, sql: Any, lake: Any) -> None:
    sql(f"CREATE NAMESPACE {ns}.other")
    before = lake.metadata(t)
    inner = f"{ns.removeprefix('lake.')}.other"
    sql(f"ALTER TABLE {t} RENAME TO {inner}.moved")
    assert sql(f"SELECT * FROM {ns}.other.moved ORDER BY id") == AB
    sql(f"CREATE TABLE {t} AS SELECT 3 AS id")
    assert sql(f"TABLE {t}") == [(3,)]
    assert lake.metadata(t)["location"] != before["location"]
    with pytest.raises(Exception, match="already exists"):
        sql(f"ALTER TABLE {t} RENAME TO {inner}.moved")


def test_drop_keeps_the_files_and_purge_deletes_them(t: str, ns: str, sql: Any, lake: Any) -> None:
    sql(f"CREATE TABLE {ns}.other AS TABLE {t}")
    kept, purged, still = (lake.data_files(name) for name in (t, f"{ns}.other", t))
    assert kept == still
    assert purged
    sql(f"DROP TABLE {t}")
    sql(f"DROP TABLE {ns}.other PURGE")
    assert sql(f"SHOW TABLES IN {ns}") == []
    assert all(path.exists() for path in kept)
    assert not any(path.exists() for path in purged)


def test_names_of_all_kinds(ns: str, sql: Any) -> None:
    odd = "t/1 %2F?x=#ü+&'\"."
    sql(f"CREATE NAMESPACE {ns}.`a b.c/ü`")
    sql(f"CREATE TABLE {ns}.`a b.c/ü`.`{odd}` AS SELECT 1 AS `x y.z`")
    assert sql(f"SELECT `x y.z` FROM {ns}.`a b.c/ü`.`{odd}`") == [(1,)]
    assert [row[1] for row in sql(f"SHOW TABLES IN {ns}.`a b.c/ü`")] == [odd]
    sql(f"DROP TABLE {ns}.`a b.c/ü`.`{odd}`")
    sql(f"DROP NAMESPACE {ns}.`a b.c/ü`")
