"""What a failing, an empty, a parallel and a centrally scheduled run end with."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import requests


def test_a_failure_has_a_status_and_a_line_and_the_next_run_goes_on(
    make_pipeline: Callable[..., Any], calm_weather: str, tmp_path: Path
) -> None:
    pipeline = make_pipeline(calm_weather, tmp_path)
    pipeline.catalog.stop()
    arguments = ["WeatherPipeline", "--date", "2013-07-02", "--scheduler-retry-count", "1"]
    status, output = pipeline.run(*arguments)
    assert status == 30
    lines = [line for line in output.splitlines() if "LoadObservations 2013-07-02 failed" in line]
    assert len(lines) == 1
    assert f"the catalog at {pipeline.catalog.uri} does not answer" in lines[0]
    fetched = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.json*")}
    assert fetched
    pipeline.catalog.start()
    output = pipeline.ok(*arguments)
    assert "1 of 1 batches, " not in output
    assert fetched.items() <= {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.json*")}.items()


def test_a_day_without_observations_is_told_and_no_failure(
    make_pipeline: Callable[..., Any], calm_weather: str, tmp_path: Path
) -> None:
    pipeline = make_pipeline(calm_weather, tmp_path)
    output = pipeline.ok("WeatherPipeline", "--date", "2012-12-31")
    assert "no observations of 2012-12-31" in output
    catalog = pipeline.catalog.connect()
    assert catalog.load_table("marts.dim_stations").scan().count() == 3
    assert catalog.load_table("marts.fct_daily_station_weather").scan().count() == 0


def test_batches_are_fetched_beside_each_other(
    make_pipeline: Callable[..., Any], calm_weather: str, tmp_path: Path
) -> None:
    pipeline = make_pipeline(calm_weather, tmp_path, WEATHER_BATCH_SIZE="1")
    pipeline.ok("LoadObservations", "--period", "2013-07-02")
    assert len(list(tmp_path.rglob("observations-*.json.gz"))) == 3
    assert pipeline.catalog.connect().load_table("weather.observations").scan().count() == 82


def test_other_stations_of_the_same_day_join_those_there_are(
    make_pipeline: Callable[..., Any], calm_weather: str, tmp_path: Path
) -> None:
    pipeline = make_pipeline(calm_weather, tmp_path)
    pipeline.ok("LoadObservations", "--period", "2013-07-02", "--stations", "KEWR")
    pipeline.ok("LoadObservations", "--period", "2013-07-02", "--stations", "KJFK,KLGA")
    pipeline.ok("LoadStations", "--period", "2013-07-02", "--stations", "KJFK")
    pipeline.ok("LoadStations", "--period", "2013-07-02", "--stations", "KEWR")
    catalog = pipeline.catalog.connect()
    assert catalog.load_table("weather.observations").scan().count() == 82
    assert catalog.load_table("weather.stations").scan().count() == 2


def test_luigid_schedules_it_and_learns_no_secret(
    make_pipeline: Callable[..., Any],
    calm_weather: str,
    tmp_path: Path,
    wait: Callable[..., Any],
    port: int,
) -> None:
    pipeline = make_pipeline(calm_weather, tmp_path / "data", CATALOG_TOKEN="s3cret")  # noqa: S106
    command = [str(Path(sys.executable).with_name("luigid")), "--address", "127.0.0.1"]
    command += ["--port", str(port), "--state-path", str(tmp_path / "state.pickle")]
    environment = {**os.environ, "LUIGI_CONFIG_PATH": pipeline.environment()["LUIGI_CONFIG_PATH"]}
    url = f"http://127.0.0.1:{port}/api"

    def up() -> bool:
        try:
            return requests.get(f"{url}/task_list", timeout=5).ok
        except requests.ConnectionError:
            return False

    with (tmp_path / "luigid.log").open("wb") as log:
        luigid = subprocess.Popen(
            command, cwd=tmp_path, env=environment, stdout=log, stderr=subprocess.STDOUT
        )
    try:
        wait(up, "start of luigid")
        status, output = pipeline.run(
            "WeatherPipeline", "--date", "2013-07-02", "--scheduler-port", str(port), local=False
        )
        assert status == 0, output
        query = {"data": json.dumps({"status": "DONE"})}
        answer = requests.get(f"{url}/task_list", params=query, timeout=30)
    finally:
        luigid.terminate()
        luigid.wait(60)
    tasks = answer.json()["response"].values()
    assert {task["name"] for task in tasks} == {
        "Stations",
        "Alerts",
        "LoadStations",
        "LoadObservations",
        "LoadAlerts",
        "Transform",
        "WeatherPipeline",
    }
    assert "84 observations" not in answer.text
    assert "82 observations of 3 stations" in answer.text
    assert "s3cret" not in answer.text + output
