"""Deletes that DuckDB wrote are applied, whatever statement made them."""

import datetime as dt
import math

import pyarrow as pa
import pytest
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.io.pyarrow import ParquetFormatWriter, schema_to_pyarrow
from pyiceberg.manifest import (
    DataFile,
    DataFileContent,
    FileFormat,
    ManifestEntry,
    ManifestEntryStatus,
    ManifestWriter,
)
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import prune_columns
from pyiceberg.table.snapshots import Operation, Summary
from pyiceberg.transforms import IdentityTransform, VoidTransform
from pyiceberg.typedef import Record

from jobs.lake import commits
from jobs.maintenance import Plan, compact, expire_snapshots, rewrite_manifests
from jobs.maintenance.deletes import under_equality_deletes
from jobs.maintenance.snapshots import Draft, commit
from jobs.maintenance.state import Reader, look
from tests.maintenance.lake import SCHEMA, Lake, append_each, observations

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


def delete_ids(
    catalog: RestCatalog, name: str, ids: list[int], spec_id: int, partition: Record
) -> None:
    """Commit an equality delete of ids, as Flink does: PyIceberg and DuckDB write none."""
    table = catalog.load_table(name)
    path = table.location_provider().new_data_location(f"equal-{'-'.join(map(str, ids))}.parquet")
    schema = prune_columns(table.schema(), {1})
    writer = ParquetFormatWriter(table.io.new_output(path), schema, {})
    with writer:
        writer.write(pa.table({"id": ids}, schema=schema_to_pyarrow(schema)))
    file = DataFile.from_args(
        content=DataFileContent.EQUALITY_DELETES,
        file_path=path,
        file_format=FileFormat.PARQUET,
        partition=partition,
        record_count=len(ids),
        file_size_in_bytes=len(table.io.new_input(path)),
        equality_ids=[1],
        key_metadata=None,
        sort_order_id=None,
    )
    file.spec_id = spec_id
    state = look(catalog, name, "main", Reader())
    draft = Draft(state)
    entry = ManifestEntry.from_args(
        status=ManifestEntryStatus.ADDED,
        snapshot_id=draft.snapshot_id,
        sequence_number=None,
        file_sequence_number=None,
        data_file=file,
    )
    manifest = draft.manifest(spec_id, [entry], ManifestWriter.add, deletes=True)
    snapshot = draft.snapshot([*state.manifests, manifest], Summary(operation=Operation.OVERWRITE))
    commit(catalog, draft, snapshot)


@pytest.fixture
def void(lake: Lake) -> Lake:
    """A table of version 1 whose only partition field was removed, in version 2 by now."""
    spec = PartitionSpec(PartitionField(2, 1000, IdentityTransform(), "s"))
    lake.catalog.create_table(
        "ns.t", SCHEMA, partition_spec=spec, properties={"format-version": "1"}
    )
    append_each(lake.load("ns.t"), 3)
    with lake.load("ns.t").update_spec() as update:
        update.remove_field("s")
    with lake.load("ns.t").transaction() as transaction:
        transaction.upgrade_table_version(format_version=2)
    (field,) = lake.load("ns.t").spec().fields
    assert field.transform == VoidTransform()
    return lake


def test_an_equality_delete_under_a_void_spec_is_a_global_one(void: Lake) -> None:
    delete_ids(void.catalog, "ns.t", [1, 7], void.load("ns.t").spec().spec_id, Record(None))
    before = void.duck_rows("ns.t")
    assert sorted(row[0] for row in before) == [0, *range(2, 7), *range(8, 30)]
    result = compact(void.catalog, "ns.t", Plan(rewrite_all=True))
    assert "equality deletes apply to them" in result.skipped[0].why
    rewrite_manifests(void.catalog, "ns.t")
    void.load("ns.t").append(observations(100, 5))
    expire_snapshots(void.catalog, "ns.t", older_than=dt.timedelta(0))
    compact(void.catalog, "ns.t", Plan(rewrite_all=True))
    for condition in ("true", "station = 'KB'", "id IN (1, 7)"):
        found = void.sql(f"SELECT * FROM lake.ns.t WHERE id < 100 AND {condition} ORDER BY ALL")
        assert not {1, 7} & {row[0] for row in found.fetchall()}
    assert len(void.duck_rows("ns.t")) == len(before) + 5


def test_an_equality_delete_of_one_partition_leaves_the_others_to_compaction(lake: Lake) -> None:
    spec = PartitionSpec(PartitionField(2, 1000, IdentityTransform(), "s"))
    lake.catalog.create_table("ns.t", SCHEMA, partition_spec=spec)
    append_each(lake.load("ns.t"), 3)
    delete_ids(lake.catalog, "ns.t", [1, 4], 0, Record("KB"))
    before = lake.duck_rows("ns.t")
    assert len(before) == 28
    result = compact(lake.catalog, "ns.t", Plan(rewrite_all=True))
    assert result.changed
    assert [skip.what for skip in result.skipped] == ["3 data files"]
    assert lake.duck_rows("ns.t") == before


def test_data_that_is_younger_than_an_equality_delete_is_compacted(lake: Lake) -> None:
    lake.catalog.create_table("ns.t", SCHEMA)
    append_each(lake.load("ns.t"), 2)
    delete_ids(lake.catalog, "ns.t", [1, 25], 0, Record())
    append_each(lake.load("ns.t"), 2, first=20)
    result = compact(lake.catalog, "ns.t", Plan(rewrite_all=True))
    assert [skip.what for skip in result.skipped] == ["2 data files"]
    assert sorted(row[0] for row in lake.duck_rows("ns.t")) == [0, *range(2, 40)]


@pytest.mark.parametrize("value", [math.nan, -0.0])
def test_an_equality_delete_finds_its_partition_of_a_float(lake: Lake, value: float) -> None:
    spec = PartitionSpec(PartitionField(3, 1000, IdentityTransform(), "t"))
    lake.catalog.create_table("ns.t", SCHEMA, partition_spec=spec)
    rows = [{"id": n, "station": "K", "temperature": value if n < 2 else 0.0} for n in range(4)]
    for part in (rows[:2], rows[2:]):
        commits.append(lake.load("ns.t"), pa.Table.from_pylist(part), {})
    delete_ids(lake.catalog, "ns.t", [0, 2], 0, Record(value))
    # Of the two files it applies to the one in its partition only.
    state = look(lake.catalog, "ns.t", "main", Reader())
    partitions = {path: entry.data_file.partition for path, entry in state.data.items()}
    (found,) = under_equality_deletes(state)
    assert str(partitions[found][0]) == str(value)
