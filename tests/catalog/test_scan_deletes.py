"""Which deletes a plan gives to which data file, and what becomes of damaged manifests."""

import gzip
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.manifest import DataFileContent, FileFormat
from pyiceberg.partitioning import PartitionSpec
from pyiceberg.table import Table
from pyiceberg.table.deletion_vector import deletion_vectors_from_puffin_file
from pyiceberg.table.puffin import PuffinFile

from falcon_catalog.catalog.scan_planning import scan
from falcon_catalog.identifiers import TableIdentifier
from falcon_catalog.store import tabulars
from tests.catalog.conftest import Start
from tests.catalog.handwork import PATH, a_file, add_snapshot, commit, relist
from tests.catalog.scanning import duckdb_on, plan, pyiceberg, table_path, wait
from tests.catalog.serving import Server, serving

DATA = DataFileContent.DATA
POSITIONS = DataFileContent.POSITION_DELETES
EQUALITIES = DataFileContent.EQUALITY_DELETES
T = table_path("t")


def new_table(server: Server, partition_by: str | None = None) -> Table:
    ids = pa.schema([pa.field("id", pa.int64()), pa.field("k", pa.string())])
    table = pyiceberg(server).create_table("ns.t", ids)
    if partition_by:
        with table.update_spec() as spec:
            spec.add_identity(partition_by)
    return table


def given(server: Server, request: dict[str, Any] | None = None) -> dict[str, list[str]]:
    """Return the names of the deletes of each data file, in order."""
    return {
        name_of(task["data-file"]): sorted(name_of(file) for file in task["deletes"])
        for task in plan(server, "t", request).tasks
    }


def name_of(file: dict[str, Any]) -> str:
    return Path(file["file-path"]).stem


def bounds(low: int, high: int) -> dict[str, Any]:
    """Return the stats of a column of ids without nulls."""
    return {
        "value_counts": {1: 10},
        "null_value_counts": {1: 0},
        "lower_bounds": {1: low.to_bytes(8, "little")},
        "upper_bounds": {1: high.to_bytes(8, "little")},
    }


class TestAge:
    def test_equality_deletes_apply_to_older_data_only(self, ns: Server) -> None:
        table = new_table(ns)
        commit(ns, table, [a_file(DATA, "old")])
        together = [a_file(EQUALITIES, "gone", equality_ids=[1]), a_file(DATA, "together")]
        commit(ns, table, together)
        commit(ns, table, [a_file(DATA, "new")])
        assert given(ns) == {"old": ["gone"], "together": [], "new": []}
        [shown] = plan(ns, "t").deletes("file:///nowhere/old.parquet")
        assert shown["content"] == "equality-deletes"
        assert shown["equality-ids"] == [1]

    def test_position_deletes_apply_to_data_of_their_own_commit(self, ns: Server) -> None:
        table = new_table(ns)
        commit(ns, table, [a_file(DATA, "old")])
        path = b"file:///nowhere/old.parquet"
        stats = {"lower_bounds": {PATH: path}, "upper_bounds": {PATH: path}}
        for_old = a_file(POSITIONS, "for-old", **stats)
        commit(ns, table, [for_old, a_file(POSITIONS, "for-any"), a_file(DATA, "together")])
        commit(ns, table, [a_file(DATA, "new")])
        expected = {"old": ["for-any", "for-old"], "together": ["for-any"], "new": []}
        assert given(ns) == expected

    def test_bounds_of_paths_are_looked_at(self, ns: Server) -> None:
        table = new_table(ns)
        commit(ns, table, [a_file(DATA, name) for name in ("a", "b", "c", "d")])
        low, high = b"file:///nowhere/b.parquet", b"file:///nowhere/c.parquet"
        stats = {"lower_bounds": {PATH: low}, "upper_bounds": {PATH: high}}
        commit(ns, table, [a_file(POSITIONS, "middle", **stats)])
        assert given(ns) == {"a": [], "b": ["middle"], "c": ["middle"], "d": []}


