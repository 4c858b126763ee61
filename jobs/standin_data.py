"""What the stand-in serves: stations and observations, as the weather service would send them."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from jobs.records import observation_time, station_of

Feature = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Observation:
    """An observation, made into its feature only when asked: a year of them is 200 MB of JSON.

    `render` takes the time under which it is served.
    """

    time: datetime
    render: Callable[[datetime], Feature]


@dataclass(frozen=True, slots=True)
class Source:
    """Stations by id, and their observations, newest first.

    With `period` each observation is served under its latest recurrence up to now instead of
    its true time.
    """

    stations: Mapping[str, Feature]
    observations: Mapping[str, Sequence[Observation]]
    period: timedelta | None = None

    def series(self, station_id: str, now: datetime) -> list[tuple[datetime, Observation]]:
        """Give a station's observations with the times they are served under, newest first."""
        held = self.observations.get(station_id, ())
        if self.period is None:
            return [(one.time, one) for one in held]
        shifted = [(one.time + (now - one.time) // self.period * self.period, one) for one in held]
        return sorted(shifted, key=lambda pair: pair[0], reverse=True)

    def count(self) -> int:
        """Count the observations."""
        return sum(len(held) for held in self.observations.values())


def recordings(folder: Path) -> Source:
    """Read a folder of recorded responses: every *.json below it, FeatureCollections and Features.

    Nothing is rewritten but a `timestamp` that cannot be read, which the record's own URL
    restores. Of a station recorded twice the fuller record is served; a station known only by
    its observations gets a record of what they tell.

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
                kept = partial(_as_recorded, _restored(feature, moment))
                observations[station_id].append(Observation(moment, kept))
    for station_id, series in observations.items():
        series.sort(key=lambda one: one.time, reverse=True)
        if station_id not in stations:
            stations[station_id] = _station_from(station_id, series[0].render(series[0].time))
    if not stations:
        raise ValueError(f"no recorded stations or observations in {folder} (looked at *.json)")
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


def _restored(feature: Feature, moment: datetime) -> Feature:
    properties = feature["properties"]
    if observation_time({"properties": {"timestamp": properties["timestamp"]}}) is not None:
        return feature
    return {**feature, "properties": {**properties, "timestamp": moment.isoformat()}}


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
