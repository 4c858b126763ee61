"""Show the whole house: catalog, pipeline and marts, on real observations, in a minute.

``python -m jobs.demo`` is what ``make demo`` runs. It starts the catalog and the stand-in of the
weather service on free ports, runs the pipeline, shows what it made and stops what it started.
The state stays in ``var/demo``: a second run finds everything done.
"""

# Luigi says it is typed, but its methods are not.
# mypy: allow-untyped-calls

import contextlib
import datetime as dt
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import click
import duckdb
from requests import RequestException

from jobs import iceberg
from jobs.demo_tables import daily, snapshots
from jobs.demo_ways import ways
from jobs.pipeline import WeatherPipeline
from jobs.targets import write

LAST_DAY = dt.date(2013, 7, 4)
DAYS = 4
STATIONS = ("KEWR", "KJFK", "KLGA")
START_SECONDS = 60.0
# Mostly DuckDB's extensions.
SPACE = 250 << 20

# The pipeline's own lines on the screen, everything in its log, which is standard error.
LOGGING = """\
[loggers]
keys=root,luigi,weather

[logger_root]
level=INFO
handlers=all,screen

[logger_luigi]
qualname=luigi-interface
level=INFO
handlers=all
propagate=0

[logger_weather]
qualname=luigi-interface.weather
level=INFO
handlers=all,own
propagate=0

[handlers]
keys=all,own,screen

[handler_all]
class=StreamHandler
args=(sys.stderr,)
formatter=full

[handler_own]
class=StreamHandler
args=(sys.stdout,)
formatter=short

[handler_screen]
class=StreamHandler
level=WARNING
args=(sys.stdout,)
formatter=short

[formatters]
keys=full,short

[formatter_full]
format=%(asctime)s %(name)s %(levelname)s %(message)s

[formatter_short]
format=  %(message)s
"""


class DemoError(Exception):
    """The demo cannot go on; the message is the line to show."""


@dataclass(frozen=True)
class State:
    """Where the demo keeps things."""

    folder: Path

    @property
    def store(self) -> str:
        """URL of the catalog's database."""
        return f"sqlite:///{self.folder / 'catalog.db'}"

    @property
    def warehouse(self) -> str:
        """URL of the tables' folder."""
        return f"file://{self.folder / 'warehouse'}"

    @property
    def weather(self) -> Path:
        """The pipeline's data_dir."""
        return self.folder / "weather"


@click.command()
@click.option(
    "--state",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("var/demo"),
    show_default=True,
    help="Folder of everything the demo makes.",
)
@click.option(
    "--listen",
    default="127.0.0.1:0",
    show_default=True,
    help="Where the catalog listens meanwhile; port 0 takes a free one.",
)
def main(folder: Path, listen: str) -> None:
    """Fill an Iceberg lakehouse with real weather and show it."""
    signal.signal(signal.SIGTERM, _stop)
    try:
        _demo(State(folder.resolve()), listen)
    except BrokenPipeError:
        raise  # who reads our output has seen enough
    except (DemoError, OSError, duckdb.Error, RequestException) as error:
        line = " ".join(str(error).split())
        raise click.ClickException(f"the demo stopped: {line}") from None


def _demo(state: State, listen: str) -> None:
    started = time.monotonic()
    state.folder.mkdir(parents=True, exist_ok=True)
    _require_space(state)
    with _serving("catalog", _catalog_command(state, listen), state) as uri:
        click.echo(f"Catalog      {uri}   (state in {state.folder})")
        _configure(state, uri)
        if WeatherPipeline(date=LAST_DAY, days=DAYS).complete():
            click.echo("Pipeline     everything is done already: nothing to fetch, load or build")
        else:
            _run_pipeline(state)
        mart = daily(uri, state.weather, LAST_DAY - dt.timedelta(days=DAYS - 1), LAST_DAY)
        click.echo(f"\nThe daily mart, marts.fct_daily_station_weather\n\n{mart}")
        catalog = iceberg.connect(uri, "default")
        click.echo(f"\nThe snapshots that made it\n\n{snapshots(catalog)}")
    click.echo(ways(state.store, state.warehouse, state.weather, LAST_DAY + dt.timedelta(days=1)))
    click.echo(f"Done in {time.monotonic() - started:.0f} s. What was started is stopped again.")


