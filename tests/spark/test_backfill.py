"""The back-fill on Spark loads the rows that the local path loads, whatever is killed."""

import dataclasses
import json
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.types import StringType

from jobs.lake import iceberg
from jobs.lake.merging import Definition
from jobs.lake.tables import OBSERVATIONS
from jobs.nws_simulator import Faults, airports, make_app, running
from jobs.parse.batches import Tally, read_batch, read_observations
from jobs.spark import backfill, session
from tests.processes import wait_for
from tests.spark.conftest import SPARK_DEFAULTS
from tests.tasks.conftest import CatalogServer, Pipeline

DAYS = ("--date", "2013-07-03", "--days", "3", "--scheduler-retry-count", "1")
SELECTION = "KEWR_KJFK_KLGA"
SPOILED = {
    "null-features": 0.1,
    "missing-keys": 0.5,
    "old-units": 0.3,
    "new-units": 0.3,
    "strings": 0.5,
    "duplicates": 1.0,
    "broken": 1.0,
    "unsorted": 1.0,
}
# Columns that say which load met a record first, and when.
OF_THE_LOAD = ("load_id", "quarantined_at", "first_seen", "example")
TABLES = ("observations", "stations", "quarantine", "schema_drift")

Rows = list[tuple[Any, ...]]


@pytest.fixture(scope="module")
def catalogs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[CatalogServer]]:
    """Two catalogs: one for the local path, one for Spark."""
    servers = [CatalogServer(tmp_path_factory.mktemp("catalog")) for _ in range(2)]
    for server in servers:
        server.start()
    yield servers
    for server in servers:
        server.stop()


@pytest.fixture(scope="module")
def local(
    runtime: None,  # noqa: ARG001
    catalogs: list[CatalogServer],
    tmp_path_factory: pytest.TempPathFactory,
) -> Pipeline:
    """Days of spoiled data and hours of the same days, fetched and loaded by the local path."""
    data = tmp_path_factory.mktemp("local")
    with running(make_app(airports(), Faults(SPOILED, seed=20130702, in_a_row=1))) as url:
        pipeline = Pipeline(catalogs[0], url, data, {"WEATHER_CHUNK_DAYS": "1"})
        pipeline.ok("LoadDays", *DAYS)
        pipeline.ok("WeatherIngestion", "--hour", "2013-07-03T23")
    return pipeline


@pytest.fixture(scope="module")
def onspark(
    local: Pipeline, catalogs: list[CatalogServer], tmp_path_factory: pytest.TempPathFactory
) -> Pipeline:
    """The same raw files, with no checkpoint, no service, and another catalog."""
    data = tmp_path_factory.mktemp("spark")
    for file in local.data.glob(f"*/{SELECTION}/*"):
        if file.name.startswith(("stations.json", "observations-", "partial-")):
            copy = data / file.relative_to(local.data)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(file, copy)
    conf = "|".join(f"{name}={value}" for name, value in SPARK_DEFAULTS.items())
    return Pipeline(catalogs[1], "http://127.0.0.1:9", data, {"SPARK_CONF": conf})


def rows(catalog: Catalog, table: str, *without: str) -> Rows:
    found = catalog.load_table(f"weather.{table}").scan().to_arrow().to_pylist()
    return sorted(
        (tuple(value for name, value in row.items() if name not in without) for row in found),
        key=repr,
    )


@pytest.mark.timeout(900)  # three times Spark, which a busy machine starts in a minute
def test_rows_are_those_of_the_local_path_after_a_kill_and_after_a_repetition(
    local: Pipeline, onspark: Pipeline, spark: Any
) -> None:
    expected = {name: rows(local.catalog.connect(), name, *OF_THE_LOAD) for name in TABLES}
    assert [name for name, some in expected.items() if not some] == ["schema_drift"]
    process = onspark.start("BackfillObservations", *DAYS)
    wait_for(lambda: "files read" in onspark.output.read_text(), "files", 240)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(60)
    catalog = onspark.catalog.connect()
    assert len(rows(catalog, "observations")) in {0, len(expected["observations"])}

    output = onspark.ok("BackfillObservations", *DAYS)
    assert "backfill-2013: 4 files read" in output
    assert {name: rows(catalog, name, *OF_THE_LOAD) for name in TABLES} == expected
    table = catalog.load_table("weather.observations")
    theirs = local.catalog.connect().load_table("weather.observations")
    assert table.schema() == theirs.schema()
    assert table.spec() == theirs.spec()
    (run,) = catalog.load_table("weather.pipeline_runs").scan().to_arrow().to_pylist()
    assert (run["task"], run["period"]) == ("BackfillObservations", "2013-07-01_2013-07-03")
    assert run["rows_changed"] >= len(expected["observations"])

    # Nothing is done again, and a load that is done again changes nothing.
    assert "files read" not in onspark.ok("BackfillObservations", *DAYS)
    files = tuple(map(str, sorted(onspark.data.glob(f"*/{SELECTION}/observations-*"))))
    for where, load_id in ((catalog, "again"), (local.catalog.connect(), "after the local path")):
        before = where.load_table("weather.observations").metadata_location
        running_ = session.connect(spark.newSession(), where.properties)
        part = backfill.Part(load_id, files)
        loaded, tally = backfill.load(running_, where, OBSERVATIONS, part, lambda _: None)
        assert (loaded.committed, loaded.rows_new, loaded.rows_changed) == (False, 0, 0)
        assert loaded.rows_in == len(expected["observations"])
        assert tally.rejects
        assert where.load_table("weather.observations").metadata_location == before


