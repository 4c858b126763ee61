"""Read stations, observations and alerts from the weather service's API (api.weather.gov).

Source: the service's OpenAPI document, https://api.weather.gov/openapi.json.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

from jobs.nws.errors import WeatherError
from jobs.nws.pages import Feature, identity, pages, pages_around
from jobs.nws.service import Service
from jobs.parse.records import observation_time

IDS_PER_REQUEST = 100  # keeps the URL under a kilobyte


class WeatherClient(Service):
    """The lists of the weather service: stations, observations and alerts, as received."""

    def stations(self, *, states: Sequence[str] = (), ids: Sequence[str] = ()) -> Iterator[Feature]:
        """Return the stations of the states, or with these ids, each once, as received.

        Both together give those the service finds in both; neither gives every station. A
        station that makes the service fail is left out with a warning, see `pages_around`.

        Raises:
            WeatherError: the service failed, for good or too often.
        """
        seen: set[str] = set()
        for start in range(0, max(len(ids), 1), IDS_PER_REQUEST):
            params = {}
            if states:
                params["state"] = ",".join(states)
            if ids:
                params["id"] = ",".join(ids[start : start + IDS_PER_REQUEST])
            for page in pages_around(self, "stations", params):
                yield from _new(page, seen)

    def observations(self, station_id: str, start: datetime, end: datetime) -> list[Feature]:
        """Return a station's observations of [start, end), as received, in the service's order.

        Records without a readable time are kept for the parser to reject. Duplicates
        are kept too. A station without data gives an empty list.

        Raises:
            ValueError: a time without zone, or `start` not before `end`.
            NotFound: no such station.
            WeatherError: the service failed, for good or too often; it has the records of the
                pages that came before.
        """
        params = _span(start, end)
        found: list[Feature] = []
        path = f"stations/{quote(station_id, safe='')}/observations"
        for page in _kept(pages(self, path, params), found):
            times = [observation_time(one) if isinstance(one, dict) else None for one in page]
            found.extend(
                feature
                for feature, moment in zip(page, times, strict=True)
                if moment is None or start <= moment < end
            )
            # The next link may have forgotten `start`; pages go back in time.
            readable = [moment for moment in times if moment is not None]
            if readable and max(readable) < start:
                break
        return found

    def alerts(self, area: Sequence[str] | str, start: datetime, end: datetime) -> list[Feature]:
        """Return the alerts of some areas that the service lists for [start, end], as received.

        Each comes once, of whatever status (Actual, Test, …) and message type; an update or a
        cancellation is an alert of its own that refers to the earlier one. The service keeps
        about a week of them.

        Args:
            area: two-letter codes of states or marine areas, a list or with commas; empty: all.
            start: from when.
            end: until when.

        Raises:
            ValueError: a time without zone, or `start` not before `end`.
            WeatherError: the service failed, for good or too often; it has the records of the
                pages that came before.
        """
        params = _span(start, end)
        areas = area if isinstance(area, str) else ",".join(area)
        if areas:
            params["area"] = areas
        seen: set[str] = set()
        found: list[Feature] = []
        for page in _kept(pages(self, "alerts", params), found):
            found.extend(_new(page, seen))
        return found


def _kept(walk: Iterator[list[Feature]], found: list[Feature]) -> Iterator[list[Feature]]:
    """Yield pages; the error of a page that fails has the records found so far."""
    try:
        yield from walk
    except WeatherError as error:
        error.received = found
        raise


def _new(page: list[Feature], seen: set[str]) -> Iterator[Feature]:
    for feature in page:
        if (key := identity(feature)) not in seen:
            seen.add(key)
            yield feature


def _span(start: datetime, end: datetime) -> dict[str, str]:
    if start.tzinfo is None or end.tzinfo is None:
        raise ValueError(f"start {start} and end {end} must both carry a time zone")
    if start >= end:
        raise ValueError(f"start {start.isoformat()} must come before end {end.isoformat()}")
    # The service knows whole seconds only.
    return {"start": _timestamp(start), "end": _timestamp(end + timedelta(microseconds=999_999))}


def _timestamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