def _require_space(state: State) -> None:
    free = shutil.disk_usage(state.folder).free
    if not state.weather.exists() and free < SPACE:
        raise DemoError(
            f"{state.folder} has {free >> 20} MB free, and the demo needs {SPACE >> 20} MB"
        )


def _catalog_command(state: State, listen: str) -> list[str]:
    program = str(Path(sys.executable).with_name("falcon-catalog"))
    places = ["--store", state.store, "--warehouse", state.warehouse]
    return [program, "serve", "--listen", listen, *places]


def _configure(state: State, uri: str) -> None:
    """Set the pipeline's settings, for this process and the ones it starts."""
    os.environ.update(
        {
            "WEATHER_DATA_DIR": str(state.weather),
            "WEATHER_STATIONS": ",".join(STATIONS),
            "WEATHER_STATES": "",
            "WEATHER_VERIFY": "true",
            "WEATHER_REQUESTS_PER_SECOND": "50",
            # Everything is on this machine, whatever proxy leads out of it.
            "NO_PROXY": "127.0.0.1,localhost",
            "no_proxy": "127.0.0.1,localhost",
            "CATALOG_URI": uri,
            "CATALOG_WAREHOUSE": "default",
        }
    )


def _run_pipeline(state: State) -> None:
    log = state.folder / "pipeline.log"
    logging_file = state.folder / "logging.ini"
    write(logging_file, LOGGING.encode())
    standin = [sys.executable, "-m", "jobs.standin", "--listen", "127.0.0.1:0"]
    with _serving("standin", standin, state) as url:
        click.echo(f"Weather      {url}   (stands in for api.weather.gov: real records of 2013)")
        arguments = ["WeatherPipeline", "--date", f"{LAST_DAY}", "--days", f"{DAYS}"]
        click.echo(f"Pipeline     luigi --module jobs {' '.join(arguments)} --local-scheduler\n")
        command = [sys.executable, "-m", "luigi", "--module", "jobs", *arguments]
        command += ["--local-scheduler", "--logging-conf-file", str(logging_file)]
        # A failure here is final: better to say so at once than to try again.
        command += ["--scheduler-retry-count", "1", "--retcode-task-failed", "30"]
        with log.open("ab") as file:
            status = subprocess.run(  # noqa: S603 - our own pipeline
                command, env={**os.environ, "WEATHER_BASE_URL": url}, stderr=file, check=False
            ).returncode
    if status:
        raise DemoError(f"the pipeline failed with status {status}; its log is {log}")


@contextlib.contextmanager
def _serving(name: str, command: Sequence[str], state: State) -> Iterator[str]:
    """Run a server for a while; gives the URL it says it listens on.

    Raises:
        DemoError: the server ended instead; with its last words.
    """
    environment = {
        key: value for key, value in os.environ.items() if not key.startswith("CATALOG_")
    }
    log = state.folder / f"{name}.log"
    with log.open("wb") as file:
        server = subprocess.Popen(  # noqa: S603 - our own servers
            command, stdout=file, stderr=subprocess.STDOUT, env=environment
        )
    try:
        yield _address(name, server, log)
    finally:
        server.terminate()
        server.wait()


def _address(name: str, server: "subprocess.Popen[bytes]", log: Path) -> str:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        ended = server.poll() is not None
        lines = log.read_text().splitlines()
        for line in lines:
            if line.startswith("Listening on "):
                return line.split()[2]
        if ended:
            raise DemoError(f"the {name} did not start: {(lines or ['it gave no reason'])[-1]}")
        time.sleep(0.05)
    raise DemoError(f"the {name} did not start within {START_SECONDS:.0f} s; see {log}")


def _stop(number: int, _: FrameType | None) -> None:
    raise SystemExit(128 + number)


if __name__ == "__main__":
    main()
