"""A least-recently-used cache, bounded by bytes."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class LRU(Generic[K, V]):
    """Values by key, each with a cost in bytes. Thread-safe; counters may be read at any time."""

    def __init__(self, limit_bytes: int, cost: Callable[[V], int]) -> None:
        self.limit_bytes = limit_bytes
        self.used_bytes = 0
        """The sum of the estimated costs."""
        self.hits = 0
        self.misses = 0
        self.evictions = 0
        self._cost = cost
        self._guard = threading.Lock()
        self._values: OrderedDict[K, tuple[V, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._values)

    def __contains__(self, key: K) -> bool:
        """Return whether a value is cached, without counting a hit or a miss."""
        return key in self._values

    def get(self, key: K) -> V | None:
        """Return a cached value, or None."""
        with self._guard:
            found = self._values.get(key)
            if found is None:
                self.misses += 1
                return None
            self.hits += 1
            self._values.move_to_end(key)
            return found[0]

    def put(self, key: K, value: V) -> None:
        """Cache a value, and evict the least recently used ones over the limit."""
        cost = self._cost(value)
        with self._guard:
            self._remove(key)
            if cost > self.limit_bytes:
                return
            self._values[key] = value, cost
            self.used_bytes += cost
            while self.used_bytes > self.limit_bytes:
                self._remove(next(iter(self._values)))
                self.evictions += 1

    def forget(self, *keys: K) -> None:
        """Evict values that will not be requested again."""
        with self._guard:
            for key in keys:
                self._remove(key)

    def _remove(self, key: K) -> None:
        _, cost = self._values.pop(key, (None, 0))
        self.used_bytes -= cost
