"""Compaction keeps every row as it is, and leaves fewer files."""

import pyarrow as pa
import pytest
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table.snapshots import Operation
from pyiceberg.table.sorting import SortDirection, SortField, SortOrder
from pyiceberg.transforms import IdentityTransform, UnknownTransform
from pyiceberg.types import LongType, NestedField, UUIDType

from jobs.maintenance import Plan, RefusedError, Size, compact
from jobs.maintenance.compaction import refusal
from jobs.maintenance.state import Reader, look
from tests.maintenance.lake import SCHEMA, Lake, append_each, observations

BY_STATION = PartitionSpec(PartitionField(2, 1000, IdentityTransform(), "station"))


@pytest.mark.parametrize("version", ["1", "2"])
def test_small_files_become_one_with_the_same_rows(lake: Lake, version: str) -> None:
    table = lake.catalog.create_table("ns.t", SCHEMA, properties={"format-version": version})
    append_each(table, 6)
    before = lake.rows("ns.t")
    result = compact(lake.catalog, "ns.t")
    assert result.before["data files"].files == 6
    assert result.after["data files"].files == 1
    assert result.after["data files"].bytes < result.before["data files"].bytes
    assert lake.rows("ns.t") == lake.duck_rows("ns.t") == before
    snapshot = lake.load("ns.t").current_snapshot()
    assert snapshot is not None
    assert snapshot.snapshot_id == result.snapshots[0]
    assert snapshot.summary is not None
    assert snapshot.summary.operation == Operation.REPLACE
    assert snapshot.summary["total-records"] == "60"
    assert snapshot.summary["total-data-files"] == "1"
    assert not lake.missing("ns.t")


def test_a_second_compaction_finds_nothing_to_do(lake: Lake) -> None:
    append_each(lake.catalog.create_table("ns.t", SCHEMA), 6)
    compact(lake.catalog, "ns.t")
    metadata = lake.load("ns.t").metadata_location
    result = compact(lake.catalog, "ns.t")
    assert not result.changed
    assert lake.load("ns.t").metadata_location == metadata


def test_a_dry_run_changes_nothing(lake: Lake) -> None:
    append_each(lake.catalog.create_table("ns.t", SCHEMA), 6)
    files = lake.files("ns.t")
    result = compact(lake.catalog, "ns.t", Plan(dry_run=True))
    assert result.notes == ("1 group of 6 files would be rewritten",)
    assert lake.files("ns.t") == files


def test_few_small_files_stay(lake: Lake) -> None:
    append_each(lake.catalog.create_table("ns.t", SCHEMA), 4)
    assert not compact(lake.catalog, "ns.t").changed
    assert compact(lake.catalog, "ns.t", Plan(min_input_files=4)).changed


def test_partitions_stay_apart(lake: Lake) -> None:
    table = lake.catalog.create_table("ns.t", SCHEMA, partition_spec=BY_STATION)
    append_each(table, 6)
    before = lake.rows("ns.t")
    result = compact(lake.catalog, "ns.t")
    assert result.before["data files"].files == 18
    assert result.after["data files"].files == 3
    assert lake.rows("ns.t") == lake.duck_rows("ns.t") == before
    for task in lake.load("ns.t").scan().plan_files():
        assert f"station={task.file.partition[0]}/" in task.file.file_path
    assert len(lake.rows("ns.t", row_filter="station = 'KA'")) == 20


def test_files_of_older_specs_move_to_the_current_one(lake: Lake) -> None:
    table = lake.catalog.create_table("ns.t", SCHEMA, partition_spec=BY_STATION)
    append_each(table, 2)
    with table.update_spec() as update:
        update.remove_field("station")
        update.add_field("id", "truncate[10]", "tens")
    append_each(table, 2, first=20)
    before = lake.rows("ns.t")
    compact(lake.catalog, "ns.t")
    table = lake.load("ns.t")
    assert {task.file.spec_id for task in table.scan().plan_files()} == {table.spec().spec_id}
    assert lake.rows("ns.t") == lake.duck_rows("ns.t") == before
    assert len(lake.rows("ns.t", row_filter="id < 10")) == 10


def test_old_files_are_read_with_the_present_schema(lake: Lake) -> None:
    narrow = pa.schema([("id", pa.int32()), ("station", pa.string()), ("gone", pa.string())])
    table = lake.catalog.create_table("ns.t", narrow)
    for i in range(3):
        table.append(pa.table([[i], ["KA"], ["x"]], schema=narrow))
    with table.update_schema() as update:
        update.update_column("id", LongType())
        update.rename_column("station", "site")
        update.delete_column("gone")
        update.add_column("wind", LongType())
    wide = pa.schema([("id", pa.int64()), ("site", pa.string()), ("wind", pa.int64())])
    for i in range(3, 6):
        table.append(pa.table([[i], ["KB"], [i]], schema=wide))
    before = lake.rows("ns.t")
    compact(lake.catalog, "ns.t")
    assert lake.rows("ns.t") == lake.duck_rows("ns.t") == before
    table = lake.load("ns.t")
    assert len(list(table.scan().plan_files())) == 1
    # Field ids, not names, tie columns to the schema: they survive another renaming.
    with table.update_schema() as update:
        update.rename_column("site", "place")
    assert lake.rows("ns.t") == before


def test_rows_are_sorted_by_the_tables_order(lake: Lake) -> None:
    order = SortOrder(
        SortField(2, transform=IdentityTransform()),
        SortField(1, transform=IdentityTransform(), direction=SortDirection.DESC),
    )
    table = lake.catalog.create_table("ns.t", SCHEMA, sort_order=order)
    append_each(table, 6)
    compact(lake.catalog, "ns.t")
    (task,) = lake.load("ns.t").scan().plan_files()
    assert task.file.sort_order_id == table.sort_order().order_id
    rows = lake.load("ns.t").scan().to_arrow().to_pylist()
    assert rows == sorted(rows, key=lambda row: (row["station"], -row["id"]))
    assert len(rows) == 60


