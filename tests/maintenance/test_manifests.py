"""Rewriting manifests leaves few, and every file and delete as it was."""

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.expressions import EqualTo
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.table.snapshots import Operation, Snapshot
from pyiceberg.transforms import IdentityTransform

from jobs.maintenance import compact, expire_snapshots, rewrite_manifests
from tests.maintenance.lake import SCHEMA, Lake, append_each

BY_STATION = PartitionSpec(PartitionField(2, 1000, IdentityTransform(), "station"))


def files(lake: Lake) -> set[str]:
    return {task.file.file_path for task in lake.load("ns.t").scan().plan_files()}


def head(lake: Lake) -> Snapshot:
    snapshot = lake.load("ns.t").current_snapshot()
    assert snapshot is not None
    return snapshot


@pytest.mark.parametrize("version", ["1", "2"])
def test_many_manifests_become_one(lake: Lake, version: str) -> None:
    table = lake.catalog.create_table("ns.t", SCHEMA, properties={"format-version": version})
    append_each(table, 6)
    rows, paths = lake.rows("ns.t"), files(lake)
    result = rewrite_manifests(lake.catalog, "ns.t")
    assert result.before["manifests of data files"].files == 6
    assert result.after["manifests of data files"].files == 1
    assert files(lake) == paths
    assert lake.rows("ns.t") == lake.duck_rows("ns.t") == rows
    table = lake.load("ns.t")
    snapshot = head(lake)
    assert snapshot.summary is not None
    assert snapshot.summary.operation == Operation.REPLACE
    assert snapshot.summary["manifests-replaced"] == "6"
    assert snapshot.summary["total-data-files"] == "6"
    assert not rewrite_manifests(lake.catalog, "ns.t").changed, "there is nothing left to do"
    # Incremental readers still find out what came when.
    assert len(set(table.inspect.entries().column("snapshot_id").to_pylist())) == 6


def test_manifests_are_clustered_by_partition(lake: Lake) -> None:
    table = lake.catalog.create_table("ns.t", SCHEMA, partition_spec=BY_STATION)
    append_each(table, 12)
    rows = lake.rows("ns.t")
    manifests = table.inspect.manifests()
    size = sum(manifests.column("length").to_pylist()) // 3 + 1
    rewrite_manifests(lake.catalog, "ns.t", target_bytes=size)
    summaries = lake.load("ns.t").inspect.manifests().column("partition_summaries").to_pylist()
    bounds = [(part[0]["lower_bound"], part[0]["upper_bound"]) for part in summaries]
    assert sorted(bounds) == [("KA", "KA"), ("KB", "KB"), ("KC", "KC")]
    assert lake.rows("ns.t") == lake.duck_rows("ns.t") == rows


def test_deletes_still_apply(lake: Lake) -> None:
    table = lake.catalog.create_table("ns.t", SCHEMA)
    append_each(table, 3)
    lake.sql("DELETE FROM lake.ns.t WHERE id < 12")
    append_each(lake.load("ns.t"), 3)
    rows = lake.rows("ns.t")
    result = rewrite_manifests(lake.catalog, "ns.t")
    assert result.before["manifests of delete files"] == result.after["manifests of delete files"]
    assert result.after["manifests of data files"].files == 1
    assert lake.rows("ns.t") == lake.duck_rows("ns.t") == rows
    expire_snapshots(lake.catalog, "ns.t", keep_last=1)
    assert not lake.missing("ns.t")


def test_manifests_of_older_specs_keep_their_spec(lake: Lake) -> None:
    table = lake.catalog.create_table("ns.t", SCHEMA, partition_spec=BY_STATION)
    append_each(table, 3)
    with table.update_spec() as update:
        update.remove_field("station")
    with table.update_schema() as schema:
        schema.delete_column("station")
    for first in (100, 200, 300):
        rows = table.scan(row_filter="id < 2").to_arrow()
        table.append(rows.set_column(0, "id", [[first, first + 1]]))
    before, paths = lake.rows("ns.t"), files(lake)
    result = rewrite_manifests(lake.catalog, "ns.t")
    assert result.after["manifests of data files"].files == 2
    assert files(lake) == paths
    # DuckDB 1.5 cannot read a table whose old spec has a dropped column, rewritten or not.
    assert lake.rows("ns.t") == before
    io = lake.load("ns.t").io
    stations = {
        entry.data_file.partition[0] if len(entry.data_file.partition) else None
        for manifest in head(lake).manifests(io)
        for entry in manifest.fetch_manifest_entry(io)
    }
    assert stations == {"KA", "KB", "KC", None}


def test_a_dry_run_writes_nothing(lake: Lake) -> None:
    append_each(lake.catalog.create_table("ns.t", SCHEMA), 6)
    before = lake.files("ns.t")
    result = rewrite_manifests(lake.catalog, "ns.t", dry_run=True)
    assert result.notes == ("1 manifest of data files would be written",)
    assert lake.files("ns.t") == before


@pytest.mark.parametrize("operation", [rewrite_manifests, compact])
def test_doubles_in_partitions_are_not_rounded(lake: Lake, operation: Callable[..., Any]) -> None:
    """PyIceberg 0.12 reads them as floats: what is written back would be another partition."""
    spec = PartitionSpec(PartitionField(3, 1000, IdentityTransform(), "temperature"))
    table = lake.catalog.create_table("ns.t", SCHEMA, partition_spec=spec)
    values = [0.1, 0.1, 0.1, 0.1, 0.1, 1e300, -1 / 3]
    for number, value in enumerate(values):
        one = {"id": number, "station": "KA", "temperature": value}
        table.append(pa.Table.from_pylist([one], schema=table.schema().as_arrow()))
    result = operation(lake.catalog, "ns.t")
    assert result.changed
    for value in set(values):
        expected = [number for number, other in enumerate(values) if other == value]
        found = lake.rows("ns.t", row_filter=EqualTo("temperature", value))
        assert [row[0] for row in found] == expected
        sql = f"SELECT id FROM lake.ns.t WHERE temperature = {value!r}::DOUBLE ORDER BY id"
        assert [row[0] for row in lake.sql(sql).fetchall()] == expected
