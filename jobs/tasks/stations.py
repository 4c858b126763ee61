"""Fetch the stations: raw, as received, kept."""

# Luigi says it is typed, but its methods are not.
# mypy: allow-untyped-calls

import datetime as dt
import functools
from pathlib import Path
from typing import Any

import luigi

from jobs.config import weather
from jobs.nws.client import WeatherClient
from jobs.targets import read_json, write_json
from jobs.tasks.base import PeriodTask, log


def client() -> WeatherClient:
    """Give this process's client of the weather service, by the [weather] settings."""
    settings = weather()
    return _client(
        settings.base_url,
        user_agent=settings.user_agent,
        requests_per_second=settings.requests_per_second,
        timeout=settings.timeout,
        max_attempts=settings.max_attempts,
        max_wait=settings.max_wait,
        cache=Path(settings.data_dir, "answers"),
        rate_folder=Path(settings.data_dir, "rate"),
    )


@functools.cache  # one client, because it keeps its connections
def _client(base_url: str, **options: Any) -> WeatherClient:
    return WeatherClient(base_url, **options)


class Stations(PeriodTask):
    """Fetch the chosen stations: ``stations.json.gz``, a GeoJSON FeatureCollection as received."""

    def output(self) -> luigi.LocalTarget:
        """Name the file."""
        return self.place("stations.json.gz")

    def run(self) -> None:
        """Fetch and keep the stations.

        Raises:
            ValueError: the service knows none of them.
        """
        self.selection()
        features = self._fetch(client())
        if not features:
            raise ValueError(
                f"the weather service knows no station for [weather] states={','.join(self.states)}"
                f" stations={','.join(self.stations)}"
            )
        write_json(
            self.path(),
            {
                "type": "FeatureCollection",
                "fetched_at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
                "features": features,
            },
        )
        self.say(f"{len(features)} stations")

    def features(self) -> list[dict[str, Any]]:
        """Read the stations back."""
        features: list[dict[str, Any]] = read_json(self.path())["features"]
        return features

    def fetched_at(self) -> dt.datetime:
        """Tell when they were fetched, UTC; of a file without that word, when it was written."""
        told = read_json(self.path()).get("fetched_at")
        if told is None:
            return dt.datetime.fromtimestamp(self.path().stat().st_mtime, dt.UTC)
        return dt.datetime.fromisoformat(told)

    def _fetch(self, service: WeatherClient) -> list[dict[str, Any]]:
        # The service would give the stations that are in one of the states AND named.
        features: list[dict[str, Any]] = []
        if self.states:
            features.extend(service.stations(states=self.states))
        if self.stations:
            named = list(service.stations(ids=self.stations))
            features.extend(named)
            known = {_identifier(feature) for feature in named}
            for missing in sorted(set(self.stations) - known):
                log.warning("the weather service does not know station %s", missing)
        return features


def _identifier(feature: dict[str, Any]) -> str:
    return str(feature.get("properties", {}).get("stationIdentifier", ""))
