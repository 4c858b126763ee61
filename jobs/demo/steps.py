"""The steps of the demo; a second run finds each of them done."""

import contextlib
import datetime as dt
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click

from jobs.demo.logs import LOGGING
from jobs.pipeline import WeatherPipeline
from jobs.stack.processes import Server, StackError, without_settings
from jobs.targets import write
from jobs.tasks.ingestion import WeatherIngestion
from jobs.tasks.maintenance import Maintenance
from jobs.tasks.report import Report

# The week of a heat wave.
LAST_DAY = dt.date(2013, 7, 19)
DAYS = 4
STATIONS = ("KEWR", "KJFK", "KLGA")
FIRST_HOUR = dt.datetime(2013, 7, 19, 18)  # noqa: DTZ001 - Luigi's hours carry no zone: UTC
HOURS = 6
# Shares of the weather service's responses: refused, failed, cut short. Most are retried at once.
FAULTS = "throttle=0.05,error=0.08,truncate=0.08"


@dataclass(frozen=True)
class Step:
    """One command of the pipeline, and whether there is anything left to do."""

    title: str
    arguments: tuple[str, ...]
    done: bool


def steps() -> list[Step]:
    """Return the commands in order: hours, days, maintenance."""
    hours = [FIRST_HOUR + dt.timedelta(hours=number) for number in range(HOURS)]
    of_hours = ("RangeHourly", "--of", "WeatherIngestion", "--start", f"{FIRST_HOUR:%Y-%m-%dT%H}")
    until = hours[-1] + dt.timedelta(hours=1)
    # How far back from now Luigi looks at all.
    hours_back = str(20 * 366 * 24)
    last = ("--date", f"{LAST_DAY}")
    return [
        Step(
            "Hours",
            (*of_hours, "--stop", f"{until:%Y-%m-%dT%H}", "--hours-back", hours_back),
            all(WeatherIngestion(hour=hour).complete() for hour in hours),
        ),
        Step(
            "Days",
            ("WeatherPipeline", *last, "--days", f"{DAYS}"),
            WeatherPipeline(date=LAST_DAY, days=DAYS).complete(),
        ),
        Step("Maintenance", ("Maintenance", *last), Maintenance(date=LAST_DAY).complete()),
    ]


def report() -> Path:
    """Return the report of the last day."""
    return WeatherPipeline(date=LAST_DAY, days=DAYS).step(Report).path()


def run(catalog: Server, folder: Path, weather: Path) -> None:
    """Run the steps that are not done yet, with faults injected.

    Raises:
        StackError: a command failed in spite of all tries.
    """
    todo = [step for step in steps() if not step.done]
    if not todo:
        click.echo("Pipeline     everything is done already: nothing to fetch, load or build")
        return
    write(folder / "logging.ini", LOGGING.encode())
    log = folder / "simulator.log"
    log.unlink(missing_ok=True)
    command = [sys.executable, "-m", "jobs.nws_simulator", "--listen", "127.0.0.1:0"]
    command += ["--faults", FAULTS, "--verbose"]
    with Server("simulator", command, log, without_settings()) as service:
        click.echo(f"Weather      {service.url}   (simulates api.weather.gov: records of 2013)")
        for step in todo:
            arguments = " ".join(step.arguments)
            click.echo(f"\n{step.title:<12} luigi --module jobs {arguments} --local-scheduler\n")
            hours = step.title == "Hours"
            with _kill_midway(catalog, weather) if hours else contextlib.nullcontext():
                _run(step, service.url, folder)
    # The simulator's log has the spoiled requests as "GET PATH STATUS FAULT".
    lines = [line.split() for line in log.read_text().splitlines()]
    faults = sum(len(words) == 4 and words[0] == "GET" for words in lines)  # noqa: PLR2004
    killed = " and one kill -9 of the catalog" if todo[0].title == "Hours" else ""
    click.echo(f"\nRecovered    from {faults} injected API failures{killed}")


def _run(step: Step, service: str, folder: Path) -> None:
    command = [sys.executable, "-m", "luigi", "--module", "jobs", *step.arguments]
    command += ["--local-scheduler", "--logging-conf-file", str(folder / "logging.ini")]
    # A killed catalog is back in a second; what fails four times has another reason.
    command += ["--scheduler-retry-count", "4", "--scheduler-retry-delay", "1"]
    log = folder / "pipeline.log"
    with log.open("ab") as file:
        status = subprocess.run(  # noqa: S603 - our own pipeline
            command, env={**os.environ, "WEATHER_BASE_URL": service}, stderr=file, check=False
        ).returncode
    if status:
        raise StackError(f"{step.arguments[0]} failed with status {status}; its log is {log}")


@contextlib.contextmanager
def _kill_midway(catalog: Server, weather: Path) -> Iterator[None]:
    """Kill the catalog once the first hour is loaded, and restart it."""
    over = threading.Event()

    def kill() -> None:
        while not any(weather.glob("*T*/*/ingestion.json")):
            if over.wait(0.02):
                return
        catalog.kill()
        click.echo("  Kill -9 of the catalog, amid the loads. Starting it again …")
        catalog.start()

    killer = threading.Thread(target=kill, name="kill")
    killer.start()
    try:
        yield
    finally:
        over.set()
        killer.join()
