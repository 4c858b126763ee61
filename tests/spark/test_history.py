"""Branches, tags, time travel and the way back, by Spark."""

import datetime as dt
from typing import Any

import pytest

AB = [(1, "a"), (2, "b")]


def snapshots(sql: Any, name: str) -> list[int]:
    """Return a table's snapshot ids, oldest first."""
    return [
        row[0] for row in sql(f"SELECT snapshot_id FROM {name}.snapshots ORDER BY committed_at")
    ]


def test_branches(t: str, sql: Any, lake: Any) -> None:
    sql(f"ALTER TABLE {t} CREATE BRANCH dev RETAIN 7 DAYS WITH SNAPSHOT RETENTION 2 SNAPSHOTS")
    sql(f"INSERT INTO {t}.branch_dev VALUES (3, 'c')")
    sql(f"DELETE FROM {t}.branch_dev WHERE id = 1")
    assert sql(f"SELECT * FROM {t} ORDER BY id") == AB
    dev = [(2, "b"), (3, "c")]
    assert sql(f"SELECT * FROM {t} VERSION AS OF 'dev' ORDER BY id") == dev
    assert sql(f"SELECT * FROM {t}.branch_dev ORDER BY id") == dev
    ref = lake.metadata(t)["refs"]["dev"]
    assert (ref["max-ref-age-ms"], ref["min-snapshots-to-keep"]) == (7 * 86_400_000, 2)
    sql(f"CALL lake.system.fast_forward('{t}', 'main', 'dev')")
    assert sql(f"SELECT * FROM {t} ORDER BY id") == dev
    sql(f"ALTER TABLE {t} DROP BRANCH dev")
    assert set(lake.metadata(t)["refs"]) == {"main"}
    with pytest.raises(Exception, match="dev"):
        sql(f"SELECT * FROM {t} VERSION AS OF 'dev'")


def test_a_branch_must_exist_and_may_be_replaced(t: str, sql: Any, lake: Any) -> None:
    with pytest.raises(Exception, match=r"Cannot use branch \(does not exist\): none"):
        sql(f"INSERT INTO {t}.branch_none VALUES (3, 'c')")
    first = snapshots(sql, t)[0]
    sql(f"INSERT INTO {t} VALUES (3, 'c')")
    sql(f"ALTER TABLE {t} CREATE BRANCH b")
    with pytest.raises(Exception, match="already exists"):
        sql(f"ALTER TABLE {t} CREATE BRANCH b")
    sql(f"ALTER TABLE {t} CREATE OR REPLACE BRANCH b AS OF VERSION {first}")
    assert lake.metadata(t)["refs"]["b"]["snapshot-id"] == first
    assert sql(f"SELECT * FROM {t} VERSION AS OF 'b' ORDER BY id") == AB


def test_tags(t: str, sql: Any, lake: Any) -> None:
    sql(f"ALTER TABLE {t} CREATE TAG closing RETAIN 365 DAYS")
    sql(f"DELETE FROM {t}")
    assert sql(f"TABLE {t}") == []
    assert sql(f"SELECT * FROM {t} VERSION AS OF 'closing' ORDER BY id") == AB
    assert sql(f"SELECT * FROM {t}.tag_closing ORDER BY id") == AB
    with pytest.raises(Exception, match="Cannot write to table with time travel"):
        sql(f"INSERT INTO {t}.tag_closing VALUES (3, 'c')")
    assert lake.metadata(t)["refs"]["closing"]["type"] == "tag"
    sql(f"ALTER TABLE {t} DROP TAG closing")
    assert "closing" not in lake.metadata(t)["refs"]


def test_time_travel(t: str, sql: Any) -> None:
    sql(f"INSERT INTO {t} VALUES (3, 'c')")
    sql(f"ALTER TABLE {t} RENAME COLUMN data TO payload")
    first, _ = snapshots(sql, t)
    assert sql(f"SELECT data FROM {t} VERSION AS OF {first} ORDER BY id") == [("a",), ("b",)]
    ((at,),) = sql(f"SELECT made_current_at FROM {t}.history WHERE snapshot_id = {first}")
    as_of = f"SELECT id FROM {t} TIMESTAMP AS OF '{{}}' ORDER BY id"
    assert sql(as_of.format(at.isoformat(" "))) == [(1,), (2,)]
    with pytest.raises(Exception, match="Cannot find a snapshot older than"):
        sql(as_of.format((at - dt.timedelta(seconds=1)).isoformat(" ")))
    assert sql(f"SELECT payload FROM {t} WHERE id = 3") == [("c",)]


def test_the_way_back(t: str, sql: Any, lake: Any) -> None:
    sql(f"INSERT INTO {t} VALUES (3, 'c')")
    first, second = snapshots(sql, t)
    sql(f"CALL lake.system.rollback_to_snapshot('{t}', {first})")
    assert sql(f"SELECT * FROM {t} ORDER BY id") == AB
    sql(f"CALL lake.system.set_current_snapshot('{t}', {second})")
    assert sql(f"SELECT count(*) FROM {t}") == [(3,)]
    log = [entry["snapshot-id"] for entry in lake.metadata(t)["snapshot-log"]]
    assert log == [first, second, first, second]
    current = sql(f"SELECT is_current_ancestor FROM {t}.history")
    assert current == [(True,)] * 4


def test_write_audit_publish(t: str, sql: Any, spark: Any) -> None:
    sql(f"ALTER TABLE {t} SET TBLPROPERTIES ('write.wap.enabled' = 'true')")
    spark.conf.set("spark.wap.id", "audit-1")
    try:
        sql(f"INSERT INTO {t} VALUES (3, 'c')")
    finally:
        spark.conf.unset("spark.wap.id")
    assert sql(f"SELECT * FROM {t} ORDER BY id") == AB
    sql(f"INSERT INTO {t} VALUES (4, 'd')")
    sql(f"CALL lake.system.publish_changes('{t}', 'audit-1')")
    assert sql(f"SELECT id FROM {t} ORDER BY id") == [(1,), (2,), (3,), (4,)]


def test_changes_between_snapshots(t: str, sql: Any) -> None:
    sql(f"INSERT INTO {t} VALUES (3, 'c')")
    sql(f"DELETE FROM {t} WHERE id = 1")
    sql(f"CALL lake.system.create_changelog_view(table => '{t}', changelog_view => 'changes')")
    try:
        changes = sql("SELECT id, _change_type, _change_ordinal FROM changes ORDER BY 3, 1")
    finally:
        sql("DROP VIEW changes")  # a temporary one: every namespace would list it
    assert changes == [(1, "INSERT", 0), (2, "INSERT", 0), (3, "INSERT", 1), (1, "DELETE", 2)]
