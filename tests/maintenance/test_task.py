"""The pipeline's own maintenance, run by luigi."""

import datetime as dt
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from pyiceberg.transforms import MonthTransform

from jobs.lake import iceberg
from jobs.lake.tables import OBSERVATIONS
from tests.maintenance.lake import SCHEMA, Lake, append_each, path_of

DAY = "2013-07-02"


@pytest.fixture
def tables(lake: Lake) -> Lake:
    """Tables as the pipeline leaves them: many small files, DuckDB's deletes in the marts."""
    for namespace in ("weather", "marts"):
        lake.catalog.create_namespace(namespace)
    append_each(lake.catalog.create_table("weather.observations", SCHEMA), 6)
    append_each(lake.catalog.create_table("weather.quarantine", SCHEMA), 1)
    lake.sql("CREATE TABLE lake.marts.fct AS SELECT range AS id, range % 3 AS kind FROM range(30)")
    for kind in range(3):
        lake.sql("BEGIN")
        lake.sql(f"DELETE FROM lake.marts.fct WHERE kind = {kind}")
        lake.sql(f"INSERT INTO lake.marts.fct SELECT range, {kind} FROM range({kind + 1})")
        lake.sql("COMMIT")
    return lake


def run(lake: Lake, data: Path, **settings: str) -> "subprocess.CompletedProcess[str]":
    inherited = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("WEATHER_", "CATALOG_", "LUIGI_", "MAINTENANCE_"))
    }
    environment = {
        **inherited,
        "LUIGI_CONFIG_PATH": str(Path(__file__).parents[2] / "conf" / "luigi.cfg"),
        "WEATHER_DATA_DIR": str(data),
        "WEATHER_STATIONS": "KJFK",
        "CATALOG_URI": lake.url,
        "MAINTENANCE_KEEP_SNAPSHOTS": "1",
        **settings,
    }
    command = [sys.executable, "-m", "luigi", "--module", "jobs", "Maintenance", "--date", DAY]
    command += ["--local-scheduler", "--scheduler-retry-count", "1"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def checkpoint(data: Path) -> Path:
    return data / DAY / "KJFK" / "maintenance.json"


def test_every_table_is_maintained_once_a_day(tables: Lake, tmp_path: Path) -> None:
    data = tmp_path / "data"
    before = {name: tables.rows(name) for name in ("weather.observations", "marts.fct")}
    done = run(tables, data, MAINTENANCE_SNAPSHOT_DAYS="0")
    assert done.returncode == 0, done.stderr
    for name, rows in before.items():
        assert tables.rows(name) == tables.duck_rows(name) == rows
        assert len(list(tables.load(name).scan().plan_files())) == 1
        assert len(tables.load(name).snapshots()) == 1
        assert not tables.missing(name)
    written = json.loads(checkpoint(data).read_text())
    assert written["tables"] == ["marts.fct", "weather.observations", "weather.quarantine"]
    compacted = {
        result["table"]: result["after"]["data files"]["files"]
        for result in written["results"]
        if result["operation"] == "compact"
    }
    assert compacted == {"marts.fct": 1, "weather.observations": 1}
    assert "tables changed" in written["message"]
    assert "expire-snapshots" in checkpoint(data).with_suffix(".txt").read_text()
    (row,) = tables.load("weather.pipeline_runs").scan().to_arrow().to_pylist()
    assert (row["task"], row["period"], row["status"]) == ("Maintenance", DAY, "success")
    assert json.loads(row["details"])["results"]
    again = run(tables, data)
    assert again.returncode == 0
    assert len(tables.load("weather.pipeline_runs").scan().to_arrow()) == 1


def test_history_within_the_setting_stays_readable(tables: Lake, tmp_path: Path) -> None:
    first = tables.load("weather.observations").snapshots()[0].snapshot_id
    done = run(tables, tmp_path / "data")
    assert done.returncode == 0, done.stderr
    assert len(tables.rows("weather.observations", snapshot_id=first)) == 10


def test_a_table_that_fails_does_not_stop_the_others(tables: Lake, tmp_path: Path) -> None:
    broken = tables.load("marts.fct")
    snapshot = broken.current_snapshot()
    assert snapshot is not None
    path_of(snapshot.manifest_list).unlink()
    done = run(tables, tmp_path / "data")
    assert done.returncode == 30, done.stderr
    assert "compact marts.fct: FileNotFoundError" in done.stderr
    assert not checkpoint(tmp_path / "data").exists()
    assert len(list(tables.load("weather.observations").scan().plan_files())) == 1
    rows = tables.load("weather.pipeline_runs").scan().to_arrow().to_pylist()
    assert {row["status"] for row in rows} == {"failed"}
    assert "compact marts.fct" in rows[0]["message"]


def test_a_comparison_that_cannot_be_made_fails_the_day(tables: Lake, tmp_path: Path) -> None:
    """Another try may be answered: what was not checked is not done."""
    append_each(tables.catalog.create_table("ns.other", SCHEMA), 1)
    files = tables.files("weather.observations")
    tables.wire.refuse = lambda _verb, path: (
        "503 Busy" if path.endswith("/namespaces/ns/tables/other") else None
    )
    done = run(tables, tmp_path / "data", MAINTENANCE_SNAPSHOT_DAYS="0")
    assert done.returncode == 30, done.stderr
    assert "expire-snapshots weather.observations: ns.other cannot be compared" in done.stderr
    assert not checkpoint(tmp_path / "data").exists()
    assert all(path.exists() for path in files)
    tables.wire.refuse = lambda *_: None
    done = run(tables, tmp_path / "data", MAINTENANCE_SNAPSHOT_DAYS="0")
    assert done.returncode == 0, done.stderr
    assert not all(path.exists() for path in files)
    assert tables.ids("weather.observations") == [*range(60)]


def test_a_table_that_is_refused_is_left_with_a_word(tables: Lake, tmp_path: Path) -> None:
    with tables.load("weather.quarantine").transaction() as change:
        change.set_properties({"gc.enabled": "false"})
    done = run(tables, tmp_path / "data")
    assert done.returncode == 0, done.stderr
    written = json.loads(checkpoint(tmp_path / "data").read_text())
    assert "gc.enabled=false" in written["skipped"]["expire-snapshots weather.quarantine"]


def test_a_table_that_outgrows_the_built_in_engine_warns_and_then_fails(
    tables: Lake, tmp_path: Path
) -> None:
    done = run(tables, tmp_path / "data", MAINTENANCE_WARN_FILES="5")
    assert done.returncode == 0, done.stderr
    assert "weather.observations: warning: 6 files, " in done.stderr
    warnings = json.loads(checkpoint(tmp_path / "data").read_text())["warnings"]
    assert any(warning.startswith("weather.observations: 6 files, ") for warning in warnings)
    append_each(tables.load("weather.observations"), 6, first=100)
    done = run(tables, tmp_path / "more", MAINTENANCE_MAX_FILES="5")
    assert done.returncode == 30, done.stderr
    assert "compact weather.observations: weather.observations has 7 files" in done.stderr
    assert "max_files (5): use --engine spark" in done.stderr


def test_partitions_by_day_become_months_and_small_files_are_merged_across_days(
    lake: Lake, tmp_path: Path
) -> None:
    start = dt.datetime(2013, 5, 1, tzinfo=dt.UTC)
    rows = pa.Table.from_pylist(
        [
            {
                "station_id": station,
                "observed_at": start + dt.timedelta(hours=hour),
                "temperature_c": hour / 10,
                "fetched_at": start,
            }
            for station in ("KEWR", "KJFK", "KLGA")
            for hour in range(61 * 24)
        ],
        schema=OBSERVATIONS.schema,
    )
    by_day = replace(OBSERVATIONS, partition_unit="day")
    before = iceberg.load(lake.catalog, by_day, rows, load_id="a").snapshot_id
    assert len(list(lake.load("weather.observations").scan().plan_files())) == 61
    expected = lake.rows("weather.observations")
    done = run(lake, tmp_path / "kept", WEATHER_PARTITION_BY="day")
    assert done.returncode == 0, done.stderr
    assert len(list(lake.load("weather.observations").scan().plan_files())) == 61
    done = run(lake, tmp_path / "data")
    assert done.returncode == 0, done.stderr
    table = lake.load("weather.observations")
    (field,) = table.spec().fields
    assert isinstance(field.transform, MonthTransform)
    assert len(list(table.scan().plan_files())) == 2
    assert len(list(table.scan("observed_at >= '2013-06-02T00:00:00+00:00'").plan_files())) == 1
    assert lake.rows("weather.observations") == expected
    assert lake.sql("SELECT count(*) FROM lake.weather.observations").fetchone() == (3 * 61 * 24,)
    assert lake.rows("weather.observations", snapshot_id=before) == expected
    assert "partitioned by month(observed_at)" in checkpoint(tmp_path / "data").read_text()
    again = iceberg.load(lake.catalog, OBSERVATIONS, rows, load_id="b")
    assert (again.rows_new, again.rows_changed) == (0, 0)
