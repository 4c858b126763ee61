"""Fetch a period's observations: raw, as received, kept, in batches of stations."""

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
from jobs.tasks import periods
from jobs.tasks.base import PeriodTask, WeatherTask, log
from jobs.tasks.health import Health
from jobs.tasks.missing import Missing, merged
from jobs.tasks.periods import Window, served
from jobs.tasks.stations import Stations, client, cost

Answer = dict[str, Any]


class IncompleteError(Exception):
    """The service is down: what came is kept and loaded, and the next try asks for the rest."""

    transient = True


@dataclass(frozen=True)
class Fetched:
    """The files there are, which stations the service failed for, and what the requests cost."""

    files: tuple[Path, ...]
    batches: int
    failed: dict[str, str]
    down: bool
    cost: dict[str, float]

    def require_service(self) -> None:
        """Raise an error if the service is down; stations that fail by themselves are none.

        Raises:
            IncompleteError: the service is down; with the first station's error.
        """
        if self.down:
            station, error = next(iter(self.failed.items()))
            raise IncompleteError(
                f"the weather service is down: {len(self.failed)} stations failed or were not"
                f" requested, first {station}: {error}"
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
            IncompleteError: the service is down; the next attempt fetches the rest.
        """
        found = fetch(self, self.requires())
        found.require_service()
        counts = [len(answer["features"]) for path in found.files for answer in read_json(path)]
        write_json(
            self.path(),
            {
                "files": [path.name for path in found.files],
                "stations": len(counts),
                "stations_with_observations": sum(count > 0 for count in counts),
                "observations": sum(counts),
                "failed": found.failed,
            },
        )
        self.progress(f"{sum(counts)} observations of {len(counts)} stations", 100)
        self.degraded(found.failed)


def fetch(task: WeatherTask, stations: Stations) -> Fetched:
    """Fetch the batches that are not there yet, several at once.

    Stations fail independently. What failed is recorded in the folder ``missing`` and requested
    again by the periods that follow, once the station answers. Only if no station answers, or many
    in a row do not and neither does one that did, the service is down and the rest is left.

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
    # A day that is not over for its last station is fetched again once it is.
    phase = " open" if periods.now() < task.closes() else ""
    for number, start in enumerate(range(0, len(names), size), 1):
        members = tuple(names[start : start + size])
        # Named by its members too: another batch size makes other batches.
        digest = hashlib.sha256(f"{','.join(members)}{phase}".encode()).hexdigest()[:8]
        path = folder / f"observations-{number:04d}-{digest}.json.gz"
        batches.append(_Batch(number, members, path))
    waiting = [batch for batch in batches if not batch.path.exists()]
    failed: dict[str, str] = {}
    down, spent = False, dict.fromkeys(("requests", "bytes", "seconds"), 0.0)
    if waiting:
        with client().batch(f"{task.task_family} {task.period}") as made:
            failed, down = _fetch_batches(task, waiting, zones)
        spent = cost(made)
    files = [path for batch in batches for path in (batch.path, batch.partial) if path.exists()]
    return Fetched(tuple(files), len(batches), failed, down, spent)


def _fetch_batches(
    task: WeatherTask, batches: list[_Batch], zones: dict[str, str | None]
) -> tuple[dict[str, str], bool]:
    """Fetch batches side by side.

    Returns:
        The stations that failed with their errors, and whether the service is down.
    """
    failed: dict[str, str] = {}
    service, settings = client(), config.settings().weather
    run = _Run(service, Missing(task.data_dir), Health(service))
    windows = {
        name: task.period.window(zone, settings.trailing_hours) for name, zone in zones.items()
    }
    # Stations that failed before come last: they must not keep the others from their turn.
    suspects = run.missing.stations()
    batches = sorted(batches, key=lambda batch: suspects.issuperset(batch.members))
    done = observations = 0
    with ThreadPoolExecutor(max(1, settings.fetchers), "fetch") as pool:
        futures = {
            pool.submit(
                _fetch_batch,
                run,
                one,
                {name: windows[name] for name in sorted(one.members, key=suspects.__contains__)},
            ): one
            for one in batches
        }
        for future in as_completed(futures):
            if future.cancelled():
                continue
            batch, (answers, errors) = futures[future], future.result()
            failed.update(errors)
            done += 1
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
            if run.health.down:
                pool.shutdown(wait=False, cancel_futures=True)
    return failed, run.health.is_down()


@dataclass(frozen=True)
class _Run:
    """What the batches of one fetch share."""

    service: WeatherClient
    missing: Missing
    health: Health


def _fetch_batch(
    run: _Run, batch: _Batch, windows: dict[str, Window]
) -> tuple[list[Answer], dict[str, str]]:
    """Fetch a batch station by station and keep what came; return the answers and the errors."""
    before: list[Answer] = read_json(batch.partial) if batch.partial.exists() else []
    answers = [answer for answer in before if "failed" not in answer]
    held = {answer["station_id"] for answer in answers}
    errors: dict[str, str] = {}
    came: dict[str, list[Window]] = {}
    for station, window in windows.items():
        if run.health.down:
            errors[station] = "not requested: the service is down"
        elif station in held:
            run.health.expect(station, window)
        else:
            answer, came[station] = _ask(run, station, window)
            answers.append(answer)
            if "failed" in answer:
                errors[station] = answer["failed"]
    if errors:
        write_json(batch.partial, answers)
    else:
        write_json(batch.path, sorted(answers, key=lambda answer: str(answer["station_id"])))
        batch.partial.unlink(missing_ok=True)
    # Only now that what came is on the disk.
    for station, those in came.items():
        run.missing.remove(station, those)
    return answers, errors


def _ask(run: _Run, station: str, window: Window) -> tuple[Answer, list[Window]]:
    """Request a station's window, and once it has come the windows that are missing.

    Returns:
        The answer, and the missing windows that came or that the service no longer has.
    """
    now = periods.now()
    answer: Answer = {"station_id": station, "fetched_at": now.isoformat(timespec="microseconds")}
    history = config.settings().weather.history_hours
    clipped = served(window, now, history)
    if clipped is None:
        return {**answer, "features": [], "error": "the service no longer has these hours"}, []
    start, end = clipped
    answer |= {"start": start.isoformat(), "end": end.isoformat()}
    try:
        features = run.service.observations(station, start, end)
    except NotFound as error:
        log.warning("%s", error)
        run.health.answered(station, clipped)
        return {**answer, "features": [], "error": str(error)}, run.missing.windows(station)
    except WeatherError as error:
        run.missing.add(station, window, str(error))
        run.health.failed()
        return {**answer, "features": error.received, "failed": str(error)}, []
    run.health.answered(station, clipped)
    missing = run.missing.windows(station)
    wanted = filter(None, (served(one, now, history) for one in missing))
    for first, last in merged(wanted):
        if start <= first and last <= end:
            continue
        try:
            features += run.service.observations(station, first, last)
        except WeatherError as error:
            log.warning("%s from %s to %s is still missing: %s", station, first, last, error)
            missing = [one for one in missing if one[1] <= first or last <= one[0]]
        else:
            log.info("%s: what was missing from %s to %s has come", station, first, last)
    return {**answer, "features": features}, missing
