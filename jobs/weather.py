"""Read stations and observations from the weather service's API (api.weather.gov).

Source: the service's OpenAPI document, https://api.weather.gov/openapi.json.
"""

from __future__ import annotations

import ipaddress
import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Self
from urllib.parse import quote, urljoin, urlsplit

import requests

from jobs.answers import collection, correlation_id, failure
from jobs.patience import RateLimit, retrying
from jobs.records import observation_time
from jobs.weather_errors import (
    BadRequest,
    NotFound,
    Refused,
    Throttled,
    Unavailable,
    Unreachable,
    Unreadable,
    WeatherError,
)

__all__ = [
    "BadRequest",
    "NotFound",
    "Refused",
    "Throttled",
    "Unavailable",
    "Unreachable",
    "Unreadable",
    "WeatherClient",
    "WeatherError",
]

log = logging.getLogger("jobs.weather")

Feature = dict[str, Any]

PAGE_SIZE = 500  # the most the service gives
MAX_PAGES = 1000
IDS_PER_REQUEST = 100  # keeps the URL under a kilobyte
MEDIA_TYPE = "application/geo+json"

_PORTS = {"http": 80, "https": 443}


class WeatherClient:
    """A polite client of the weather service: limited in rate, patient with its moods.

    One client may be shared by threads; its rate limit counts them all. Use it as a context
    manager, or call `close`. Transient failures (no answer, cut answers, 429, the CDN's 403
    page, 5xx) are tried again up to `max_attempts` times and `max_wait` seconds of waiting.

    Raises:
        ValueError: a base URL that is not http(s), an empty or unprintable User-Agent.
    """

    def __init__(
        self,
        base_url: str,
        *,
        user_agent: str,
        requests_per_second: float = 5.0,
        timeout: float = 30.0,
        max_attempts: int = 6,
        max_wait: float = 120.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        agent = user_agent.strip()
        if not agent or not agent.isascii() or not agent.isprintable():
            raise ValueError(
                f"user_agent {user_agent!r}: the weather service wants printable ASCII that names"
                " the application and a contact, e.g. '(my-app, me@example.org)'"
            )
        self._origin = _origin(base_url)
        self._base_url = base_url.rstrip("/") + "/"
        self._timeout = timeout
        self._limit = RateLimit(requests_per_second, sleep=sleep)
        self._retrying = retrying(max_attempts, max_wait, sleep)
        self._session = requests.Session()
        self._session.headers.update({"User-Agent": agent, "Accept": MEDIA_TYPE})
        # A proxy of the environment cannot reach a server on this machine's loopback.
        self._session.trust_env = not _is_loopback(base_url)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def stations(self, *, states: Sequence[str] = (), ids: Sequence[str] = ()) -> Iterator[Feature]:
        """Give the stations of the states, or with these ids, each once, as received.

        Both together give those the service finds in both; neither gives every station.

        Raises:
            WeatherError: the service failed, for good or too often.
        """
        seen: set[str] = set()
        for start in range(0, max(len(ids), 1), IDS_PER_REQUEST):
            params = {"limit": str(PAGE_SIZE)}
            if states:
                params["state"] = ",".join(states)
            if ids:
                params["id"] = ",".join(ids[start : start + IDS_PER_REQUEST])
            for page in self._pages("stations", params):
                for feature in page:
                    identity = _identity(feature)
                    if identity not in seen:
                        seen.add(identity)
                        yield feature

    def observations(self, station_id: str, start: datetime, end: datetime) -> list[Feature]:
        """Give a station's observations of [start, end), as received, in the service's order.

        Records without a readable time are kept: whoever reads them explains them. Duplicates
        are kept too. A station without data gives an empty list.

        Raises:
            ValueError: a time without zone, or `start` not before `end`.
            NotFound: no such station.
            WeatherError: the service failed, for good or too often.
        """
        if start.tzinfo is None or end.tzinfo is None:
            raise ValueError(f"start {start} and end {end} must both carry a time zone")
        if start >= end:
            raise ValueError(f"start {start.isoformat()} must come before end {end.isoformat()}")
        params = {
            "start": _timestamp(start),
            "end": _timestamp(end + timedelta(microseconds=999_999)),
            "limit": str(PAGE_SIZE),
        }
        found: list[Feature] = []
        for page in self._pages(f"stations/{quote(station_id, safe='')}/observations", params):
            times = [_time(feature) for feature in page]
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

    def _pages(self, path: str, params: Mapping[str, str]) -> Iterator[list[Feature]]:
        """Follow `pagination.next` until nothing new comes: the service offers it for ever."""
        url = requests.Request("GET", urljoin(self._base_url, path), params=params).prepare().url
        asked: set[str] = set()
        seen: set[str] = set()
        while url and url not in asked:
            if len(asked) == MAX_PAGES:
                raise Refused(f"more than {MAX_PAGES} pages", url=url)
            asked.add(url)
            body = self._get(url)
            fresh = {_identity(feature) for feature in body["features"]} - seen
            if not fresh:
                return
            seen |= fresh
            yield body["features"]
            url = self._next(url, body)

    def _next(self, url: str, body: Mapping[str, Any]) -> str | None:
        pagination = body.get("pagination")
        following = pagination.get("next") if isinstance(pagination, dict) else None
        if not isinstance(following, str) or not following:
            return None
        following = urljoin(url, following)
        try:
            same = _origin(following) == self._origin
        except ValueError:
            same = False
        if not same:
            raise Refused(f"its next page {following} is on another origin; not followed", url=url)
        return following

    def _get(self, url: str) -> dict[str, Any]:
        attempts = 0

        def attempt() -> dict[str, Any]:
            nonlocal attempts
            attempts += 1
            return self._attempt(url)

        try:
            return self._retrying.copy()(attempt)
        except WeatherError as error:
            error.add_note(f"given up after {attempts} attempt(s)")
            raise

    def _attempt(self, url: str) -> dict[str, Any]:
        self._limit.take()
        try:
            response = self._session.get(url, timeout=self._timeout)
        except requests.RequestException as error:
            raise Unreachable(f"{type(error).__name__}: {error}", url=url) from error
        log.debug("%s: %d, correlation id %s", url, response.status_code, correlation_id(response))
        if response.status_code != requests.codes.ok:
            raise failure(url, response)
        return collection(url, response)


def _identity(feature: Any) -> str:
    identity = feature.get("id") if isinstance(feature, dict) else None
    return identity if isinstance(identity, str) else json.dumps(feature, sort_keys=True)


def _time(feature: Any) -> datetime | None:
    return observation_time(feature) if isinstance(feature, dict) else None


def _timestamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _origin(url: str) -> tuple[str, str, int]:
    parts = urlsplit(url)
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ValueError(f"{url!r} is not an http:// or https:// URL")
    return parts.scheme, parts.hostname, parts.port or _PORTS[parts.scheme]


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
