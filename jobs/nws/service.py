"""Requests to the weather service, with timeouts and retries, and to no other origin."""

import ipaddress
import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self
from urllib.parse import urljoin, urlsplit

import requests
from requests.utils import get_environ_proxies

from jobs.nws.cache import CachingAdapter, was_revalidated
from jobs.nws.errors import NoConnection, NotFound, Refused, Unreachable, Unreadable, WeatherError
from jobs.nws.rate import RateLimit
from jobs.nws.reach import why_unreachable
from jobs.nws.responses import collection, correlation_id, failure
from jobs.nws.retry import Sleep, retrying

log = logging.getLogger("jobs.nws")

MEDIA_TYPE = "application/geo+json"
# The host that the service's own links name, whichever mirror or proxy answers for it.
API_HOST = "api.weather.gov"
# A server that is there takes a connection at once; its answer may take its time.
CONNECT_SECONDS = 10.0
# Before the first request: seconds to reach the service at all.
REACH_SECONDS = 5.0
MAX_REDIRECTS = 3
HASTY_ATTEMPTS = 2

_COUNTS = ("requests", "not_modified", "retried", "given_up", "body_bytes", "waited")
_PORTS = {"http": 80, "https": 443}
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


class Service:
    """The connections to one origin, with their rate limit, cache and retries.

    It may be shared by threads; the rate limit counts them all. Use it as a context manager, or
    call `close`. Transient failures (no response, cut responses, 429, the CDN's 403 page, 5xx) are
    retried up to `max_attempts` times and `max_wait` seconds of waiting.

    Args:
        base_url: of the service.
        user_agent: how the service may identify and reach you: (application, contact).
        requests_per_second: rate limit; a burst may have one second's worth of requests.
        timeout: seconds to wait for a response, and for each next part of it.
        max_attempts: tries of one request.
        max_wait: seconds to wait between the tries of one request, in all.
        cache: a folder for raw responses. What was requested within a day is requested again with
            If-Modified-Since and If-None-Match, and a 304 is answered from there. The folder stays
            below 256 MB; threads and processes may share it.
        rate_folder: a folder in which all clients of this machine that are given it share one
            rate limit for each host. Without it each client has its own.
        sleep: waits so many seconds.

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
        cache: Path | None = None,
        rate_folder: Path | None = None,
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
        self._folder = cache
        self._cache: CachingAdapter | None = None

        def count(seconds: float) -> None:
            self._count(retried=1, waited=seconds)

        self._patient = retrying(max_attempts, max_wait, sleep, count)
        self._hasty = retrying(max_attempts, max_wait, sleep, count, broken_attempts=HASTY_ATTEMPTS)
        self._lock = threading.Lock()
        self._counts = dict.fromkeys(_COUNTS, 0.0)
        self._last_id: str | None = None
        self._reached = False
        self._session, self._owner = self._connect(), os.getpid()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def url(self, path: str, params: dict[str, str]) -> str:
        """Return the URL of a path of the service."""
        request = requests.Request("GET", urljoin(self._base_url, path), params=params)
        return str(request.prepare().url)

    def follow(self, url: str, link: str, what: str) -> str:
        """Return the absolute URL of a link in a response.

        Raises:
            Refused: the link leads to another origin.
        """
        try:
            following = urljoin(url, link)
            if origin(following) == self._origin:
                return following
        except ValueError:  # no URL at all
            following = link
        raise Refused(f"its {what} {following} is on another origin; not followed", url=url)

    def next_page(self, url: str, link: str) -> str:
        """Return the absolute URL of a next page; a link to the API's own host leads to this one.

        Raises:
            Refused: the link leads to another origin.
        """
        try:
            parts = urlsplit(urljoin(url, link))
            if parts.hostname == API_HOST and origin(parts.geturl()) != self._origin:
                place = parts._replace(scheme="", netloc="").geturl()
                link = self._base_url + place.lstrip("/")
        except ValueError:  # no URL at all
            pass
        return self.follow(url, link, "next page")

    def get(self, url: str, *, hasty: bool = False) -> dict[str, Any]:
        """Return a feature collection; `hasty` tries a request that is answered with 500 twice.

        Raises:
            WeatherError: the service failed, for good or too often.
        """
        policy = (self._hasty if hasty else self._patient).copy()
        try:
            return policy(self._attempt, url)
        except WeatherError as error:
            self._count(given_up=1)
            attempts = policy.statistics["attempt_number"]
            error.add_note(f"given up after {attempts} attempt(s)")
            # A missing station is expected: the caller reports it.
            level = logging.DEBUG if isinstance(error, NotFound) else logging.WARNING
            log.log(level, "%s; given up after %d attempt(s)", error, attempts)
            raise

    @contextmanager
    def batch(self, label: str) -> Iterator[dict[str, float]]:
        """Count the requests made inside, of all threads together, and log them in one line.

        The line, at INFO, has their number, how many were answered "not modified", retried or given
        up, bytes, seconds, and the last correlation id, by which the service's operators find a
        request. Every retry and every failure is logged with its own. The counts are in the yielded
        dictionary once the block is left.
        """
        began, before = time.monotonic(), dict(self._counts)
        made: dict[str, float] = {}
        try:
            yield made
        finally:
            made |= {name: count - before[name] for name, count in self._counts.items()}
            made["seconds"], made["megabytes"] = time.monotonic() - began, made["body_bytes"] / 1e6
            quoted = f"; last correlation id {self._last_id}" if self._last_id else ""
            log.info(
                "%s: %d requests (%d not modified, %d tried again, %d given up), %.1f MB in %.1f s,"
                " %.1f s of them waiting%s",
                label,
                *(made[name] for name in _COUNTS[:4]),
                *(made[name] for name in ("megabytes", "seconds", "waited")),
                quoted,
            )

    def _attempt(self, url: str) -> dict[str, Any]:
        response = self._ask(url)
        if response.status_code != requests.codes.ok:
            raise failure(url, response)
        try:
            return collection(url, response)
        except Unreadable:
            if self._cache:  # or the next try would be told that nothing changed
                self._cache.forget(str(response.request.url))
            raise

    def _ask(self, url: str) -> requests.Response:
        """Send the request and follow redirects within the origin."""
        target = url
        for _ in range(MAX_REDIRECTS + 1):
            waited = self._limit.take()
            self._count(requests=1, waited=waited)
            response = self._send(target)
            if response.status_code not in _REDIRECTS or "Location" not in response.headers:
                return response
            target = self.follow(target, response.headers["Location"], "redirect")
        raise Refused(f"more than {MAX_REDIRECTS} redirects", url=url)

    def _require_network(self) -> None:
        """Raise an error, unless the service was reached before or is behind a proxy.

        Without a network each request would be tried for minutes, and fail in the same way.
        """
        if self._reached or (self._session.trust_env and get_environ_proxies(self._base_url)):
            return
        _, host, port = self._origin
        if reason := why_unreachable(host, port, REACH_SECONDS):
            raise NoConnection(
                f"{host} cannot be reached ({reason}): is there a network, and is [weather]"
                " base_url right? `make demo` needs no network",
                url=self._base_url,
            )
        self._reached = True

    def _send(self, url: str) -> requests.Response:
        if self._owner != os.getpid():  # forked: two processes cannot talk on one connection
            self._session, self._owner = self._connect(), os.getpid()
        self._require_network()
        try:
            response = self._session.get(url, timeout=self._timeout, allow_redirects=False)
        except requests.RequestException as error:
            raise Unreachable(f"{type(error).__name__}: {error}", url=url) from error
        except ValueError as error:  # of the library, which looks at where a redirect leads
            raise Refused(f"it redirects to what is no URL: {error}", url=url) from error
        self._last_id = correlation_id(response)
        if was_revalidated(response):
            self._count(not_modified=1)
        else:
            self._count(body_bytes=len(response.content))
        log.debug("%s: %d, correlation id %s", url, response.status_code, self._last_id)
        return response

    def _connect(self) -> requests.Session:
        session = requests.Session()
        session.headers.update({"User-Agent": self._agent, "Accept": MEDIA_TYPE})
        # A proxy of the environment cannot reach a server on this machine's loopback.
        session.trust_env = not _is_loopback(self._base_url)
        if self._folder:
            try:
                self._cache = CachingAdapter(self._folder)
            except OSError as error:
                log.warning("cannot keep responses in %s: %s", self._folder, error)
            else:
                session.mount(f"{self._origin[0]}://", self._cache)
        return session

    def _count(self, **gained: float) -> None:
        with self._lock:
            for name, more in gained.items():
                self._counts[name] += more


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
