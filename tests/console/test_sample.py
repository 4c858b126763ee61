"""``falcon-catalog sample``."""

from pathlib import Path
from urllib.parse import urlsplit

import pyarrow as pa
import pytest
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.table import Table
from pyiceberg.types import IntegerType

from tests.console.conftest import SCHEMA, Console, rows


@pytest.mark.usefixtures("observations")
def test_rows_of_a_condition_and_columns(console: Console) -> None:
    words = ("sample", "weather.observations", "--where", "temperature > 26")
    found = console.json(*words, "--columns", "station,wind.speed")
    assert found == [{"station": f"K{i % 5:03}", "wind": {"speed": i / 2}} for i in (27, 28, 29)]
    text = console.ok(*words, "--columns", "station,temperature").splitlines()
    assert [line.split() for line in text] == [
        ["station", "temperature"],
        ["K002", "27.0"],
        ["K003", "28.0"],
        ["K004", "29.0"],
    ]
    assert console.ok(*words, "--columns", "station", "-q").split() == ["K002", "K003", "K004"]
    assert len(console.json("sample", "weather.observations", "-n", "35")) == 35


def test_rows_as_of_a_snapshot_have_its_columns(console: Console, observations: Table) -> None:
    with observations.update_schema() as change:
        change.add_column("pressure", IntegerType())
    assert "pressure" in console.json("sample", "weather.observations@main", "-n", "1")[0]
    observations.append(rows(1, 3, observations.schema()))
    assert "pressure" in console.json("sample", "weather.observations")[0]
    found = console.json("sample", "weather.observations@v1", "-n", "100")
    assert len(found) == 30
    assert "pressure" not in found[0]
    assert found[0]["time"].startswith("2026-11-01T")


def test_no_more_files_are_read_than_needed(console: Console, observations: Table) -> None:
    first, second = (task.file for task in observations.scan().plan_files())
    Path(urlsplit(second.file_path).path).unlink()
    found = console.json("sample", "weather.observations", "-n", str(first.record_count))
    assert len(found) == first.record_count
    status, line = console.fails("sample", "weather.observations", "-n", "42")
    assert status == 1
    assert second.file_path.rpartition("/")[2] in line


def test_nulls_and_empty_tables(console: Console, catalog: RestCatalog) -> None:
    catalog.create_namespace("ns")
    made = catalog.create_table("ns.t", SCHEMA)
    assert console.json("sample", "ns.t") == []
    nothing = pa.array([None], pa.float64())
    made.append(rows(1, 1, made.schema()).set_column(2, "temperature", nothing))
    assert console.json("sample", "ns.t")[0]["temperature"] is None
    assert "NULL" in console.ok("sample", "ns.t")


@pytest.mark.usefixtures("observations")
def test_a_column_that_does_not_exist(console: Console) -> None:
    status, line = console.fails("sample", "weather.observations", "--columns", "stations")
    assert status == 2
    assert "there is no column stations (did you mean station?)" in line
