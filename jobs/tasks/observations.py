"""Fetch a period's observations: raw, as received, kept, in batches of stations."""

import datetime as dt
import hashlib
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jobs import config
from jobs.nws.client import WeatherClient
from jobs.nws.errors import NotFound, WeatherError
from jobs.parse.records import Reject, parse_station
from jobs.targets import read_json, write_json
from jobs.tasks.base import PeriodTask, WeatherTask, log
from jobs.tasks.periods import Window, served
from jobs.tasks.stations import Stations, client

# So many empty batches in a row: the service is down, and the rest is not requested.
_DEAD_BATCHES = 3
# So many failing stations end a batch: what they have in common is not the station.
_DEAD_STATIONS = 2

Answer = dict[str, Any]


class IncompleteError(Exception):
    """Some batches failed: what came is kept and loaded, and the next try asks for the rest."""


@dataclass(frozen=True)
class Fetched:
    """The files there are, and of which stations the service gave nothing but an error."""

    files: tuple[Path, ...]
    batches: int
    failed: dict[str, str]
    failed_batches: tuple[int, ...]

    def require_whole(self) -> None:
        """Raise an error if batches are missing.

        Raises:
            IncompleteError: batches are missing; with the first station's error.
        """
        if self.failed_batches:
            station, error = next(iter(self.failed.items()))
            raise IncompleteError(
                f"{len(self.failed_batches)} of {self.batches} batches are incomplete:"
                f" {len(self.failed)} stations failed, first {station}: {error}"
            )


@dataclass(frozen=True)
class _Batch:
    number: int
    members: tuple[str, ...]
    path: Path

    @property
    def partial(self) -> Path:
        """The file of the responses before the batch failed."""
        return self.path.with_name(f"partial-{self.path.name}")


class Observations(PeriodTask):
    """Fetch a period's observations of all chosen stations, batch by batch, and do not load them.

    Done when ``observations.json`` lists the batches' files.
    """

    file = "observations.json"
    resources = {"nws": 1}  # noqa: RUF012 - Luigi's own idiom

    def requires(self) -> Stations:
        """Return the stations, which make the batches."""
        return self.step(Stations)

    def run(self) -> None:
        """Fetch every batch, then list their files.

        Raises:
            IncompleteError: the service failed for some, which the next attempt fetches.
        """
        found = fetch(self, self.requires())
        found.require_whole()
        counts = [len(answer["features"]) for path in found.files for answer in read_json(path)]
        write_json(
            self.path(),
            {
                "files": [path.name for path in found.files],
                "stations": len(counts),
                "stations_with_observations": sum(count > 0 for count in counts),
                "observations": sum(counts),
            },
        )
        self.progress(f"{sum(counts)} observations of {len(counts)} stations", 100)


def fetch(task: WeatherTask, stations: Stations) -> Fetched:
    """Fetch the batches that are not there yet, several at once, and return those that failed, too.

    A batch's file lists for each station the window that was requested and the features that
    came. A station the service does not have (404) is listed with the error instead. What came
    of a batch that failed is kept in a file of its own, the first pages of a station whose next one
    failed included, and the next try asks for the rest only.
    """
    rows = map(parse_station, stations.features())
    zones = {row["station_id"]: row["time_zone"] for row in rows if not isinstance(row, Reject)}
    # Batches of many days have fewer stations: each must fit in memory.
    days = (task.period.last - task.period.first).days + 1
    size = max(1, config.settings().weather.batch_size // days)
    names, folder, batches = sorted(zones), Path(stations.path()).parent, []
    for number, start in enumerate(range(0, len(names), size), 1):
        members = tuple(names[start : start + size])
        # Named by its members too: another batch size makes other batches.
        digest = hashlib.sha256(",".join(members).encode()).hexdigest()[:8]
        path = folder / f"observations-{number:04d}-{digest}.json.gz"
        batches.append(_Batch(number, members, path))
    waiting = [batch for batch in batches if not batch.path.exists()]
    failed: dict[str, str] = {}
    if waiting:
        with client().batch(f"{task.task_family} {task.period}"):
            failed = _fetch_batches(task, waiting, zones)
    files = [path for batch in batches for path in (batch.path, batch.partial) if path.exists()]
    missing = [batch.number for batch in batches if not batch.path.exists()]
    return Fetched(tuple(files), len(batches), failed, tuple(missing))


def _fetch_batches(
    task: WeatherTask, batches: list[_Batch], zones: dict[str, str | None]
) -> dict[str, str]:
    """Fetch batches side by side; return the stations that failed, with their errors."""
    failed: dict[str, str] = {}
    service, settings = client(), config.settings().weather
    windows = {
        name: task.period.window(zone, settings.trailing_hours) for name, zone in zones.items()
    }
    dead = done = observations = 0
    with ThreadPoolExecutor(max(1, settings.fetchers), "fetch") as pool:
        futures = {pool.submit(_fetch_batch, service, one, windows): one for one in batches}
        for future in as_completed(futures):
            if future.cancelled():
                continue
            batch, (answers, errors) = futures[future], future.result()
            failed.update(errors)
            done += 1
            dead = 0 if answers or not errors else dead + 1
            count = sum(len(answer["features"]) for answer in answers)
            observations += count
            task.progress(
                f"{done} of {len(batches)} batches, {observations} observations"
                f" (batch {batch.number}: {count} of {len(answers)} stations"
                f"{f', {len(errors)} stations failed' if errors else ''})",
                100 * done / len(batches),
            )
            for station, error in errors.items():
                log.warning("%s: %s", station, error)
            if dead >= _DEAD_BATCHES:
                pool.shutdown(wait=False, cancel_futures=True)
    for batch in batches:
        if not batch.path.exists() and not failed.keys() & set(batch.members):
            failed.update(dict.fromkeys(batch.members, "not requested: the service is down"))
    return failed


def _fetch_batch(
    service: WeatherClient, batch: _Batch, windows: dict[str, Window]
) -> tuple[list[Answer], dict[str, str]]:
    """Fetch a batch station by station and keep what came; return the answers and the errors."""
    before: list[Answer] = read_json(batch.partial) if batch.partial.exists() else []
    answers = [answer for answer in before if "failed" not in answer]
    held = {answer["station_id"] for answer in answers}
    errors: dict[str, str] = {}
    for station in batch.members:
        if station in held:
            continue
        answer = _ask(service, station, windows[station])
        if "failed" in answer:
            errors[station] = answer["failed"]
        if "failed" not in answer or answer["features"]:
            answers.append(answer)
        if len(errors) >= _DEAD_STATIONS:
            break
    if errors:
        if answers:
            write_json(batch.partial, answers)
        return answers, errors
    write_json(batch.path, sorted(answers, key=lambda answer: str(answer["station_id"])))
    batch.partial.unlink(missing_ok=True)
    return answers, {}


def _ask(service: WeatherClient, station: str, window: Window) -> Answer:
    now = dt.datetime.now(dt.UTC)
    answer: Answer = {"station_id": station, "fetched_at": now.isoformat(timespec="microseconds")}
    clipped = served(window, now, config.settings().weather.history_hours)
    if clipped is None:
        return {**answer, "features": [], "error": "the service no longer has these hours"}
    start, end = clipped
    answer |= {"start": start.isoformat(), "end": end.isoformat()}
    try:
        return {**answer, "features": service.observations(station, start, end)}
    except NotFound as error:
        log.warning("%s", error)
        return {**answer, "features": [], "error": str(error)}
    except WeatherError as error:
        return {**answer, "features": error.received, "failed": str(error)}
