"""``falcon-catalog show``."""

from datetime import UTC, datetime

import pytest
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.table import Table
from pyiceberg.types import IntegerType

from tests.catalog.serving import Server
from tests.console.conftest import SCHEMA, Console
from tests.console.test_ls import VIEW


@pytest.mark.usefixtures("observations")
def test_a_namespace(console: Console) -> None:
    text = console.ok("show", "weather")
    assert text.startswith("namespace weather\n")
    assert "owner  ann" in text
    assert "weather.observations  table" in text
    shown = console.json("show", "weather")
    assert shown["properties"] == {"owner": "ann"}
    assert shown["contents"] == [{"name": "weather.observations", "kind": "table"}]


def test_a_table(console: Console, observations: Table) -> None:
    lines = console.ok("show", "weather.observations").splitlines()
    assert lines[0] == "table weather.observations"
    pairs = dict(line.split("  ", 1) for line in lines[1:13])
    assert pairs["rows"].strip() == "42"
    assert pairs["partitioned by"].strip() == "day(time) as time_day"
    assert pairs["uuid"].strip() == str(observations.metadata.table_uuid)
    at = lines.index("Schema 0")
    assert [" ".join(line.split()) for line in lines[at + 2 : at + 9]] == [
        "1 station string required (key) of the service",
        "2 time timestamptz required (key)",
        "3 temperature double optional",
        "4 wind struct optional",
        "6 └ speed double optional km/h",
        "5 layers list optional",
        "7 └ element string optional",
    ]
    names = [line.split()[0] for line in lines[lines.index("Branches and tags") + 2 :][:3]]
    assert names == ["audit", "main", "v1"]


def test_a_table_as_of_a_snapshot(console: Console, observations: Table) -> None:
    with observations.update_schema() as change:
        change.add_column("pressure", IntegerType())
    first, second = observations.snapshots()
    moment = datetime.fromtimestamp(first.timestamp_ms / 1000, UTC)
    selectors = ["v1", str(first.snapshot_id), "-1", "previous", moment.isoformat()]
    for selector in selectors:
        shown = console.json("show", f"weather.observations@{selector}")
        assert shown["snapshot"]["snapshot-id"] == first.snapshot_id, selector
        assert shown["rows"] == 30
    assert "pressure" not in console.ok("show", "weather.observations@v1")
    assert "pressure" in console.ok("show", "weather.observations")
    for selector in ("main", "audit", "2999-01-01"):
        shown = console.json("show", f"weather.observations@{selector}")
        assert shown["snapshot"]["snapshot-id"] == second.snapshot_id, selector


def test_a_ref_wins_over_a_time(console: Console, observations: Table) -> None:
    first, _ = observations.snapshots()
    with observations.manage_snapshots() as change:
        change.create_tag(first.snapshot_id, "2999-01-01")
    shown = console.json("show", "weather.observations@2999-01-01")
    assert shown["snapshot"]["snapshot-id"] == first.snapshot_id


@pytest.mark.usefixtures("observations")
@pytest.mark.parametrize(
    ("selector", "message"),
    [
        ("audits", "has no branch or tag audits (did you mean audit?)"),
        ("1", "has no snapshot 1: falcon-catalog log weather.observations lists them"),
        ("-2", "has no snapshot that is 2 before the current one"),
        ("2001-01-01", "had no snapshot at 2001-01-01T00:00:00Z; its history starts at"),
        ("2026-13-01", "has no branch or tag 2026-13-01"),
    ],
)
def test_a_snapshot_that_does_not_exist(console: Console, selector: str, message: str) -> None:
    status, line = console.fails("show", f"weather.observations@{selector}")
    assert status == 4
    assert message in line


def test_an_empty_table(console: Console, catalog: RestCatalog) -> None:
    catalog.create_namespace("ns")
    catalog.create_table("ns.t", SCHEMA)
    shown = console.json("show", "ns.t")
    assert (shown["snapshot"], shown["rows"], shown["files"]) == (None, 0, 0)
    assert "snapshot        none" in console.ok("show", "ns.t")


def test_a_view(console: Console, server: Server, catalog: RestCatalog) -> None:
    catalog.create_namespace("weather")
    server.ok("POST", "/v1/namespaces/weather/views", VIEW)
    text = console.ok("show", "weather.warm")
    assert "SQL (duckdb)\nSELECT 1\n  AS one\n" in text
    assert console.json("show", "weather.warm")["current-version-id"] == 1
    assert console.fails("show", "weather.warm@main")[0] == 2
