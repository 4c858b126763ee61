"""Thread-safe rate limit by key (generic cell rate algorithm)."""

import threading
import time
from collections.abc import Callable

_MOST_REMEMBERED = 10_000


class RateLimit:
    """How often something may happen for each key: a burst, and then at a rate."""

    def __init__(
        self, burst: int, per_second: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._burst, self._per_second, self._clock = burst, per_second, clock
        self._guard = threading.Lock()
        self._paid_until: dict[str, float] = {}

    def wait(self, *keys: str) -> float:
        """Return the seconds until it may happen again; 0 if it may already."""
        with self._guard:
            latest = max(self._paid_until.get(key, 0.0) for key in keys)
        return max(0.0, latest - self._clock() - (self._burst - 1) / self._per_second)

    def add(self, *keys: str) -> None:
        """Count that it happened."""
        now = self._clock()
        with self._guard:
            if len(self._paid_until) > _MOST_REMEMBERED:
                living = {key: until for key, until in self._paid_until.items() if until > now}
                self._paid_until = living if len(living) < _MOST_REMEMBERED else {}
            for key in keys:
                self._paid_until[key] = (
                    max(now, self._paid_until.get(key, now)) + 1 / self._per_second
                )
