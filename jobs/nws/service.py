"""Ask one weather service: in time, patiently, and never another server."""

from __future__ import annotations

import ipaddress
import json
import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests

from jobs.nws.cache import AnswerCache, Kept
from jobs.nws.errors import NotFound, Refused, Unreachable, WeatherError
from jobs.nws.rate import RateLimit
from jobs.nws.responses import collection, correlation_id, failure
from jobs.nws.retry import Sleep, retrying

log = logging.getLogger("jobs.nws")

MEDIA_TYPE = "application/geo+json"
# A server that is there takes a connection at once; its answer may take its time.
CONNECT_SECONDS = 10.0
MAX_REDIRECTS = 3
HASTY_ATTEMPTS = 2

_PORTS = {"http": 80, "https": 443}
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


@dataclass(frozen=True, slots=True)
class Tally:
    """What the requests of a client came to; waits are in seconds."""

    requests: int = 0
    not_modified: int = 0
    retried: int = 0
    given_up: int = 0
    body_bytes: int = 0
    waited: float = 0.0

    def since(self, before: Tally) -> Tally:
        """Return what came after `before`."""
        gained = {f.name: getattr(self, f.name) - getattr(before, f.name) for f in fields(self)}
        return Tally(**gained)


class Service:
    """The connections to one origin, with its rate limit, its kept answers and its patience.

    Raises:
        ValueError: a base URL that is not http(s), an empty or unprintable User-Agent.
    """

    def __init__(
        self,
        base_url: str,
        *,
        user_agent: str,
        requests_per_second: float,
        timeout: float,
        max_attempts: int,
        max_wait: float,
        cache: Path | None,
        rate_folder: Path | None,
        sleep: Sleep = time.sleep,
    ) -> None:
        self._agent = user_agent.strip()
        if not self._agent or not self._agent.isascii() or not self._agent.isprintable():
            raise ValueError(
                f"user_agent {user_agent!r}: the weather service wants printable ASCII that names"
                " the application and a contact, e.g. '(my-app, me@example.org)'"
            )
        self._origin = origin(base_url)
        self._base_url = base_url.rstrip("/") + "/"
        self._timeout = (min(timeout, CONNECT_SECONDS), timeout)
        file = rate_folder / f"{self._origin[1]}-{self._origin[2]}.rate" if rate_folder else None
        self._limit = RateLimit(requests_per_second, file=file, sleep=sleep)
        self._cache = AnswerCache(cache) if cache else None
        self._patient = retrying(max_attempts, max_wait, sleep, self._retrying)
        self._hasty = retrying(
            max_attempts, max_wait, sleep, self._retrying, broken_attempts=HASTY_ATTEMPTS
        )
        self._lock = threading.Lock()
        self._tally = Tally()
        self._last_id: str | None = None
        self._session, self._owner = self._connect(), os.getpid()

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def url(self, path: str, params: dict[str, str]) -> str:
        """Make the URL of a path of the service."""
        request = requests.Request("GET", urljoin(self._base_url, path), params=params)
        return str(request.prepare().url)

    def follow(self, url: str, link: str, what: str) -> str:
        """Resolve a link of an answer.

        Raises:
            Refused: it leads to another origin.
        """
        try:
            following = urljoin(url, link)
            if origin(following) == self._origin:
                return following
        except ValueError:  # no URL at all
            following = link
        raise Refused(f"its {what} {following} is on another origin; not followed", url=url)

    def get(self, url: str, *, hasty: bool = False) -> dict[str, Any]:
        """Get a feature collection; `hasty` tries what is answered with 500 no more than twice.

        Raises:
            WeatherError: the service failed, for good or too often.
        """
        attempts = 0

        def attempt() -> dict[str, Any]:
            nonlocal attempts
            attempts += 1
            return self._attempt(url)

        try:
            return (self._hasty if hasty else self._patient).copy()(attempt)
        except WeatherError as error:
            self._count(given_up=1)
            error.add_note(f"given up after {attempts} attempt(s)")
            # A station without an entry is no trouble: whoever asked for it tells.
            level = logging.DEBUG if isinstance(error, NotFound) else logging.WARNING
            log.log(level, "%s; given up after %d attempt(s)", error, attempts)
            raise

    @contextmanager
    def batch(self, label: str) -> Iterator[None]:
        """Log one line of what the requests made inside came to, at INFO.

        Threads that share the client are counted together.
        """
        began, before = time.monotonic(), self._tally
        try:
            yield
        finally:
            made = self._tally.since(before)
            quoted = f"; last correlation id {self._last_id}" if self._last_id else ""
            log.info(
                "%s: %d requests (%d not modified, %d tried again, %d given up), %.1f MB in %.1f s,"
                " %.1f s of them waiting%s",
                label,
                made.requests,
                made.not_modified,
                made.retried,
                made.given_up,
                made.body_bytes / 1e6,
                time.monotonic() - began,
                made.waited,
                quoted,
            )

    def _attempt(self, url: str) -> dict[str, Any]:
        kept = self._cache.get(url) if self._cache else None
        response = self._ask(url, kept)
        if kept and response.status_code == requests.codes.not_modified:
            self._count(not_modified=1)
            body: dict[str, Any] = json.loads(kept.body)
            return body
        if response.status_code != requests.codes.ok:
            raise failure(url, response)
        body = collection(url, response)
        if self._cache:
            self._cache.put(url, response.headers, response.content)
        return body

    def _ask(self, url: str, kept: Kept | None) -> requests.Response:
        """Send the request, and again where the service says it moved within itself."""
        target = url
        for _ in range(MAX_REDIRECTS + 1):
            waited = self._limit.take()
            self._count(requests=1, waited=waited)
            response = self._send(target, kept.conditions() if kept else {})
            if response.status_code not in _REDIRECTS or "Location" not in response.headers:
                return response
            target = self.follow(target, response.headers["Location"], "redirect")
        raise Refused(f"more than {MAX_REDIRECTS} redirects", url=url)

    def _send(self, url: str, headers: dict[str, str]) -> requests.Response:
        if self._owner != os.getpid():  # forked: two processes cannot talk on one connection
            self._session, self._owner = self._connect(), os.getpid()
        try:
            response = self._session.get(
                url, headers=headers, timeout=self._timeout, allow_redirects=False
            )
        except requests.RequestException as error:
            raise Unreachable(f"{type(error).__name__}: {error}", url=url) from error
        except ValueError as error:  # of the library, which looks at where a redirect leads
            raise Refused(f"it redirects to what is no URL: {error}", url=url) from error
        self._last_id = correlation_id(response)
        self._count(body_bytes=len(response.content))
        log.debug("%s: %d, correlation id %s", url, response.status_code, self._last_id)
        return response

    def _connect(self) -> requests.Session:
        session = requests.Session()
        session.headers.update({"User-Agent": self._agent, "Accept": MEDIA_TYPE})
        # A proxy of the environment cannot reach a server on this machine's loopback.
        session.trust_env = not _is_loopback(self._base_url)
        return session

    def _retrying(self, seconds: float) -> None:
        self._count(retried=1, waited=seconds)

    def _count(self, **gained: float) -> None:
        with self._lock:
            sums = {name: getattr(self._tally, name) + more for name, more in gained.items()}
            self._tally = replace(self._tally, **sums)


def origin(url: str) -> tuple[str, str, int]:
    """Return scheme, host and port of an http(s) URL.

    Raises:
        ValueError: it is something else.
    """
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
