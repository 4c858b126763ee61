"""What the simulator serves: stations and observations, as the weather service would send them."""

import json
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from jobs.parse.records import observation_time, station_of

Feature = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Observation:
    """An observation, made into its feature when requested: a year of them is 200 MB of JSON.

    `render` takes the time under which it is served.
    """

    time: datetime
    render: Callable[[datetime], Feature]


@dataclass(frozen=True, slots=True)
class Source:
    """Stations by id, and their observations, newest first.

    With `period` each observation is served under its latest recurrence up to now instead of
    its true time; a station's observations then span no more than one period.
    """

    stations: Mapping[str, Feature]
    observations: Mapping[str, Sequence[Observation]]
    period: timedelta | None = None

    def series(
        self,
        station_id: str,
        now: datetime,
        start: datetime | None = None,
        end: datetime | None = None,
    ) -> Iterator[tuple[datetime, Observation]]:
        """Return a station's observations of [start, end] with the times they are served under.

        Newest first. Only those requested are touched: a station may have millions.
        """
        held = self.observations.get(station_id, ())
        for part, move in self._parts(held, now):
            first, last = 0, len(part)
            if end is not None:
                first = bisect_left(part, x=True, key=lambda one: one.time + move <= end)
            if start is not None:
                last = bisect_left(part, x=True, key=lambda one: one.time + move < start)
            for index in range(first, last):
                yield part[index].time + move, part[index]

    def _parts(
        self, held: Sequence[Observation], now: datetime
    ) -> list[tuple[Sequence[Observation], timedelta]]:
        """Return the parts of a series that are moved by the same time."""
        if self.period is None or not held:
            return [(held, timedelta(0))]
        period = self.period
        turns = (now - held[0].time) // period
        pivot = bisect_left(held, x=True, key=lambda one: (now - one.time) // period > turns)
        older, newer = held[pivot:], held[:pivot]
        return [(older, (turns + 1) * period), (newer, turns * period)]

    def count(self) -> int:
        """Return the number of observations."""
        return sum(len(held) for held in self.observations.values())


def recordings(folder: Path) -> Source:
    """Return the recorded responses below a folder, FeatureCollections and Features in *.json.

    Nothing is rewritten but a `timestamp` that cannot be read, which the record's own URL
    restores. Of a station recorded twice the fuller record is served; a station known only by
    its observations gets a record made from these.

    Raises:
        ValueError: the folder holds no station and no observation.
    """
    stations: dict[str, Feature] = {}
    observations: dict[str, list[Observation]] = defaultdict(list)
    for feature in _recorded(folder):
        properties = feature["properties"]
        if "stationIdentifier" in properties:
            held = stations.get(properties["stationIdentifier"])
            if held is None or len(properties) > len(held["properties"]):
                stations[properties["stationIdentifier"]] = feature
        elif "timestamp" in properties and (station_id := station_of(feature)):
            moment = observation_time(feature)
            if moment is not None:
                given = {"properties": {"timestamp": properties["timestamp"]}}
                if observation_time(given) is None:
                    restored = {**properties, "timestamp": moment.isoformat()}
                    feature = {**feature, "properties": restored}  # noqa: PLW2901
                kept = partial(_as_recorded, feature)
                observations[station_id].append(Observation(moment, kept))
    for station_id, series in observations.items():
        series.sort(key=lambda one: one.time, reverse=True)
        if station_id not in stations:
            stations[station_id] = _station_from(station_id, series[0].render(series[0].time))
    if not stations:
        raise ValueError(f"no recorded stations or observations in {folder} (*.json)")
    return Source(dict(sorted(stations.items())), observations)


def _recorded(folder: Path) -> Iterator[Feature]:
    for path in sorted(folder.rglob("*.json")):
        try:
            body = json.loads(path.read_bytes())
        except ValueError as error:
            raise ValueError(f"{path} is not JSON: {error}") from error
        if not isinstance(body, dict):
            continue
        for feature in body.get("features") or [body]:
            if isinstance(feature, dict) and isinstance(feature.get("properties"), dict):
                yield feature


def _as_recorded(feature: Feature, _: datetime) -> Feature:
    return feature


def _station_from(station_id: str, observation: Feature) -> Feature:
    properties = observation["properties"]
    url = f"https://api.weather.gov/stations/{station_id}"
    return {
        "id": url,
        "type": "Feature",
        "geometry": observation.get("geometry"),
        "properties": {
            "@id": url,
            "@type": "wx:ObservationStation",
            "elevation": properties.get("elevation"),
            "stationIdentifier": station_id,
            "name": properties.get("stationName") or station_id,
        },
    }
