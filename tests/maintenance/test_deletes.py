"""Deletes that DuckDB wrote are applied, whatever statement made them."""

import pytest

from jobs.maintenance import Plan, compact
from tests.maintenance.lake import Lake

CHANGES = {
    "delete": ["DELETE FROM lake.ns.t WHERE id % 3 = 0"],
    "update": ["UPDATE lake.ns.t SET station = 'changed' WHERE id % 4 = 1"],
    "merge": [
        """MERGE INTO lake.ns.t USING (SELECT range AS id FROM range(15, 45)) AS s ON t.id = s.id
        WHEN MATCHED THEN UPDATE SET station = 'merged'
        WHEN NOT MATCHED THEN INSERT VALUES (s.id, 'new', 1.5)"""
    ],
    "delete and insert": [
        "BEGIN",
        "DELETE FROM lake.ns.t",
        "INSERT INTO lake.ns.t SELECT range, 'again', range FROM range(20)",
        "COMMIT",
    ],
    "everything": ["DELETE FROM lake.ns.t"],
    "many": [f"DELETE FROM lake.ns.t WHERE id = {i}" for i in range(0, 30, 4)],
}


def make(lake: Lake, partitioning: str = "") -> None:
    lake.sql(
        "CREATE TABLE lake.ns.t (id BIGINT, station VARCHAR, temperature DOUBLE)" + partitioning
    )
    for batch in range(6):
        lake.sql(
            "INSERT INTO lake.ns.t SELECT range, 'K' || (range % 3), range / 2"
            f" FROM range({batch * 5}, {batch * 5 + 5})"
        )


@pytest.mark.parametrize("partitioning", ["", " PARTITIONED BY (station)"])
@pytest.mark.parametrize("change", CHANGES)
def test_deleted_rows_stay_deleted(lake: Lake, change: str, partitioning: str) -> None:
    make(lake, partitioning)
    for statement in CHANGES[change]:
        lake.sql(statement)
    before = lake.duck_rows("ns.t")
    assert lake.rows("ns.t") == before
    result = compact(lake.catalog, "ns.t", Plan(min_input_files=2))
    assert result.before["delete files"].files > 0
    assert result.after["delete files"].files == 0
    assert lake.rows("ns.t") == lake.duck_rows("ns.t") == before
    snapshot = lake.load("ns.t").current_snapshot()
    assert snapshot is not None
    assert snapshot.summary is not None
    assert snapshot.summary["total-delete-files"] == "0"
    assert snapshot.summary["total-records"] == str(len(before))


def test_writers_go_on_with_a_compacted_table(lake: Lake) -> None:
    make(lake)
    lake.sql("DELETE FROM lake.ns.t WHERE id < 8")
    compact(lake.catalog, "ns.t")
    lake.sql("DELETE FROM lake.ns.t WHERE id < 10")
    lake.sql("INSERT INTO lake.ns.t VALUES (99, 'K9', 9)")
    assert lake.ids("ns.t") == [*range(10, 30), 99]
    compact(lake.catalog, "ns.t", Plan(rewrite_all=True))
    assert lake.rows("ns.t") == lake.duck_rows("ns.t")
    lake.load("ns.t").delete("id = 99")
    assert [row[0] for row in lake.duck_rows("ns.t")] == [*range(10, 30)]


def test_a_delete_file_about_files_that_stay_is_kept(lake: Lake) -> None:
    make(lake, " PARTITIONED BY (station)")
    lake.sql("DELETE FROM lake.ns.t WHERE id IN (1, 2, 3)")
    lake.sql("INSERT INTO lake.ns.t SELECT range, 'K0', 1 FROM range(100, 110)")
    before = lake.rows("ns.t")
    # Six files of K0 had a file each and one more came: only they make a group of seven.
    compact(lake.catalog, "ns.t", Plan(min_input_files=7, delete_files=99, delete_ratio=9))
    assert lake.rows("ns.t") == lake.duck_rows("ns.t") == before


def test_few_deletes_in_a_full_file_wait(lake: Lake) -> None:
    lake.sql("CREATE TABLE lake.ns.t AS SELECT range AS id FROM range(1000)")
    file_bytes = next(iter(lake.load("ns.t").scan().plan_files())).file.file_size_in_bytes
    lake.sql("DELETE FROM lake.ns.t WHERE id = 7")
    plan = Plan(target_bytes=file_bytes, delete_files=2)
    assert not compact(lake.catalog, "ns.t", plan).changed
    lake.sql("DELETE FROM lake.ns.t WHERE id < 200")
    result = compact(lake.catalog, "ns.t", plan)
    assert result.after["delete files"].files == 0
    assert len(lake.duck_rows("ns.t")) == 800
