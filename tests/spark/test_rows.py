"""Rows inserted, merged, updated and deleted by Spark, in tables of each format version."""

import itertools
from typing import Any

import duckdb
import duckdb_extensions
import pytest
from pyiceberg.catalog import load_catalog

from falcon_catalog.engines import ENGINES, Address

MERGE = """
    MERGE INTO {0} t USING (
        SELECT * FROM VALUES (1, 'A'), (2, NULL), (9, 'z') AS s (id, data)
    ) s ON t.id = s.id
    WHEN MATCHED AND s.data IS NULL THEN DELETE
    WHEN MATCHED THEN UPDATE SET data = s.data
    WHEN NOT MATCHED THEN INSERT *
    WHEN NOT MATCHED BY SOURCE AND t.id = 3 THEN UPDATE SET data = 'alone'"""
MODES = "".join(f", 'write.{verb}.mode' = '{{mode}}'" for verb in ("delete", "update", "merge"))


def make(sql: Any, name: str, version: int, mode: str = "merge-on-read") -> None:
    """Make a table of five rows in one file."""
    properties = f"'format-version' = '{version}'{MODES.format(mode=mode)}"
    sql(f"CREATE TABLE {name} (id INT, data STRING) TBLPROPERTIES ({properties})")
    sql(
        f"INSERT INTO {name} SELECT /*+ COALESCE(1) */ * "
        "FROM VALUES (1, 'a'), (2, 'b'), (3, 'c'), (4, 'd'), (5, 'e')"
    )


@pytest.mark.parametrize(
    ("version", "mode", "formats"),
    [
        (1, "copy-on-write", set()),
        (2, "copy-on-write", set()),
        (2, "merge-on-read", {"PARQUET"}),
        (3, "merge-on-read", {"PUFFIN"}),
    ],
)
def test_merge_update_delete(
    ns: str, sql: Any, lake: Any, *, version: int, mode: str, formats: set[str]
) -> None:
    make(sql, f"{ns}.t", version, mode)
    sql(MERGE.format(f"{ns}.t"))
    sql(f"UPDATE {ns}.t SET data = upper(data) WHERE id = 4")
    sql(f"DELETE FROM {ns}.t WHERE id = 5")
    assert sql(f"SELECT * FROM {ns}.t ORDER BY id") == [
        (1, "A"),
        (3, "alone"),
        (4, "D"),
        (9, "z"),
    ]
    metadata = lake.metadata(f"{ns}.t")
    assert metadata["format-version"] == version
    assert len(metadata["snapshots"]) == 4
    assert {f for (f,) in sql(f"SELECT file_format FROM {ns}.t.all_delete_files")} == formats


def test_overwrite(ns: str, sql: Any) -> None:
    sql(f"CREATE TABLE {ns}.t (id INT, part STRING) PARTITIONED BY (part)")
    sql(f"INSERT INTO {ns}.t VALUES (1, 'a'), (2, 'b')")
    sql(f"INSERT OVERWRITE {ns}.t PARTITION (part = 'a') VALUES (3)")
    assert sql(f"SELECT * FROM {ns}.t ORDER BY id") == [(2, "b"), (3, "a")]
    sql(f"INSERT INTO {ns}.t REPLACE WHERE part = 'b' VALUES (4, 'b'), (5, 'b')")
    assert sql(f"SELECT * FROM {ns}.t ORDER BY id") == [(3, "a"), (4, "b"), (5, "b")]
    sql(f"INSERT OVERWRITE {ns}.t VALUES (6, 'c')")
    assert sql(f"TABLE {ns}.t") == [(6, "c")]
    sql(f"TRUNCATE TABLE {ns}.t")
    assert sql(f"TABLE {ns}.t") == []


