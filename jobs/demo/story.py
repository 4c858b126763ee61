"""What the demo does, one chapter after the other; a second run finds each of them done."""

# Luigi says it is typed, but its methods are not.
# mypy: allow-untyped-calls

import contextlib
import datetime as dt
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click

from jobs.demo.logs import LOGGING
from jobs.demo.servers import DemoError, Server, running, simulator
from jobs.pipeline import WeatherPipeline
from jobs.targets import write
from jobs.tasks.ingestion import WeatherIngestion

# M
from jobs.tasks.maintenance import Maintenance
from jobs.tasks.report import Report

# The week of a heat wave.
LAST_DAY = dt.date(2013, 7, 19)
DAYS = 4
STATIONS = ("KEWR", "KJFK", "KLGA")
FIRST_HOUR = dt.datetime(2013, 7, 19, 18)  # noqa: DTZ001 - Luigi's hours carry no zone: UTC
HOURS = 6
# Of the weather service's answers: refused, failed, cut short. Most are asked for again at once.
FAULTS = "throttle=0.05,error=0.08,truncate=0.08"


@dataclass(frozen=True)
class Chapter:
    """One command of the pipeline, and whether there is anything left to do."""

    title: str
    arguments: tuple[str, ...]
    done: bool


def chapters() -> list[Chapter]:
    """Give the commands in order: hours, days, maintenance."""
    hours = [FIRST_HOUR + dt.timedelta(hours=number) for number in range(HOURS)]
    of_hours = ("RangeHourly", "--of", "WeatherIngestion", "--start", f"{FIRST_HOUR:%Y-%m-%dT%H}")
    until = hours[-1] + dt.timedelta(hours=1)
    # How far back from now Luigi looks at all.
    hours_back = str(20 * 366 * 24)
    last = ("--date", f"{LAST_DAY}")
    return [
        Chapter(
            "Hours",
            (*of_hours, "--stop", f"{until:%Y-%m-%dT%H}", "--hours-back", hours_back),
            all(WeatherIngestion(hour=hour).complete() for hour in hours),
        ),
        Chapter(
            "Days",
            ("WeatherPipeline", *last, "--days", f"{DAYS}"),
            WeatherPipeline(date=LAST_DAY, days=DAYS).complete(),
        ),
        Chapter("Maintenance", ("Maintenance", *last), Maintenance(date=LAST_DAY).complete()),
        # M2
    ]


def report() -> Path:
    """Name the report of the last day."""
    return WeatherPipeline(date=LAST_DAY, days=DAYS).step(Report).path()


def tell(catalog: Server, folder: Path, weather: Path) -> None:
    """Run what is not done yet, with faults to survive.

    Raises:
        DemoError: a command failed in spite of all tries.
    """
    todo = [chapter for chapter in chapters() if not chapter.done]
    if not todo:
        click.echo("Pipeline     everything is done already: nothing to fetch, load or build")
        return
    write(folder / "logging.ini", LOGGING.encode())
    with running(simulator(FAULTS, folder / "simulator.log")) as service:
        click.echo(f"Weather      {service.url}   (stands in for api.weather.gov: records of 2013)")
        for chapter in todo:
            command = " ".join(chapter.arguments)
            click.echo(f"\n{chapter.title:<12} luigi --module jobs {command} --local-scheduler\n")
            with _trouble(catalog, weather) if chapter.title == "Hours" else _calm():
                _run(chapter, service.url, folder)
    survived = [_faults(folder / "simulator.log")]
    if todo[0].title == "Hours":
        survived.append("one kill -9 of the catalog")
    click.echo(f"\nSurvived     {', '.join(survived)}")


def _run(chapter: Chapter, service: str, folder: Path) -> None:
    command = [sys.executable, "-m", "luigi", "--module", "jobs", *chapter.arguments]
    command += ["--local-scheduler", "--logging-conf-file", str(folder / "logging.ini")]
    # A killed catalog is back in a second; what fails four times has another reason.
    command += ["--scheduler-retry-count", "4", "--scheduler-retry-delay", "1"]
    log = folder / "pipeline.log"
    with log.open("ab") as file:
        status = subprocess.run(  # noqa: S603 - our own pipeline
            command, env={**os.environ, "WEATHER_BASE_URL": service}, stderr=file, check=False
        ).returncode
    if status:
        raise DemoError(f"{chapter.arguments[0]} failed with status {status}; its log is {log}")


@contextlib.contextmanager
def _calm() -> Iterator[None]:
    yield


@contextlib.contextmanager
def _trouble(catalog: Server, weather: Path) -> Iterator[None]:
    """Kill the catalog once the first hour is in, and start it again."""
    over = threading.Event()

    def kill() -> None:
        while not any(weather.glob("*T*/*/ingestion.json")):
            if over.wait(0.02):
                return
        catalog.kill()
        click.echo("  Kill -9 of the catalog, amid the loads. Starting it again …")
        catalog.start()

    trouble = threading.Thread(target=kill, name="trouble")
    trouble.start()
    try:
        yield
    finally:
        over.set()
        trouble.join()


def _faults(log: Path) -> str:
    """Count the requests that the simulator spoiled, by its log."""
    lines = [line.split() for line in log.read_text().splitlines()]
    met = Counter(
        words[3]
        for words in lines
        if len(words) == 4 and words[0] == "GET"  # noqa: PLR2004
    )
    names = " + ".join(f"{count} x {name}" for name, count in sorted(met.items()))
    return f"{names or 'no spoiled'} answers of the weather service"
