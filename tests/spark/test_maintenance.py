"""Iceberg's maintenance procedures, run by Spark."""

import os
import time
from pathlib import Path
from typing import Any

import pytest

DAY = 86_400  # seconds


@pytest.fixture
def small(ns: str, sql: Any) -> str:
    """A table of four files with a row each, the last of which is deleted."""
    sql(
        f"CREATE TABLE {ns}.s (id INT) TBLPROPERTIES "
        "('format-version' = '3', 'write.delete.mode' = 'merge-on-read')"
    )
    for number in range(3):
        sql(f"INSERT INTO {ns}.s VALUES ({number})")
    sql(f"INSERT INTO {ns}.s SELECT /*+ COALESCE(1) */ * FROM VALUES (3), (99)")
    sql(f"DELETE FROM {ns}.s WHERE id = 99")
    return f"{ns}.s"


ROWS = [(0,), (1,), (2,), (3,)]


def test_rewrite_data_files(small: str, sql: Any, lake: Any) -> None:
    assert sql(f"SELECT count(*) FROM {small}.delete_files") == [(1,)]
    ids = sql(f"SELECT id, _row_id FROM {small} ORDER BY id")
    ((rewritten, added, *_),) = sql(
        f"CALL lake.system.rewrite_data_files(table => '{small}', "
        "options => map('rewrite-all', 'true', 'remove-dangling-deletes', 'true'))"
    )
    assert (rewritten, added) == (4, 1)
    assert sql(f"SELECT count(*) FROM {small}.files") == [(1,)]
    assert sql(f"SELECT id, _row_id FROM {small} ORDER BY id") == ids
    assert lake.metadata(small)["snapshots"][-1]["summary"]["operation"] == "replace"


def test_rewrite_manifests(small: str, sql: Any) -> None:
    before = sql(f"SELECT count(*) FROM {small}.manifests WHERE content = 0")
    sql(f"CALL lake.system.rewrite_manifests('{small}')")
    assert before == [(4,)]
    assert sql(f"SELECT count(*) FROM {small}.manifests WHERE content = 0") == [(1,)]
    assert sql(f"SELECT * FROM {small} ORDER BY id") == ROWS


def test_expire_snapshots(small: str, sql: Any, lake: Any) -> None:
    first = lake.metadata(small)["snapshots"][0]["snapshot-id"]
    sql(f"ALTER TABLE {small} CREATE TAG kept AS OF VERSION {first}")
    sql(
        f"CALL lake.system.rewrite_data_files(table => '{small}', "
        "options => map('rewrite-all', 'true'))"
    )
    before = lake.data_files(small)
    sql(
        f"CALL lake.system.expire_snapshots(table => '{small}', "
        "older_than => TIMESTAMP '2999-01-01 00:00:00', retain_last => 1)"
    )
    metadata = lake.metadata(small)
    left = {snapshot["snapshot-id"] for snapshot in metadata["snapshots"]}
    assert left == {first, metadata["current-snapshot-id"]}
    assert len(lake.data_files(small)) == 2 < len(before)
    assert sql(f"SELECT * FROM {small} ORDER BY id") == ROWS
    assert sql(f"SELECT * FROM {small} VERSION AS OF 'kept'") == [(0,)]


def test_remove_orphan_files(small: str, sql: Any, lake: Any) -> None:
    live = lake.data_files(small)
    folder = next(iter(live)).parent
    orphan, fresh = folder / "orphan.parquet", folder / "fresh.parquet"
    for path in (orphan, fresh):
        path.write_bytes(b"nobody points at me")
    for path in (orphan, *live):
        os.utime(path, (time.time() - 4 * DAY,) * 2)
    removed = sql(f"CALL lake.system.remove_orphan_files(table => '{small}')")
    assert [Path(location.removeprefix("file:")) for (location,) in removed] == [orphan]
    assert lake.data_files(small) == {*live, fresh}  # what is new may yet be committed
    assert sql(f"SELECT * FROM {small} ORDER BY id") == ROWS


def test_statistics(small: str, sql: Any, lake: Any) -> None:
    sql(f"ALTER TABLE {small} ADD PARTITION FIELD id")
    sql(f"CALL lake.system.compute_table_stats('{small}')")
    sql(f"CALL lake.system.compute_partition_stats('{small}')")
    metadata = lake.metadata(small)
    for key in ("statistics", "partition-statistics"):
        (file,) = metadata[key]
        assert file["snapshot-id"] == metadata["current-snapshot-id"]
        assert Path(file["statistics-path"].removeprefix("file:")).is_file()


def test_drop_and_register(small: str, ns: str, sql: Any, lake: Any) -> None:
    level, name = small.removeprefix("lake.").split(".")
    location = lake.get(f"namespaces/{level}/tables/{name}")["metadata-location"]
    uuid = lake.metadata(small)["table-uuid"]
    sql(f"DROP TABLE {small}")
    sql(f"CALL lake.system.register_table(table => '{ns}.back', metadata_file => '{location}')")
    assert sql(f"SELECT * FROM {ns}.back ORDER BY id") == ROWS
    sql(f"INSERT INTO {ns}.back VALUES (4)")
    assert lake.metadata(f"{ns}.back")["table-uuid"] == uuid


def test_add_files(ns: str, sql: Any, spark: Any, lake: Any) -> None:
    folder = lake.folder / "files" / ns / "parquet"
    spark.range(3).write.parquet(f"file://{folder}")
    sql(f"CREATE TABLE {ns}.t (id BIGINT)")
    sql(f"CALL lake.system.add_files('{ns}.t', '`parquet`.`file://{folder}`')")
    assert sql(f"SELECT * FROM {ns}.t ORDER BY id") == [(0,), (1,), (2,)]


def test_old_metadata_files_go_when_the_table_says_so(t: str, sql: Any, lake: Any) -> None:
    sql(
        f"ALTER TABLE {t} SET TBLPROPERTIES ('write.metadata.previous-versions-max' = '2', "
        "'write.metadata.delete-after-commit.enabled' = 'true')"
    )
    for number in range(4):
        sql(f"ALTER TABLE {t} SET TBLPROPERTIES ('k' = '{number}')")
    home = Path(lake.metadata(t)["location"].removeprefix("file://"))
    assert len(list((home / "metadata").glob("*.metadata.json"))) == 3
    assert len(sql(f"SELECT * FROM {t}.metadata_log_entries")) == 3
