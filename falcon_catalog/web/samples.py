"""What this process has done in each minute of the last hour, from its metrics."""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from falcon_catalog.metrics import Metrics, Totals

MINUTES = 60
_SECONDS = 60.0
_SHORTEST_SECONDS = 1.0
_HIGH = 0.95


@dataclass(frozen=True, slots=True)
class Minute:
    """A minute, or what has passed of it."""

    at: float
    """Its end, in seconds since 1970-01-01 UTC."""
    requests: float
    """Each second, as ``errors`` and ``commits``."""
    errors: float
    commits: float
    latency: float | None
    """Milliseconds within which 95 of 100 requests were answered; None without any."""


class Samples:
    """Totals at the end of each minute. Taken once somebody has opened a page that shows them."""

    def __init__(
        self,
        metrics: Metrics,
        closing: threading.Event,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Take samples of some metrics until ``closing`` is set."""
        self._metrics, self._closing, self._clock = metrics, closing, clock
        self._guard = threading.Lock()
        self._thread: threading.Thread | None = None
        self._taken: deque[tuple[float, Totals]] = deque(maxlen=MINUTES + 1)

    def start(self) -> None:
        """Take samples from now on."""
        with self._guard:
            if self._thread is None:
                self.take()
                self._thread = threading.Thread(target=self._run, name="samples", daemon=True)
                self._thread.start()

    def take(self) -> None:
        """Take a sample now."""
        self._taken.append((self._clock(), self._metrics.totals()))

    def minutes(self) -> list[Minute]:
        """Return the minutes, the present one last."""
        taken = [*self._taken, (self._clock(), self._metrics.totals())]
        return [
            _minute(before, after)
            for before, after in pairwise(taken)
            if after[0] - before[0] >= _SHORTEST_SECONDS
        ][-MINUTES:]

    def _run(self) -> None:
        while not self._closing.wait(_SECONDS):
            self.take()


def _minute(before: tuple[float, Totals], after: tuple[float, Totals]) -> Minute:
    seconds, first, last = after[0] - before[0], before[1], after[1]
    return Minute(
        after[0],
        (last.requests - first.requests) / seconds,
        (last.errors - first.errors) / seconds,
        (last.commits - first.commits) / seconds,
        _latency(first, last),
    )


def _latency(first: Totals, last: Totals) -> float | None:
    """Return the bound of the bucket that 95 of 100 requests are in, in milliseconds."""
    earlier = dict(first.buckets)
    counts = [(bound, count - earlier.get(bound, 0.0)) for bound, count in last.buckets]
    if not counts or not counts[-1][1]:
        return None
    wanted, bounds = counts[-1][1] * _HIGH, [bound for bound, _ in counts[:-1]]
    found = next((bound for bound, count in counts if count >= wanted), bounds[-1])
    return min(found, bounds[-1]) * 1000
