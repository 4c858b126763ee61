"""The retry policy: which errors are retried, how often, and after what wait."""

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus

from tenacity import RetryCallState, Retrying, retry_if_exception, wait_random_exponential

from jobs.nws.errors import WeatherError

log = logging.getLogger("jobs.nws")

Sleep = Callable[[float], None]

# The service says its limit clears "typically within 5 seconds".
THROTTLE_SECONDS = 5.0
_BACKOFF = wait_random_exponential(multiplier=2, min=1, max=60)


def retrying(
    max_attempts: int,
    max_wait: float,
    sleep: Sleep,
    before_wait: Callable[[float], None] = lambda _: None,
    *,
    broken_attempts: int | None = None,
) -> Retrying:
    """Return the policy for transient errors.

    A `Retry-After` beyond what is left of `max_wait` ends the attempts at once.

    Args:
        max_attempts: limit of attempts.
        max_wait: limit of all waits together, seconds.
        sleep: waits so many seconds.
        before_wait: called with each wait, seconds.
        broken_attempts: limit of attempts that are answered with 500.
    """

    def enough(state: RetryCallState) -> bool:
        spent = state.idle_for + state.upcoming_sleep
        error, most = _error(state), max_attempts
        if broken_attempts and error and error.status == HTTPStatus.INTERNAL_SERVER_ERROR:
            most = min(most, broken_attempts)
        return state.attempt_number >= most or spent > max_wait

    def before_sleep(state: RetryCallState) -> None:
        seconds = state.upcoming_sleep
        log.warning("%s; attempt %d, next in %.1f s", _error(state), state.attempt_number, seconds)
        before_wait(seconds)

    return Retrying(
        retry=retry_if_exception(lambda error: isinstance(error, WeatherError) and error.transient),
        wait=_wait,
        stop=enough,
        before_sleep=before_sleep,
        sleep=sleep,
        reraise=True,
    )


def retry_after(value: str | None, *, now: datetime | None = None) -> float | None:
    """Return the seconds of a Retry-After header (a number or HTTP date); None if unreadable."""
    if not value:
        return None
    if value.strip().isdecimal():
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - (now or datetime.now(UTC))).total_seconds())


def _error(state: RetryCallState) -> WeatherError | None:
    error = state.outcome.exception() if state.outcome else None
    return error if isinstance(error, WeatherError) else None


def _wait(state: RetryCallState) -> float:
    backoff = _BACKOFF(state)
    error = _error(state)
    if error is None:
        return backoff
    if error.retry_after is not None:
        return max(error.retry_after, backoff)
    return THROTTLE_SECONDS + backoff if error.throttled else backoff
