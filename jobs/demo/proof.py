"""The proof that no row is lost and none is there twice: the table against the weather service."""

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

import requests
from pyiceberg.catalog import Catalog

STATIONS_ZONE = ZoneInfo("America/New_York")
_TIMEOUT_SECONDS = 30


@dataclass(frozen=True)
class Proof:
    """How many observations the service has, and how many of them the table has."""

    expected: int
    found: int
    duplicates: int

    @property
    def holds(self) -> bool:
        """Whether each observation is in the table once."""
        return self.expected == self.found > 0 and not self.duplicates

    def __str__(self) -> str:
        return f"{self.expected} rows expected, {self.found} found, {self.duplicates} duplicates"


def prove(
    service: str, catalog: Catalog, stations: Sequence[str], first: dt.date, last: dt.date
) -> Proof:
    """Compare the observations of some days with those that the service has.

    As the pipeline does, from the first day in UTC to the end of the last one at the stations. The
    service is read without the pipeline's client, whose faults would otherwise hide themselves.
    """
    begin = dt.datetime.combine(first, dt.time(), dt.UTC)
    end = dt.datetime.combine(last + dt.timedelta(days=1), dt.time(), STATIONS_ZONE)
    end = end.astimezone(dt.UTC)
    expected = {
        (station, moment)
        for station in stations
        for moment in _observed(service, station, begin, end)
    }
    period = f"observed_at >= '{begin.isoformat()}' and observed_at < '{end.isoformat()}'"
    columns = ("station_id", "observed_at")
    table = catalog.load_table("weather.observations")
    rows = table.scan(row_filter=period, selected_fields=columns).to_arrow().to_pylist()
    keys = [(row["station_id"], row["observed_at"]) for row in rows]
    return Proof(len(expected), len(expected & set(keys)), len(keys) - len(set(keys)))


def _observed(
    service: str, station: str, begin: dt.datetime, end: dt.datetime
) -> Iterator[dt.datetime]:
    moment = begin
    with requests.Session() as session:
        session.trust_env = False  # no proxy leads to this machine
        while moment < end:  # a day at a time, so that none is cut by the service's limit
            until = min(moment + dt.timedelta(days=1), end)
            answer = session.get(
                f"{service}/stations/{station}/observations",
                params={"start": moment.isoformat(), "end": until.isoformat()},
                timeout=_TIMEOUT_SECONDS,
            )
            answer.raise_for_status()
            for feature in answer.json()["features"]:
                observed = dt.datetime.fromisoformat(feature["properties"]["timestamp"])
                if moment <= observed < until:
                    yield observed
            moment = until