def stored(definition: Definition, rows: pa.Table, **values: str | None) -> pa.Table:
    """Return rows with some columns set to one value."""
    for name, value in values.items():
        place = rows.schema.get_field_index(name)
        rows = rows.set_column(place, name, pa.array([value] * rows.num_rows, pa.string()))
    return rows.cast(definition.schema)


def test_stored_rows_are_replaced_by_better_ones_only(
    local: Pipeline, catalogs: list[CatalogServer], spark: Any
) -> None:
    """As the local path does, in a table with poorer rows, fuller rows, and a column more."""
    catalog = catalogs[0].connect()
    known = catalog.load_table("weather.observations").scan().to_arrow().slice(0, 40)
    known = known.select(OBSERVATIONS.schema.names)
    files = [str(file) for file in sorted(local.data.glob(f"*/{SELECTION}/observations-*"))]
    here, there = (dataclasses.replace(OBSERVATIONS, name=f"weather.mixed_{n}") for n in "ab")
    for definition in (here, there):
        poorer = stored(definition, known.slice(0, 20), temperature_qc=None)
        fuller = stored(definition, known.slice(20), other_properties="{}")
        for number, before in enumerate((poorer, fuller)):
            iceberg.load(catalog, definition, before, load_id=f"before-{number}")
        with catalog.load_table(definition.name).update_schema() as change:
            change.add_column("more", StringType())
    for file in files:
        table = read_observations(read_batch(Path(file)), Tally())
        iceberg.load(catalog, here, table, load_id=file)
    running_ = session.connect(spark.newSession(), catalog.properties)
    part = backfill.Part("mixed", tuple(files))
    loaded, _ = backfill.load(running_, catalog, there, part, lambda _: None)
    assert 0 < loaded.rows_changed <= 20
    assert loaded.rows_new > 0
    assert rows(catalog, "mixed_b") == rows(catalog, "mixed_a")
    snapshot = catalog.load_table(there.name).current_snapshot()
    assert snapshot is not None
    assert snapshot.summary is not None
    assert snapshot.summary[iceberg.LOAD_ID] == "mixed"
    again, _ = backfill.load(running_, catalog, there, part, lambda _: None)
    assert (again.committed, again.snapshot_id) == (False, snapshot.snapshot_id)


@pytest.mark.timeout(600)
def test_the_task_maintenance_runs_on_spark(onspark: Pipeline) -> None:
    catalog = onspark.catalog.connect()
    before = rows(catalog, "observations")
    for number in range(5):
        some = catalog.load_table("weather.observations").scan().to_arrow().slice(number, 1)
        iceberg.load(
            catalog,
            dataclasses.replace(OBSERVATIONS, name="marts.small"),
            some,
            load_id=f"{number}",
        )
    onspark.settings |= {"MAINTENANCE_ENGINE": "spark", "MAINTENANCE_SNAPSHOT_DAYS": "0"}
    onspark.settings |= {"MAINTENANCE_KEEP_SNAPSHOTS": "1"}
    onspark.ok("Maintenance", *DAYS[:2], *DAYS[4:])
    written = json.loads((onspark.folder("2013-07-03") / "maintenance.json").read_text())
    done = {(result["operation"], result["table"]) for result in written["results"]}
    assert {("compact", "marts.small"), ("expire-snapshots", "marts.small")} <= done
    table = catalog.load_table("marts.small")
    assert len(list(table.scan().plan_files())) == 1
    assert len(table.snapshots()) == 1
    assert rows(catalog, "observations") == before