class TestPlace:
    def test_deletes_stay_in_their_partition(self, ns: Server) -> None:
        table = new_table(ns, "k")
        commit(ns, table, [a_file(DATA, "x", ["x"]), a_file(DATA, "y", ["y"])])
        commit(ns, table, [a_file(DATA, "none", [None])])
        commit(
            ns,
            table,
            [
                a_file(POSITIONS, "positions-x", ["x"]),
                a_file(EQUALITIES, "equal-y", ["y"], equality_ids=[1]),
                a_file(EQUALITIES, "equal-none", [None], equality_ids=[1]),
            ],
        )
        expected = {"x": ["positions-x"], "y": ["equal-y"], "none": ["equal-none"]}
        assert given(ns) == expected
        only_y = {"filter": {"type": "eq", "term": "k", "value": "y"}}
        assert given(ns, only_y) == {"y": ["equal-y"]}

    def test_equality_deletes_without_partition_apply_everywhere(self, ns: Server) -> None:
        table = new_table(ns, "k")
        commit(ns, table, [a_file(DATA, "x", ["x"])])
        whole = PartitionSpec(spec_id=0)
        files = [a_file(EQUALITIES, "equal", equality_ids=[1]), a_file(POSITIONS, "positions")]
        commit(ns, table, files, whole)
        assert given(ns) == {"x": ["equal"]}
        # A filter on the partition must not lose deletes that have none.
        only_x = {"filter": {"type": "eq", "term": "k", "value": "x"}}
        assert given(ns, only_x) == {"x": ["equal"]}

    def test_a_filter_on_rows_keeps_deletes_of_other_rows(self, ns: Server) -> None:
        # A deleted row with id 5 must be known to who reads rows with k = x.
        table = new_table(ns)
        commit(ns, table, [a_file(DATA, "some", **bounds(1, 9))])
        commit(ns, table, [a_file(EQUALITIES, "five", equality_ids=[1], **bounds(5, 5))])
        ask = {"filter": {"type": "lt", "term": "id", "value": 3}}
        assert given(ns, ask) == {"some": ["five"]}

    def test_equality_deletes_that_equal_nothing_are_left_out(self, ns: Server) -> None:
        table = new_table(ns)
        commit(ns, table, [a_file(DATA, "low", **bounds(1, 9)), a_file(DATA, "unknown")])
        nulls = {"value_counts": {1: 10}, "null_value_counts": {1: 10}}
        commit(ns, table, [a_file(DATA, "nulls", **nulls)])
        deletes = [
            a_file(EQUALITIES, "far", equality_ids=[1], **bounds(50, 60)),
            a_file(EQUALITIES, "near", equality_ids=[1], **bounds(9, 60)),
            a_file(EQUALITIES, "null", equality_ids=[1], **nulls),
        ]
        commit(ns, table, deletes)
        assert given(ns) == {
            "low": ["near"],
            "unknown": ["far", "near", "null"],
            "nulls": ["null"],
        }


class TestVectors:
    def test_a_deletion_vector_goes_to_its_data_file(self, ns: Server) -> None:
        with duckdb_on(ns) as lake:
            lake.execute("CREATE TABLE lake.ns.t (id BIGINT) WITH ('format-version'='3')")
            for first in (0, 100, 200):
                lake.execute(
                    f"INSERT INTO lake.ns.t SELECT i FROM range({first}, {first + 50}) r(i)"
                )
            lake.execute("DELETE FROM lake.ns.t WHERE id IN (3, 4, 105)")
            lake.execute("DELETE FROM lake.ns.t WHERE id IN (7, 8)")
            [(rows,)] = lake.execute("SELECT count(*) FROM lake.ns.t").fetchall()
        planned = plan(ns, "t", {"stats-fields": ["id"]})
        removed = {}
        for task in planned.tasks:
            data = task["data-file"]
            assert data["first-row-id"] == data["lower-bounds"]["values"][0] // 2
            assert data["data-sequence-number"] == 1 + data["lower-bounds"]["values"][0] // 100
            for vector in task["deletes"]:
                assert vector["file-format"] == "puffin"
                assert vector["referenced-data-file"] == data["file-path"]
                removed[data["lower-bounds"]["values"][0]] = positions(vector, data["file-path"])
        # Only the newest vector of a file: it holds what the older one said.
        assert removed == {0: [3, 4, 7, 8], 100: [5]}
        counted = sum(f["record-count"] for t in planned.tasks for f in t["deletes"])
        assert planned.rows - counted == rows == 145

    def test_a_vector_is_given_alone(self, ns: Server) -> None:
        table = new_table(ns)
        commit(ns, table, [a_file(DATA, "some"), a_file(DATA, "other")])
        path = b"file:///nowhere/some.parquet"
        stats = {"lower_bounds": {PATH: path}, "upper_bounds": {PATH: path}}
        commit(ns, table, [a_file(POSITIONS, "positions"), a_file(POSITIONS, "by-path", **stats)])
        for name in ("first", "second"):
            vector = a_file(POSITIONS, name, file_format=FileFormat.PUFFIN, **stats)
            commit(ns, table, [vector])
        commit(ns, table, [a_file(EQUALITIES, "equal", equality_ids=[1])])
        expected = {"some": ["equal", "second"], "other": ["equal", "positions"]}
        assert given(ns) == expected

    def test_rows_are_numbered_through_a_manifest(self, ns: Server) -> None:
        with duckdb_on(ns) as lake:
            lake.execute("CREATE TABLE lake.ns.t (id BIGINT) WITH ('format-version'='3')")
            lake.execute("ALTER TABLE lake.ns.t SET PARTITIONED BY (truncate(10, id))")
            for first in (0, 100):
                lake.execute(
                    f"INSERT INTO lake.ns.t SELECT i FROM range({first}, {first + 35}) r(i)"
                )
        files = [task["data-file"] for task in plan(ns, "t").tasks]
        files.sort(key=lambda file: file["first-row-id"])
        assert len(files) == 8
        next_id = 0
        for file in files:
            assert file["first-row-id"] == next_id
            next_id += file["record-count"]
        assert next_id == 70


