"""Manifests kept in memory: opened once, planned over many times.

A manifest never changes: writers give each a path of its own. Its length, which the manifest list
tells, is part of what it is known by, so that a file of another length is another manifest.
"""

import sys
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from falcon_catalog.catalog.planning.iceberg import Entries

_LEAST_COST = 4096
_SAMPLES = 8


class Key(NamedTuple):
    """Which manifest."""

    path: str
    length: int
    """Of the file, in bytes."""


class Manifests:
    """The manifests opened last, within a bound of bytes. Safe to use from many threads.

    What it counts may be read at any time.
    """

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.used_bytes = 0
        """An estimate."""
        self.hits = 0
        self.misses = 0
        self._guard = threading.Lock()
        self._entries: OrderedDict[Key, tuple[Entries, int]] = OrderedDict()

    def get(self, key: Key) -> Entries | None:
        """Return a manifest if it is kept."""
        with self._guard:
            found = self._entries.get(key)
            if found is None:
                self.misses += 1
                return None
            self.hits += 1
            self._entries.move_to_end(key)
            return found[0]

    def put(self, key: Key, entries: Entries) -> None:
        """Keep a manifest, and let go of those that were not used for longest."""
        cost = _cost(entries)
        with self._guard:
            self._remove(key)
            if cost > self.limit_bytes:
                return
            self._entries[key] = entries, cost
            self.used_bytes += cost
            while self.used_bytes > self.limit_bytes:
                self._remove(next(iter(self._entries)))

    def _remove(self, key: Key) -> None:
        _, cost = self._entries.pop(key, (None, 0))
        self.used_bytes -= cost


def _cost(entries: Entries) -> int:
    """Estimate the bytes of memory that entries hold: some of them are like the rest."""
    rows = entries.rows
    step = max(1, len(rows) // _SAMPLES)
    samples = rows[::step]
    return _LEAST_COST + (sum(map(_size, samples)) * len(rows) // len(samples) if samples else 0)


def _size(value: Any) -> int:
    size = sys.getsizeof(value)
    parts: Iterable[Any] = ()
    if isinstance(value, Mapping):
        parts = value.values()
        size += 32 * len(value)  # keys are small numbers, most of them shared
    elif isinstance(value, tuple | list):
        parts = value
    return size + sum(map(_size, parts))
