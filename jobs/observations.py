"""Fetch a day's observations: raw, as received, kept, in batches of stations."""

# Luigi says it is typed, but its methods are not.
# mypy: allow-untyped-calls

import datetime as dt
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import luigi

from jobs.config import weather
from jobs.records import Reject, parse_station
from jobs.stations import Stations, client
from jobs.targets import read_json, write_json
from jobs.tasks import WeatherTask, log
from jobs.weather import NotFound, WeatherClient


def window(
    day: dt.date, time_zone: str | None, now: dt.datetime
) -> tuple[dt.datetime, dt.datetime]:
    """Give the times [start, end) that a day's observations of one station are read from.

    They cover the UTC day and the station's local day: the UTC days of consecutive runs leave no
    gap between them wherever the station is, and one run alone completes the local day that the
    daily mart is about. Hours still to come are left to the next day's run.
    """
    starts, ends = [_midnight(day, dt.UTC)], [_midnight(day + dt.timedelta(days=1), dt.UTC)]
    zone = _zone(time_zone)
    if zone is not None:
        starts.append(_midnight(day, zone))
        ends.append(_midnight(day + dt.timedelta(days=1), zone))
    return min(starts), min(max(ends), now.replace(microsecond=0))


class ObservationBatch(WeatherTask):
    """Fetch one day's observations of a batch of stations, as received.

    The file lists for each station the window that was asked for and the features that came.
    A station the service does not have (404) is listed with the error instead.
    """

    batch = luigi.IntParameter(description="number of the batch, from 1")
    members = luigi.ListParameter(description="the batch's stations")
    resources = {"nws": 1}  # noqa: RUF012 - Luigi's own idiom

    def requires(self) -> Stations:
        """Ask for the stations, whose time zones make the windows."""
        return self.step(Stations)

    def output(self) -> luigi.LocalTarget:
        """Name the file, by its members too: another batch size makes other batches."""
        digest = hashlib.sha256(",".join(self.members).encode()).hexdigest()[:8]
        return self.place(f"observations-{self.batch:04d}-{digest}.json.gz")

    def run(self) -> None:
        """Fetch station after station and keep what came."""
        zones = time_zones(self.requires())
        answers = []
        for number, station in enumerate(self.members, 1):
            answers.append(self._ask(client(), station, zones.get(station)))
            count = len(answers[-1]["features"])
            self.say(
                f"batch {self.batch}: {station} gave {count} observations"
                f" ({number} of {len(self.members)} stations)",
                100 * number / len(self.members),
            )
        write_json(self.path(), answers)

    def _ask(self, service: WeatherClient, station: str, zone: str | None) -> dict[str, Any]:
        start, end = window(self.date, zone, dt.datetime.now(dt.UTC))
        asked = {"station_id": station, "start": start.isoformat(), "end": end.isoformat()}
        try:
            return {**asked, "features": service.observations(station, start, end)}
        except NotFound as error:
            log.warning("%s", error)
            return {**asked, "features": [], "error": str(error)}


class Observations(WeatherTask):
    """Fetch one day's observations of all chosen stations, batch by batch.

    Done when ``observations.json`` lists the batches' files.
    """

    def requires(self) -> Stations:
        """Ask for the stations, which make the batches."""
        return self.step(Stations)

    def output(self) -> luigi.LocalTarget:
        """Name the list of files."""
        return self.place("observations.json")

    def run(self) -> Iterator[list[ObservationBatch]]:
        """Have every batch fetched, then list their files."""
        names = sorted(time_zones(self.requires()))
        size = max(1, weather().batch_size)
        batches = [
            self.step(ObservationBatch, batch=number, members=tuple(names[start : start + size]))
            for number, start in enumerate(range(0, len(names), size), 1)
        ]
        yield batches
        counts = [len(answer["features"]) for batch in batches for answer in batch_answers(batch)]
        write_json(
            self.path(),
            {
                "files": [batch.path().name for batch in batches],
                "stations": len(counts),
                "stations_with_observations": sum(count > 0 for count in counts),
                "observations": sum(counts),
            },
        )
        self.say(f"{sum(counts)} observations of {len(counts)} stations", 100)
        if not sum(counts):
            log.warning("no observations of %s: the live service keeps about a week", self.date)

    def files(self) -> list[Path]:
        """Give the paths of the batches' files."""
        return [self.path().parent / name for name in read_json(self.path())["files"]]


def batch_answers(batch: ObservationBatch) -> list[dict[str, Any]]:
    """Read a batch's file back."""
    answers: list[dict[str, Any]] = read_json(batch.path())
    return answers


def time_zones(stations: Stations) -> dict[str, str | None]:
    """Give the time zone of every station that can be read."""
    rows = (parse_station(feature) for feature in stations.features())
    return {row["station_id"]: row["time_zone"] for row in rows if not isinstance(row, Reject)}


def _midnight(day: dt.date, zone: dt.tzinfo) -> dt.datetime:
    return dt.datetime.combine(day, dt.time(), zone).astimezone(dt.UTC)


def _zone(name: str | None) -> ZoneInfo | None:
    try:
        return ZoneInfo(name) if name else None
    except (ZoneInfoNotFoundError, ValueError, OSError):
        log.warning("time zone %r is unknown: taking the UTC day", name)
        return None
