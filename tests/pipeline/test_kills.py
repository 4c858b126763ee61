"""kill -9 of the pipeline and of the catalog at any moment: the tables end the same."""

import os
import random
import signal
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobs.standin import Faults, airports, make_app, running

ARGUMENTS = ["WeatherPipeline", "--date", "2013-07-02", "--days", "2"]
KILLS = 5
RAW = ("weather.stations", "weather.observations", "weather.quarantine")
MARTS = ("marts.dim_stations", "marts.fct_observations_hourly", "marts.fct_daily_station_weather")


def content(catalog: Any) -> dict[str, list[str]]:
    tables = {}
    for name in RAW + MARTS:
        rows = catalog.load_table(name).scan().to_arrow().to_pylist()
        for row in rows:
            row.pop("quarantined_at", None)
        tables[name] = sorted(map(str, rows))
    return tables


def loads(catalog: Any) -> Counter[tuple[str, str]]:
    return Counter(
        (name, snapshot.summary["weather.load-id"])
        for name in RAW
        for snapshot in catalog.load_table(name).snapshots()
    )


@pytest.fixture(scope="module")
def weather() -> Any:
    with running(make_app(airports(), Faults({"broken": 1.0, "duplicates": 1.0}))) as url:
        yield url


@pytest.fixture(scope="module")
def undisturbed(
    make_pipeline: Callable[..., Any], weather: str, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, list[str]]:
    pipeline = make_pipeline(weather, tmp_path_factory.mktemp("undisturbed"))
    pipeline.ok(*ARGUMENTS)
    found = content(pipeline.catalog.connect())
    assert {name: len(rows) for name, rows in found.items()} == {
        "weather.stations": 3,
        "weather.observations": 154,
        "weather.quarantine": 6,
        "marts.dim_stations": 3,
        "marts.fct_observations_hourly": 154,
        "marts.fct_daily_station_weather": 9,
    }
    return found


def reached(process: "subprocess.Popen[bytes]", catalog: Any, requests: int) -> Callable[[], bool]:
    """Say when so many more requests are answered, or the pipeline has ended before."""
    start = catalog.answered()
    return lambda: process.poll() is not None or catalog.answered() >= start + requests


@pytest.mark.slow
def test_kill_of_the_pipeline(
    make_pipeline: Callable[..., Any],
    weather: str,
    undisturbed: dict[str, list[str]],
    tmp_path: Path,
    wait: Callable[..., Any],
) -> None:
    chance = random.Random(42)  # noqa: S311 - moments are no secret
    pipeline = make_pipeline(weather, tmp_path)
    killed = 0
    for kill in range(KILLS):
        process = pipeline.start(*ARGUMENTS)
        wait(reached(process, pipeline.catalog, chance.randrange(1, 13)), "the moment to kill")
        killed += process.poll() is None
        if kill % 2:
            os.killpg(process.pid, signal.SIGKILL)
        else:
            # dbt, if it is running, survives as an orphan.
            process.kill()
        process.wait()
    assert killed == KILLS
    pipeline.ok(*ARGUMENTS)
    assert content(pipeline.catalog.connect()) == undisturbed
    assert set(loads(pipeline.catalog.connect()).values()) == {1}


@pytest.mark.slow
def test_kill_of_the_catalog(
    make_pipeline: Callable[..., Any],
    weather: str,
    undisturbed: dict[str, list[str]],
    tmp_path: Path,
    wait: Callable[..., Any],
) -> None:
    chance = random.Random(43)  # noqa: S311 - moments are no secret
    pipeline = make_pipeline(weather, tmp_path)
    killed = 0
    while killed < KILLS:
        process = pipeline.start(*ARGUMENTS)
        while killed < KILLS and process.poll() is None:
            wait(reached(process, pipeline.catalog, chance.randrange(1, 13)), "the moment to kill")
            if process.poll() is None:
                pipeline.catalog.kill()
                killed += 1
                pipeline.catalog.start()
        status = process.wait(240)
        assert status in {0, 30}, pipeline.output.read_text()
        if status == 0:
            break
    assert killed == KILLS
    pipeline.ok(*ARGUMENTS)
    assert content(pipeline.catalog.connect()) == undisturbed
    assert set(loads(pipeline.catalog.connect()).values()) == {1}
