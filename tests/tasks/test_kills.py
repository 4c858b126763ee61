"""kill -9 of the pipeline and of the catalog at any moment: the tables end the same.

Hours are ingested, then days with their marts; killed at seeded points of the work, counted in
requests that the catalog and the weather service have answered. In the end every table is
compared, row for row, with that of an undisturbed run.
"""

import os
import random
import signal
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from jobs.nws_simulator import Faults, airports, make_app, running
from tests.tasks.ingesting import Service

pytestmark = pytest.mark.slow

HOURS = ["RangeHourly", "--of", "WeatherIngestion", "--hours-back", "1000000"]
HOURS += ["--start", "2013-07-01T21", "--stop", "2013-07-02T00"]
DAYS = ["WeatherPipeline", "--date", "2013-07-02", "--days", "2"]
KILLS = {"hours": 10, "days": 3}
RAW = ("weather.stations", "weather.observations", "weather.alerts", "weather.quarantine")
RAW += ("weather.schema_drift",)
# When something was noticed, by which load; and what is made of that.
NOTICED = {"fetched_at", "first_seen", "load_id", "quarantined_at", "valid_from", "valid_to"}
NOTICED |= {"described_since", "first_at", "last_at", "station_version_id"}
NOTICED |= {"dbt_scd_id", "dbt_updated_at", "dbt_valid_from", "dbt_valid_to"}


def noticed(column: str) -> bool:
    # The versions of dbt's own snapshots are dated by the build that made them.
    return column in NOTICED or column.startswith("dbt_")


Content = dict[str, list[str]]


def content(catalog: Any, *namespaces: str) -> Content:
    """Read every table, but for the rows about runs."""
    tables = {}
    for namespace in namespaces:
        for identifier in catalog.list_tables(namespace):
            if identifier != ("weather", "pipeline_runs"):
                rows = catalog.load_table(identifier).scan().to_arrow().to_pylist()
                said = [{k: v for k, v in row.items() if not noticed(k)} for row in rows]
                tables[".".join(identifier)] = sorted(map(str, said))
    return tables


def loads(catalog: Any) -> Counter[tuple[str, str]]:
    return Counter(
        (name, snapshot.summary["weather.load-id"])
        for name in RAW
        for snapshot in catalog.load_table(name).snapshots()
    )


@pytest.fixture(scope="module")
def weather() -> Iterator[Service]:
    door = Service(make_app(airports(), Faults({"broken": 1.0, "duplicates": 1.0})))
    with running(door) as url:
        door.url = url
        yield door


@dataclass
class Undisturbed:
    """What the tables hold after the hours, and after the days."""

    hours: Content
    days: Content


@pytest.fixture(scope="module")
def make(make_pipeline: Callable[..., Any], weather: Service) -> Callable[[Path], Any]:
    return lambda folder: make_pipeline(weather.url, folder, WEATHER_ALERT_STATES="NY,NJ")


@pytest.fixture(scope="module")
def undisturbed(
    make: Callable[[Path], Any], tmp_path_factory: pytest.TempPathFactory
) -> Undisturbed:
    pipeline = make(tmp_path_factory.mktemp("undisturbed"))
    pipeline.ok(*HOURS)
    catalog = pipeline.catalog.connect()
    hours = content(catalog, "weather")
    assert {name: len(hours[name]) for name in RAW[:2]} == {RAW[0]: 3, RAW[1]: 24}
    assert hours["weather.quarantine"]
    pipeline.ok(*DAYS)
    days = content(catalog, "weather", "marts")
    assert len(days["weather.observations"]) == 154
    assert len(days["marts.fct_daily_station_weather"]) == 9
    return Undisturbed(hours, days)


@dataclass
class Reaper:
    """Kill at seeded moments, and count."""

    pipeline: Any
    weather: Service
    wait: Callable[..., Any]
    chance: random.Random
    killed: int = 0
    finished: bool = False

    def progress(self) -> int:
        return self.pipeline.catalog.answered() + len(self.weather.asked)

    def await_moment(self, process: "subprocess.Popen[bytes]", most: int) -> bool:
        """Wait for some more answered requests; says whether the pipeline still runs then."""
        until = self.progress() + self.chance.randrange(1, most)
        self.wait(
            lambda: process.poll() is not None or self.progress() >= until, "the moment to kill"
        )
        return process.poll() is None

    def start(self, arguments: list[str]) -> "subprocess.Popen[bytes]":
        """Start a run; where all is done already, forget that it was and have it done again."""
        if self.finished:
            self.finished = False
            for name in ("ingestion*", "load-*", "transform*", "summary*"):
                for path in self.pipeline.data.rglob(name):
                    path.unlink()
        return self.pipeline.start(*arguments)

    def kill_pipeline(self, arguments: list[str], kills: int) -> None:
        """Kill runs, half of them with all they have started; then let one end."""
        goal = self.killed + kills
        while self.killed < goal:
            process = self.start(arguments)
            if self.await_moment(process, 30):
                self.killed += 1
                # dbt, if it is running, survives as an orphan of every other one.
                os.killpg(process.pid, signal.SIGKILL) if self.killed % 2 else process.kill()
                process.wait()
            else:
                self.finished = process.wait() == 0
        self.pipeline.ok(*arguments)

    def kill_catalog(self, arguments: list[str], kills: int) -> None:
        """Kill the catalog under runs, and start it again; then let one end."""
        goal = self.killed + kills
        while self.killed < goal:
            process = self.start(arguments)
            while self.killed < goal and self.await_moment(process, 15):
                self.pipeline.catalog.kill()
                self.killed += 1
                self.pipeline.catalog.start()
            status = process.wait(240)
            assert status in {0, 30}, self.pipeline.output.read_text()
            self.finished = status == 0
        self.pipeline.ok(*arguments)


@pytest.fixture
def reaper(
    make: Callable[[Path], Any], weather: Service, wait: Callable[..., Any], tmp_path: Path
) -> Reaper:
    return Reaper(make(tmp_path), weather, wait, random.Random(42))  # noqa: S311 - no secret


def compare(reaper: Reaper, undisturbed: Undisturbed, kill: Callable[..., None]) -> None:
    catalog = reaper.pipeline.catalog
    kill(HOURS, KILLS["hours"])
    assert content(catalog.connect(), "weather") == undisturbed.hours
    kill(DAYS, KILLS["days"])
    assert content(catalog.connect(), "weather", "marts") == undisturbed.days
    assert set(loads(catalog.connect()).values()) == {1}
    assert reaper.killed == sum(KILLS.values())


@pytest.mark.slow
def test_kills_of_the_pipeline(reaper: Reaper, undisturbed: Undisturbed) -> None:
    compare(reaper, undisturbed, reaper.kill_pipeline)


@pytest.mark.slow
def test_kills_of_the_catalog(reaper: Reaper, undisturbed: Undisturbed) -> None:
    compare(reaper, undisturbed, reaper.kill_catalog)
