"""Cache of manifests, which are read once and planned over many times.

A manifest never changes: writers give each its own path. The key includes the length from the
manifest list, so that a file of another length is another manifest.
"""

import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from falcon_catalog.catalog.lru import LRU

if TYPE_CHECKING:
    from falcon_catalog.catalog.scan_planning.iceberg import Entries

_LEAST_COST = 4096
_SAMPLES = 8


class Key(NamedTuple):
    """The key of a manifest."""

    path: str
    length: int
    """Of the file, in bytes."""


class ManifestCache(LRU[Key, "Entries"]):
    """The manifests used last."""

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(limit_bytes, _cost)


def _cost(entries: "Entries") -> int:
    """Return an estimate of the entries' memory in bytes, from a sample."""
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
