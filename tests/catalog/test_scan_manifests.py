"""Which manifests a plan opens, and which it remembers."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.manifest import DataFileContent, write_manifest_list
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.transforms import IdentityTransform
from pyiceberg.types import LongType, NestedField

from falcon_catalog.catalog.scan_planning.iceberg import Entries
from falcon_catalog.catalog.scan_planning.manifest_cache import Key, ManifestCache
from tests.catalog.conftest import Start
from tests.catalog.handwork import a_file, commit_manifests, manifest_of
from tests.catalog.scanning import plan
from tests.catalog.serving import Server
from tests.processes import wait_for
from tests.several import PROCESSES

SCHEMA = Schema(NestedField(1, "day", LongType()), NestedField(2, "v", LongType()))


def filled(server: Server, manifests: int, files: int) -> Table:
    """Make a table whose manifests hold the files of one day each."""
    server.namespace("ns")
    spec = PartitionSpec(PartitionField(1, 1000, IdentityTransform(), "day"))
    table = RestCatalog("test", uri=server.url).create_table("ns.t", SCHEMA, partition_spec=spec)
    some = [
        manifest_of(
            table,
            [a_file(DataFileContent.DATA, f"{day}-{n}", [day]) for n in range(files)],
            table.spec(),
            1,
        )
        for day in range(manifests)
    ]
    return commit_manifests(server, table, some, 1)


def of_days(*days: int) -> dict[str, Any]:
    return {"filter": {"type": "in", "term": "day", "values": list(days)}}


def opened(server: Server, asked: int) -> float:
    """Wait until so many manifests were asked for in all; return how many were read from files."""

    def counted() -> tuple[float, float]:
        return server.meter("manifest_misses_total"), server.meter("manifest_hits_total")

    wait_for(lambda: sum(counted()) >= asked)
    misses, hits = counted()
    assert misses + hits == asked
    return misses


@pytest.mark.slow
def test_of_a_hundred_thousand_files_only_the_manifests_that_matter_are_opened(
    start: Start,
) -> None:
    server = start()
    filled(server, 100, 1000)
    assert len(plan(server, "t", of_days(7)).tasks) == 1000
    assert opened(server, 1) == 1
    assert len(plan(server, "t", of_days(7, 8)).tasks) == 2000
    assert opened(server, 3) in ((2,) if PROCESSES == 1 else (2, 3))
    assert plan(server, "t", of_days(1000)).tasks == []
    opened(server, 3)


def test_what_is_remembered_is_answered_the_same(start: Start) -> None:
    server = start()
    filled(server, 3, 5)
    asked = of_days(0, 2)
    cold = plan(server, "t", asked)
    assert opened(server, 2) == 2
    with ThreadPoolExecutor(4) as pool:
        warm = list(pool.map(lambda _: plan(server, "t", asked), range(8)))
    assert all(one.tasks == cold.tasks for one in warm)
    # Another process reads each of them itself, and for all clients at once, if they are so early.
    assert opened(server, 18) <= 2 + (PROCESSES - 1) * 4 * 2


def test_nothing_is_remembered_without_memory_for_it(start: Start) -> None:
    server = start(cache__manifests_bytes=0)
    filled(server, 2, 1)
    for times in (1, 2):
        assert len(plan(server, "t").tasks) == 2
        assert opened(server, 2 * times) == 2 * times


def test_what_one_warehouse_opened_stays_closed_to_another(start: Start, tmp_path: Path) -> None:
    server = start(warehouse__more=(f"b=file://{tmp_path}/b",))
    table = filled(server, 1, 1)
    assert len(plan(server, "t").tasks) == 1
    theirs = table.current_snapshot()
    assert theirs is not None
    other = RestCatalog("test", uri=server.url, warehouse="b")
    other.create_namespace("ns")
    ours = other.create_table("ns.t", SCHEMA, partition_spec=table.spec())
    location = f"{ours.location()}/metadata/snap-1.avro"
    with write_manifest_list(2, ours.io.new_output(location), 1, None, 1, "null") as writer:
        writer.add_manifests(theirs.manifests(table.io))
    added = theirs.model_dump(by_alias=True, exclude_none=True) | {"manifest-list": location}
    ref = {"ref-name": "main", "type": "branch", "snapshot-id": 1}
    updates = [
        {"action": "add-snapshot", "snapshot": added},
        {"action": "set-snapshot-ref", **ref},
    ]
    path = "/v1/b/namespaces/ns/tables/t"
    server.ok("POST", path, {"updates": updates})
    status, _, message = server.fails("POST", f"{path}/plan", {})
    assert status == 403
    assert "outside the allowed locations of warehouse b" in message


class TestBound:
    def entries(self, rows: int) -> Entries:
        return Entries({}, (), [({0: 1}, {100: f"file-{n}", 108: {1: n}}) for n in range(rows)])

    def test_the_longest_unused_go_first(self) -> None:
        kept = ManifestCache(1_000_000)
        for number in range(20):
            kept.put(Key(str(number), 1), self.entries(200))
            kept.get(Key("0", 1))
        assert 0 < kept.used_bytes <= kept.limit_bytes
        assert kept.get(Key("0", 1)) is not None
        assert kept.get(Key("1", 1)) is None
        assert kept.get(Key("19", 1)) is not None

    def test_what_is_larger_than_all_of_it_is_not_kept(self) -> None:
        kept = ManifestCache(10_000)
        kept.put(Key("small", 1), self.entries(1))
        kept.put(Key("big", 1), self.entries(1000))
        assert kept.get(Key("big", 1)) is None
        assert kept.get(Key("small", 1)) is not None

    def test_a_file_of_another_length_is_another_manifest(self) -> None:
        kept = ManifestCache(100_000)
        kept.put(Key("a", 1), self.entries(1))
        assert kept.get(Key("a", 2)) is None

    def test_putting_again_counts_once(self) -> None:
        kept = ManifestCache(100_000)
        for _ in range(3):
            kept.put(Key("a", 1), self.entries(1))
        used = kept.used_bytes
        kept.put(Key("b", 1), self.entries(1))
        assert kept.used_bytes == 2 * used
