"""Manifests kept in memory: opened once, planned over many times.

A manifest never changes: writers give each a path of its own. Its length, which the manifest list
tells, is part of what it is known by, so that a file of another length is another manifest.
"""

import sys
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from falcon_catalog.catalog.lru import LRU
from falcon_catalog.catalog.scan_planning.iceberg import Entries

_LEAST_COST = 4096
_SAMPLES = 8


class Key(NamedTuple):
    """Which manifest."""

    path: str
    length: int
    """Of the file, in bytes."""


class ManifestCache(LRU[Key, Entries]):
    """The manifests opened last."""

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(limit_bytes, _cost)


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