def positions(vector: dict[str, Any], path: str) -> list[int]:
    """Read a deletion vector from where the plan says that it lies."""
    content = Path(vector["file-path"].removeprefix("file://")).read_bytes()
    puffin = PuffinFile(content)
    [blob] = [b for b in puffin.footer.blobs if b.properties["referenced-data-file"] == path]
    assert (blob.offset, blob.length) == (vector["content-offset"], vector["content-size-in-bytes"])
    [found] = [
        v for v in deletion_vectors_from_puffin_file(puffin) if v.referenced_data_file == path
    ]
    return list(found.to_vector().to_pylist())


class TestOldAndDamaged:
    def test_tables_of_the_first_version_are_planned(self, ns: Server) -> None:
        ids = pa.schema([pa.field("id", pa.int64())])
        table = pyiceberg(ns).create_table("ns.t", ids, properties={"format-version": "1"})
        for first in (0, 100):
            table.append(pa.table({"id": range(first, first + 10)}))
        assert plan(ns, "t").rows == 20
        below = {"filter": {"type": "lt", "term": "id", "value": 50}}
        assert plan(ns, "t", below).rows == 10

    def test_a_snapshot_may_list_its_manifests_itself(self, ns: Server) -> None:
        # So did the first writers: no manifest list, and no snapshot's schema.
        ids = pa.schema([pa.field("id", pa.int64())])
        table = pyiceberg(ns).create_table("ns.t", ids, properties={"format-version": "1"})
        table.append(pa.table({"id": range(10)}))
        snapshot = table.current_snapshot()
        assert snapshot is not None
        paths = [manifest.manifest_path for manifest in snapshot.manifests(table.io)]
        location = ns.ok("GET", T)["metadata-location"].removeprefix("file://")
        text = Path(location).read_text()
        listed = f'"manifests":["{paths[0]}"]'
        changed = text.replace(f'"manifest-list":"{snapshot.manifest_list}"', listed)
        assert changed != text
        Path(location).write_text(changed)
        assert plan(ns, "t").rows == 10

    @pytest.mark.parametrize("which", ["list", "manifest"])
    def test_no_file_outside_the_warehouse_is_opened(
        self, ns: Server, which: str, tmp_path: Path
    ) -> None:
        table = new_table(ns)
        table.append(pa.table({"id": [1], "k": ["x"]}))
        snapshot = table.current_snapshot()
        assert snapshot is not None
        [manifest] = snapshot.manifests(table.io)
        outside = tmp_path / "outside.avro"
        if which == "list":  # as a version of the catalog that did not look at it has let through
            inside = Path(snapshot.manifest_list.removeprefix("file://"))
            outside.write_bytes(inside.read_bytes())
            file = Path(ns.ok("GET", T)["metadata-location"].removeprefix("file://"))
            text = file.read_text(encoding="utf-8")
            assert snapshot.manifest_list in text
            changed = text.replace(snapshot.manifest_list, f"file://{outside}")
            new = file.with_name(f"00009-{file.name[6:]}")
            new.write_text(changed, encoding="utf-8")
            with ns.catalog.store.write() as tx:
                row = tabulars.find(
                    tx, ns.catalog.id, TableIdentifier.of({"namespace": ["ns"], "name": "t"})
                )
                assert row is not None
                tabulars.repoint(tx, row.id, f"file://{new}", row.location_key)
        else:
            outside.write_bytes(Path(manifest.manifest_path.removeprefix("file://")).read_bytes())
            relist(table, snapshot.manifest_list, manifest.manifest_path, f"file://{outside}")
        status, kind, message = ns.fails("POST", f"{T}/plan", {})
        assert (status, kind) == (403, "ForbiddenException")
        assert str(outside) in message

    def test_a_torn_manifest_is_no_shorter_plan(self, start: Start) -> None:
        ns = start(cache__manifests_bytes=0)  # a manifest in memory is not torn
        ns.namespace("ns")
        table = new_table(ns)
        commit(ns, table, [a_file(DATA, name) for name in ("a", "b", "c")])
        assert plan(ns, "t").rows == 30
        snapshot = table.current_snapshot()
        assert snapshot is not None
        location = snapshot.manifests(table.io)[0].manifest_path
        path = Path(location.removeprefix("file://"))
        whole = path.read_bytes()
        marker = whole[-16:]  # it ends the header and each block
        ends = [at + 16 for at in range(len(whole) - 16) if whole.startswith(marker, at)]
        assert len(ends) == 3
        for keep in [0, 3, 100, *ends, *(end + 5 for end in ends), len(whole) - 1]:
            path.write_bytes(whole[:keep])
            status, kind, message = ns.fails("POST", f"{T}/plan", {})
            assert (status, kind) == (400, "BadRequestException")
            assert location in message

    def test_a_torn_manifest_list_is_no_empty_plan(self, ns: Server) -> None:
        table = new_table(ns)
        for name in ("a", "b"):
            commit(ns, table, [a_file(DATA, name)])
        snapshot = table.current_snapshot()
        assert snapshot is not None
        path = Path(snapshot.manifest_list.removeprefix("file://"))
        whole = path.read_bytes()
        header = whole.index(whole[-16:]) + 16
        for keep in range(header + 1, len(whole)):
            path.write_bytes(whole[:keep])
            status, _, message = ns.fails("POST", f"{T}/plan", {})
            assert status == 400
            assert snapshot.manifest_list in message

    def test_a_manifest_that_is_something_else_is_named(self, ns: Server) -> None:
        table = new_table(ns)
        for content in (b"{}", b"Obj\x01", gzip.compress(b"x" * 100), b"PAR1" * 50):
            path = ns.warehouse / f"{len(content)}.avro"
            path.write_bytes(content)
            add_snapshot(ns, table, f"file://{path}", len(content))
            status, _, message = ns.fails("POST", f"{T}/plan", {})
            assert status == 400
            assert str(path) in message

    def test_damage_found_in_the_background_is_a_failed_plan(self, tmp_path: Path) -> None:
        with serving(tmp_path, planning__sync_manifests=0) as server:
            server.namespace("ns")
            table = new_table(server)
            table.append(pa.table({"id": [1], "k": ["x"]}))
            snapshot = table.current_snapshot()
            assert snapshot is not None
            [manifest] = snapshot.manifests(table.io)
            path = Path(manifest.manifest_path.removeprefix("file://"))
            path.write_bytes(path.read_bytes()[:-1])
            answer = wait(server, "t", server.ok("POST", f"{T}/plan", {})["plan-id"])
            assert answer["status"] == "failed"
            assert (answer["error"]["code"], answer["error"]["type"]) == (
                400,
                "BadRequestException",
            )


def test_a_transform_of_a_later_version_divides_files(ns: Server) -> None:
    """An equality delete under it is no global one."""
    field = {"source-id": 2, "field-id": 1000, "name": "d", "transform": "void"}
    metadata = ns.table("later", **{"partition-spec": {"spec-id": 0, "fields": [field]}})[
        "metadata"
    ]
    assert not scan.read(metadata, {}, most_names=9).specs[0].is_partitioned
    metadata["partition-specs"][0]["fields"][0]["transform"] = "zorder"
    spec = scan.read(metadata, {}, most_names=9).specs[0]
    assert spec.is_partitioned
    assert spec.fields[0].type is None
