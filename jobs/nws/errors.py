"""Errors of requests to the weather service, and whether a retry can help."""

from typing import ClassVar


class WeatherError(Exception):
    """A request to the weather service failed.

    Carries the `url`, the HTTP `status` (None when no answer came), the service's
    `correlation_id` to quote in a report, and `retry_after` in seconds where it was given.
    """

    transient: ClassVar[bool] = False
    throttled: ClassVar[bool] = False

    def __init__(
        self,
        detail: str,
        *,
        url: str,
        status: int | None = None,
        correlation_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        answered = "no answer" if status is None else f"HTTP {status}"
        quoted = f" (correlation id {correlation_id})" if correlation_id else ""
        super().__init__(f"{url}: {answered}: {detail}{quoted}")
        self.url = url
        self.status = status
        self.correlation_id = correlation_id
        self.retry_after = retry_after


class BadRequest(WeatherError):  # noqa: N818 - the names are HTTP's
    """400: the request itself is wrong, for instance a parameter the service does not know."""


class NotFound(WeatherError):  # noqa: N818
    """404: no such station, or nothing recorded there."""


class Refused(WeatherError):  # noqa: N818
    """Another 4xx, or an answer we must not follow."""


class Unreachable(WeatherError):  # noqa: N818
    """No complete answer came: refused, timed out, or cut short."""

    transient = True


class Unreadable(WeatherError):  # noqa: N818
    """A success whose body is not the GeoJSON it should be."""

    transient = True


class Unavailable(WeatherError):  # noqa: N818
    """5xx: the service, or something behind it, failed; mostly for a moment."""

    transient = True


class Throttled(WeatherError):  # noqa: N818
    """429, 503, 504, or the CDN's 403 page: slow down; or the User-Agent is blocked."""

    transient = True
    throttled = True