def test_rows_are_sorted_in_little_memory(lake: Lake) -> None:
    append_each(lake.catalog.create_table("ns.t", SCHEMA), 6, rows=500)
    before = lake.rows("ns.t")
    plan = Plan(sort="temperature desc nulls last, id", memory_bytes=4000)
    compact(lake.catalog, "ns.t", plan)
    rows = lake.load("ns.t").scan().to_arrow().to_pylist()
    assert rows == sorted(
        rows, key=lambda row: (row["temperature"] is None, -(row["temperature"] or 0), row["id"])
    )
    assert lake.rows("ns.t") == before
    (task,) = lake.load("ns.t").scan().plan_files()
    assert task.file.sort_order_id is None


@pytest.mark.parametrize("sort", ["nothing", "id,,station", ""])
def test_a_sort_order_must_name_columns(lake: Lake, sort: str) -> None:
    append_each(lake.catalog.create_table("ns.t", SCHEMA), 6)
    if sort:
        with pytest.raises(RefusedError, match=r"nothing|empty term"):
            compact(lake.catalog, "ns.t", Plan(sort=sort))
    else:
        assert compact(lake.catalog, "ns.t", Plan(sort=sort)).changed
    assert not lake.unreferenced("ns.t")


def test_a_large_file_is_split(lake: Lake) -> None:
    table = lake.catalog.create_table("ns.t", SCHEMA)
    table.append(observations(0, 20_000))
    before = lake.rows("ns.t")
    length = next(iter(table.scan().plan_files())).file.file_size_in_bytes
    plan = Plan(target_bytes=length // 4, memory_bytes=40_000)
    result = compact(lake.catalog, "ns.t", plan)
    assert 3 <= result.after["data files"].files <= 6
    assert lake.rows("ns.t") == before


def test_version_3_is_refused(lake: Lake) -> None:
    lake.sql("CREATE TABLE lake.ns.t (id BIGINT) WITH ('format-version' = '3')")
    for i in range(6):
        lake.sql(f"INSERT INTO lake.ns.t VALUES ({i})")
    result = compact(lake.catalog, "ns.t")
    assert not result.changed
    assert "format version 3" in result.skipped[0].why
    assert "Spark's rewrite_data_files" in result.skipped[0].why


def test_an_empty_table_is_left_alone(lake: Lake) -> None:
    lake.catalog.create_table("ns.t", SCHEMA)
    result = compact(lake.catalog, "ns.t")
    assert result.before["data files"] == Size()
    assert not result.changed


def test_a_branch_is_compacted_by_itself(lake: Lake) -> None:
    table = lake.catalog.create_table("ns.t", SCHEMA)
    append_each(table, 2)
    head = table.current_snapshot()
    assert head is not None
    table.manage_snapshots().create_branch(head.snapshot_id, "audit").commit()
    for number in range(4):
        table.append(observations(100 + number, 1), branch="audit")
    audited = table.refs()["audit"].snapshot_id
    # PyIceberg's append forgets a branch's retention: it is set afterwards.
    table.manage_snapshots().create_branch(
        audited, "audit", max_ref_age_ms=10**12, min_snapshots_to_keep=7
    ).commit()
    before = lake.rows("ns.t")
    result = compact(lake.catalog, "ns.t", branch="audit")
    table = lake.load("ns.t")
    assert table.refs()["audit"].snapshot_id == result.snapshots[0]
    assert table.refs()["audit"].min_snapshots_to_keep == 7
    assert table.refs()["audit"].max_ref_age_ms == 10**12
    assert table.refs()["main"].snapshot_id == head.snapshot_id
    assert lake.rows("ns.t") == before
    assert table.scan(snapshot_id=result.snapshots[0]).to_arrow().num_rows == 24
    with pytest.raises(RefusedError, match="no branch 'nope'; its refs: audit, main"):
        compact(lake.catalog, "ns.t", branch="nope")


def test_rows_are_sorted_by_a_uuid(lake: Lake) -> None:
    """Arrow does not sort UUIDs."""
    schema = Schema(
        NestedField(1, "id", LongType(), required=False),
        NestedField(2, "key", UUIDType(), required=False),
    )
    table = lake.catalog.create_table("ns.t", schema)
    keys = [b"\xff" * 16, None, b"\x00" * 16, b"\x80" * 16]
    for number, key in enumerate(keys):
        rows = [{"id": number, "key": key}]
        table.append(pa.Table.from_pylist(rows, schema=table.schema().as_arrow()))
    assert compact(lake.catalog, "ns.t", Plan(rewrite_all=True, sort="key desc")).changed
    ids = lake.load("ns.t").scan().to_arrow().column("id").to_pylist()
    assert ids == [0, 3, 2, 1]


def test_a_table_partitioned_by_a_transform_of_a_later_version_is_left_alone(lake: Lake) -> None:
    append_each(lake.catalog.create_table("ns.t", SCHEMA, partition_spec=BY_STATION), 2)
    state = look(lake.catalog, ("ns", "t"), "main", Reader())
    assert refusal(state) is None
    later = PartitionSpec(PartitionField(2, 1000, UnknownTransform("zorder"), "s"))
    metadata = state.metadata.model_copy(update={"partition_specs": [later]})
    state.table.metadata = metadata
    assert "partitioned by" in str(refusal(state))
    assert "zorder" in str(refusal(state))