def test_rows_keep_their_identity_in_version_3(ns: str, sql: Any, lake: Any) -> None:
    make(sql, f"{ns}.t", 3)
    lineage = f"SELECT id, _row_id, _last_updated_sequence_number FROM {ns}.t ORDER BY id"
    assert sql(lineage) == [(i, i - 1, 1) for i in range(1, 6)]
    sql(f"UPDATE {ns}.t SET data = 'new' WHERE id = 2")
    sql(f"INSERT INTO {ns}.t VALUES (6, 'f')")
    rows = sql(lineage)
    assert [row[1] for row in rows[:5]] == [0, 1, 2, 3, 4]
    assert [row[2] for row in rows] == [1, 2, 1, 1, 1, 3]
    assert rows[5][1] > 4
    metadata = lake.metadata(f"{ns}.t")
    assert metadata["next-row-id"] > rows[5][1]
    starts = [snapshot["first-row-id"] for snapshot in metadata["snapshots"]]
    ends = [s["first-row-id"] + s["added-rows"] for s in metadata["snapshots"]]
    assert starts[0] == 0
    assert all(end <= start for end, start in itertools.pairwise([0, *starts[1:]]) if end > start)
    assert [*starts[1:], metadata["next-row-id"]] == ends


def test_variants_in_version_3(ns: str, sql: Any) -> None:
    sql(f"CREATE TABLE {ns}.t (id INT, v VARIANT) TBLPROPERTIES ('format-version' = '3')")
    sql(f"""INSERT INTO {ns}.t SELECT 1, parse_json('{{"a": [1, {{"b": "deep"}}]}}')""")
    assert sql(f"SELECT variant_get(v, '$.a[1].b', 'string') FROM {ns}.t") == [("deep",)]
    with pytest.raises(Exception, match="not supported until v3"):
        sql(f"CREATE TABLE {ns}.u (v VARIANT) TBLPROPERTIES ('format-version' = '2')")


def test_versions_go_up_and_never_down(ns: str, sql: Any, lake: Any) -> None:
    make(sql, f"{ns}.t", 1)
    for version in (2, 3):
        sql(f"ALTER TABLE {ns}.t SET TBLPROPERTIES ('format-version' = '{version}')")
        sql(f"DELETE FROM {ns}.t WHERE id = {version}")
        assert lake.metadata(f"{ns}.t")["format-version"] == version
    assert sql(f"SELECT id FROM {ns}.t ORDER BY id") == [(1,), (4,), (5,)]
    assert {f for (f,) in sql(f"SELECT file_format FROM {ns}.t.delete_files")} == {"PUFFIN"}
    row_ids = [row_id for (row_id,) in sql(f"SELECT _row_id FROM {ns}.t")]
    assert len(set(row_ids)) == 3
    with pytest.raises(Exception, match="Cannot downgrade"):
        sql(f"ALTER TABLE {ns}.t SET TBLPROPERTIES ('format-version' = '2')")


def test_other_engines_read_what_spark_wrote(ns: str, sql: Any, lake: Any, tmp_path: Any) -> None:
    make(sql, f"{ns}.t", 2)
    sql(MERGE.format(f"{ns}.t"))
    expected = [(1, "A"), (3, "alone"), (4, "d"), (5, "e"), (9, "z")]
    catalog = load_catalog("lake", type="rest", uri=lake.url)
    table = catalog.load_table(f"{ns}.t".removeprefix("lake."))
    read = table.scan().to_arrow().to_pylist()
    assert sorted((row["id"], row["data"]) for row in read) == expected
    with duckdb.connect(config={"extension_directory": str(tmp_path)}) as connection:
        for extension in ("avro", "httpfs", "iceberg"):
            duckdb_extensions.import_extension(extension, con=connection)
        connection.execute(ENGINES["duckdb"].write(Address(lake.url, "default")))
        assert connection.execute(f"FROM {ns}.t ORDER BY id").fetchall() == expected
        connection.execute(f"INSERT INTO {ns}.t VALUES (10, 'from DuckDB')")
    sql(f"REFRESH TABLE {ns}.t")
    assert sql(f"SELECT * FROM {ns}.t ORDER BY id") == [*expected, (10, "from DuckDB")]
