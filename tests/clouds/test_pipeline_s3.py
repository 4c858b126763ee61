"""The weather pipeline on a warehouse in an S3 store: its commands and settings are unchanged."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyiceberg.catalog import Catalog

from jobs.lake import rest
from jobs.nws_simulator import airports, make_app, running
from jobs.report.lake import open_lake
from jobs.stack import processes
from tests.clouds import emulators
from tests.clouds.lake import Lake, knowing_keys
from tests.tasks.conftest import CatalogServer, Pipeline

REPOSITORY = Path(__file__).parents[2]


class S3Catalog(CatalogServer):
    """A catalog with its warehouse in the store, in a process of its own."""

    def __init__(self, lake: Lake) -> None:
        super().__init__(lake.folder)
        places = (f"sqlite:///{lake.folder}/catalog.db", lake.location)
        self._server = processes.catalog(*places, "127.0.0.1:0", self.log, lake.config)
        self._server.environment = None  # it knows the store's keys by their variables


@pytest.fixture(scope="module")
def pipeline(s3: emulators.S3, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    """A pipeline that knows the catalog's address, and no key of the store."""
    folder = tmp_path_factory.mktemp("pipeline")
    with knowing_keys(s3), running(make_app(airports())) as weather:
        catalog = S3Catalog(Lake(folder, s3))
        catalog.start()
        keys = {f"LAKE_{name}": "" for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY")}
        yield Pipeline(catalog, weather, folder / "weather", keys)
        catalog.stop()


def connect(pipeline: Pipeline) -> Catalog:
    return rest.connect(pipeline.catalog.uri, "default")


def test_an_hour_is_ingested_the_marts_are_built_and_the_tables_are_maintained(
    pipeline: Pipeline,
) -> None:
    pipeline.ok("WeatherIngestion", "--hour", "2013-07-02T14")
    pipeline.ok("WeatherIngestion", "--hour", "2013-07-02T15")
    catalog = connect(pipeline)
    observations = catalog.load_table("weather.observations")
    assert observations.location().startswith("s3://")
    rows = observations.scan().to_arrow()
    keys = {(row["station_id"], row["observed_at"]) for row in rows.to_pylist()}
    assert len(keys) == rows.num_rows > 0

    pipeline.ok("DbtTransformations", "--hour", "2013-07-02T15")
    hourly = catalog.load_table("marts.fct_observations_hourly")
    assert hourly.location().startswith("s3://")
    with open_lake(pipeline.catalog.uri, "default", pipeline.data / "duckdb-extensions") as lake:
        (counted,) = lake.ask("SELECT count(*) AS n FROM lake.marts.fct_observations_hourly")
    assert counted["n"] == hourly.scan().count() > 0

    before = len(list(observations.scan().plan_files()))
    settings = {**pipeline.settings, "MAINTENANCE_MIN_INPUT_FILES": "2"}
    settings |= {"MAINTENANCE_SNAPSHOT_DAYS": "0", "MAINTENANCE_KEEP_SNAPSHOTS": "1"}
    maintained = Pipeline(pipeline.catalog, pipeline.weather, pipeline.data, settings)
    maintained.ok("Maintenance", "--date", "2013-07-02")
    done = json.loads((pipeline.folder("2013-07-02") / "maintenance.json").read_text())
    assert "weather.observations" in done["tables"]
    deleted = [size for result in done["results"] for size in result["deleted"].values()]
    assert sum(size["files"] for size in deleted) > 0
    table = catalog.load_table("weather.observations")
    assert len(table.snapshots()) == 1
    assert len(list(table.scan().plan_files())) <= before
    assert table.scan().to_arrow().num_rows == rows.num_rows


def test_no_client_was_given_a_key_and_none_is_in_a_log(
    pipeline: Pipeline, s3: emulators.S3
) -> None:
    """What the pipeline used is vended: the store's own secret appears nowhere."""
    written = [pipeline.output, pipeline.catalog.log]
    written += [path for path in pipeline.data.rglob("*.json") if path.is_file()]
    for path in written:
        text = path.read_text(errors="replace")
        assert s3.secret_access_key not in text
        assert not re.search(r"session-token|SessionToken", text), path


def test_dbt_by_hand_reaches_the_store_through_the_catalog(pipeline: Pipeline) -> None:
    environment = {
        name: value
        for name, value in pipeline.environment().items()
        if not name.startswith(("AWS_", "LAKE_"))
    }
    done = subprocess.run(
        [sys.executable, "-m", "jobs.transform", "test", "--select", "stg_stations"],
        cwd=REPOSITORY,
        env={**environment, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"PASS=[1-9]\d* WARN=0 ERROR=0", done.stdout)
