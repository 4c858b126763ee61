"""``falcon-catalog log``."""

from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.table import Table

from tests.console.conftest import SCHEMA, Console, rows


def test_the_newest_snapshot_comes_first(console: Console, observations: Table) -> None:
    first, second = observations.snapshots()
    newest, oldest = console.json("log", "weather.observations")
    assert (newest["snapshot-id"], oldest["snapshot-id"]) == (
        second.snapshot_id,
        first.snapshot_id,
    )
    assert newest["parent-snapshot-id"] == first.snapshot_id
    assert (newest["rows-added"], newest["rows-removed"], newest["files-added"]) == (12, 0, 1)
    assert (newest["branches"], newest["tags"]) == (["main", "audit"], [])
    assert (oldest["branches"], oldest["tags"]) == ([], ["v1"])
    lines = console.ok("log", "weather.observations").splitlines()
    assert lines[1].split()[2:] == ["append", "+12", "+1", "main,", "audit"]
    assert lines[2].split()[2:] == ["append", "+30", "+1", "tag:", "v1"]


def test_fewer_snapshots(console: Console, observations: Table) -> None:
    first, second = observations.snapshots()
    assert console.ok("log", "weather.observations", "-q", "-n", "1") == f"{second.snapshot_id}\n"
    assert console.ok("log", "weather.observations@v1", "-q") == f"{first.snapshot_id}\n"


def test_the_graph_shows_branches(console: Console, observations: Table) -> None:
    schema = observations.schema()
    observations.append(rows(3, 3, schema), branch="audit")
    observations.append(rows(4, 4, schema))
    table = console.ok("log", "weather.observations", "--all").splitlines()[1:]
    graph = [line.split("  ")[0].rstrip() for line in table]
    assert graph == ["*", "| *", "*", "*"]
    assert len(console.json("log", "weather.observations")) == 3
    assert len(console.json("log", "weather.observations@audit")) == 3


def test_removed_rows_are_counted(console: Console, observations: Table) -> None:
    observations.delete("station = 'K003'")
    newest = console.json("log", "weather.observations")[0]
    assert newest["rows-removed"] - newest["rows-added"] == 8


def test_a_table_without_snapshots(console: Console, catalog: RestCatalog) -> None:
    catalog.create_namespace("ns")
    catalog.create_table("ns.t", SCHEMA)
    assert console.ok("log", "ns.t") == "ns.t has no snapshots\n"
    assert console.json("log", "ns.t") == []
    status, line = console.fails("log", "ns")
    assert (status, "is a namespace, not a table" in line) == (1, True)
