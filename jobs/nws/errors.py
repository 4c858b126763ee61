"""Errors of requests to the weather service, with whether to retry them."""

from typing import Any, ClassVar


class WeatherError(Exception):
    """A request to the weather service failed.

    It has the `url`, the HTTP `status` (None without a response), the service's `correlation_id`,
    and `retry_after` in seconds if the response had one. `received` has the records of the pages
    before the one that failed.
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
        self.received: list[dict[str, Any]] = []


class BadRequest(WeatherError):  # noqa: N818 - the names are HTTP's
    """400: the request itself is wrong, for instance a parameter the service does not know."""


class NotFound(WeatherError):  # noqa: N818
    """404: no such station, or nothing recorded there."""


class Refused(WeatherError):  # noqa: N818
    """Another 4xx, or a link to another origin."""


class Unreachable(WeatherError):  # noqa: N818
    """No complete response: connection refused, timeout, or body cut short."""

    transient = True


class NoConnection(Unreachable):
    """The service was never reached: no network, no such host, or a wrong base URL."""

    transient = False


class Unreadable(WeatherError):  # noqa: N818
    """200 whose body is not a GeoJSON feature collection."""

    transient = True


class Unavailable(WeatherError):  # noqa: N818
    """5xx: the service, or something behind it, failed."""

    transient = True


class Throttled(WeatherError):  # noqa: N818
    """429, 503, 504, or the CDN's 403 page: too many requests, or a blocked User-Agent."""

    transient = True
    throttled = True
