"""Fetch the stations: raw, as received, kept."""

import datetime as dt
import functools
from pathlib import Path
from typing import Any

from jobs import config
from jobs.config import weather
from jobs.nws.client import WeatherClient
from jobs.parse.records import state_of
from jobs.targets import read_json, write_json
from jobs.tasks.base import STATIONS_FILE, PeriodTask, log


def client() -> WeatherClient:
    """Return this process's client of the weather service, by the [weather] settings."""
    return _client(config.settings().weather)


@functools.cache  # one client, because it keeps its connections
def _client(settings: weather) -> WeatherClient:
    return WeatherClient(
        settings.base_url,
        user_agent=settings.user_agent,
        requests_per_second=settings.requests_per_second,
        timeout=settings.timeout,
        max_attempts=settings.max_attempts,
        max_wait=settings.max_wait,
        cache=Path(settings.data_dir, "answers"),
        rate_folder=Path(settings.data_dir, "rate"),
    )


def cost(made: dict[str, float]) -> dict[str, float]:
    """Return what a fetch cost, of the counts of a batch of requests."""
    bytes_, requests = round(made["body_bytes"]), round(made["requests"])
    return {"requests": requests, "bytes": bytes_, "seconds": round(made["seconds"], 3)}


class UnknownStationsError(ValueError):
    """The weather service knows none of the stations that were chosen."""

    transient = False


class Stations(PeriodTask):
    """Fetch the chosen stations: ``stations.json.gz``, a GeoJSON FeatureCollection as received."""

    file = STATIONS_FILE

    def run(self) -> None:
        """Fetch and keep the stations.

        Raises:
            UnknownStationsError: the service knows none of them.
        """
        self.selection()
        service = client()
        # With states and ids at once the service would return those that match both.
        with service.batch(f"{self.task_family} {self.period}") as made:
            features = list(service.stations(states=self.states)) if self.states else []
            named = list(service.stations(ids=self.stations)) if self.stations else []
        if self.states:
            there = {state_of(one.get("properties", {})) for one in features}
            for missing in sorted(set(self.states) - there):
                log.warning("the weather service has no station in state %s", missing)
        if self.stations:
            features.extend(named)
            known = {one.get("properties", {}).get("stationIdentifier") for one in named}
            for missing in sorted(set(self.stations) - known):
                log.warning("the weather service does not know station %s", missing)
        if not features:
            raise UnknownStationsError(
                f"the weather service knows no station for [weather] states={','.join(self.states)}"
                f" stations={','.join(self.stations)}"
            )
        write_json(
            self.path(),
            {
                "type": "FeatureCollection",
                "fetched_at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
                "cost": cost(made),
                "features": features,
            },
        )
        self.progress(f"{len(features)} stations")

    def features(self) -> list[dict[str, Any]]:
        """Return the fetched stations."""
        features: list[dict[str, Any]] = read_json(self.path())["features"]
        return features

    def fetched_at(self) -> dt.datetime:
        """Return when they were fetched, UTC; of an old file without it, when it was written."""
        fetched_at = read_json(self.path()).get("fetched_at")
        if fetched_at is None:
            return dt.datetime.fromtimestamp(self.path().stat().st_mtime, dt.UTC)
        return dt.datetime.fromisoformat(fetched_at)
