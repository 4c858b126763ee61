"""The steps of the demo; a second run finds each of them done."""

import contextlib
import datetime as dt
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click

from jobs.demo.logs import LOGGING
from jobs.demo.progress import Progress
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
_LINE = 88  # characters of a warning that are shown; the log has all


@dataclass(frozen=True)
class Step:
    """One command of the pipeline, and whether there is anything left to do."""

    title: str
    arguments: tuple[str, ...]
    done: bool
    result: str


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
            f"{HOURS} hours ingested, one by one",
        ),
        Step(
            "Days",
            ("WeatherPipeline", *last, "--days", f"{DAYS}"),
            WeatherPipeline(date=LAST_DAY, days=DAYS).complete(),
            f"{DAYS} days ingested, marts built and tested, report written",
        ),
        Step(
            "Maintenance",
            ("Maintenance", *last),
            Maintenance(date=LAST_DAY).complete(),
            "small files merged, old snapshots removed",
        ),
    ]


def report() -> Path:
    """Return the report of the last day."""
    return _report().path()


def link_report(pages: str) -> None:
    """Write the report again if its links do not lead to a catalog at this URL."""
    task = _report()
    if f"{pages}/ui/" not in task.path().read_text(encoding="utf-8"):
        task.run()


def _report() -> Report:
    task: Report = WeatherPipeline(date=LAST_DAY, days=DAYS).step(Report)
    return task


def run(catalog: Server, service: Server, folder: Path, weather: Path, *, crash: bool) -> None:
    """Run the steps that are not done yet; with ``crash``, kill the catalog amid the first.

    Raises:
        StackError: a command failed in spite of all tries.
    """
    todo = [step for step in steps() if not step.done]
    if not todo:
        click.echo("Pipeline     everything is done already: nothing to fetch, load or build")
        return
    write(folder / "logging.ini", LOGGING.encode())
    for step in todo:
        progress = Progress(step.title)
        killing = crash and step.title == "Hours"
        with _kill_midway(catalog, weather, progress) if killing else contextlib.nullcontext():
            _run(step, service.url, folder, progress, crash=crash)
        progress.done(step.result)


def simulator(folder: Path, *, crash: bool, log: str = "simulator.log") -> Server:
    """Return the simulator of the weather service; with ``crash``, it injects faults."""
    file = folder / log
    file.unlink(missing_ok=True)
    command = [sys.executable, "-m", "jobs.nws_simulator", "--listen", "127.0.0.1:0", "--verbose"]
    faults = ("--faults", FAULTS) if crash else ()
    return Server("simulator", (*command, *faults), file, without_settings())


def injected(folder: Path) -> int:
    """Return how many responses the simulator spoiled."""
    # Its log has them as "GET PATH STATUS FAULT".
    lines = [line.split() for line in (folder / "simulator.log").read_text().splitlines()]
    return sum(len(words) == 4 and words[0] == "GET" for words in lines)  # noqa: PLR2004


def _run(step: Step, service: str, folder: Path, progress: Progress, *, crash: bool) -> None:
    command = [sys.executable, "-m", "luigi", "--module", "jobs", *step.arguments]
    command += ["--local-scheduler", "--logging-conf-file", str(folder / "logging.ini")]
    # A killed catalog is back in a second; what fails four times has another reason.
    command += ["--scheduler-retry-count", "4", "--scheduler-retry-delay", "1"]
    log = folder / "pipeline.log"
    environment = {**os.environ, "WEATHER_BASE_URL": service, "PYTHONUNBUFFERED": "1"}
    with (
        log.open("ab") as file,
        subprocess.Popen(  # noqa: S603 - our own pipeline
            command, env=environment, stdout=subprocess.PIPE, stderr=file, text=True
        ) as process,
    ):
        try:
            for line in _lines(process):
                if line.startswith("! "):
                    label = "expected" if crash else "warning"
                    progress.report(f"  {label}: {line.removeprefix('! ')[:_LINE]}")
                else:
                    progress.show(line)
        except BaseException:
            process.kill()
            raise
    if process.returncode:
        raise StackError(
            f"{step.arguments[0]} failed with status {process.returncode}; its log is {log}"
        )


def _lines(process: "subprocess.Popen[str]") -> Iterator[str]:
    """Yield the lines that a process prints, and an empty one for each second without one."""
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def read() -> None:
        for line in process.stdout or ():
            lines.put(line.strip())
        lines.put(None)

    threading.Thread(target=read, name="lines", daemon=True).start()
    while True:
        try:
            line = lines.get(timeout=1)
        except queue.Empty:
            line = ""
        if line is None:
            return
        yield line


@contextlib.contextmanager
def _kill_midway(catalog: Server, weather: Path, progress: Progress) -> Iterator[None]:
    """Kill the catalog once the first hour is loaded, and restart it."""
    over = threading.Event()

    def kill() -> None:
        while not any(weather.glob("*T*/*/ingestion.json")):
            if over.wait(0.02):
                return
        catalog.kill()
        progress.report("  expected: kill -9 of the catalog, amid the loads; it is started again")
        catalog.start()

    killer = threading.Thread(target=kill, name="kill")
    killer.start()
    try:
        yield
    finally:
        over.set()
        killer.join()
