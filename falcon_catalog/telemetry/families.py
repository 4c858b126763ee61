"""Counters, gauges and histograms over shared cells. Source: Prometheus's data model."""

import bisect
import contextlib
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from falcon_catalog.telemetry.cells import Cells

Labels = tuple[tuple[str, str], ...]
"""Names of labels, each with its value."""
Sample = tuple[str, Labels, float]
"""What follows a metric's name, labels and a value."""


@dataclass(frozen=True, slots=True)
class Description:
    """What a metric is called, and what it means."""

    name: str
    kind: str
    """counter, gauge or histogram"""
    help: str
    labels: tuple[str, ...] = ()


class Number:
    """A counter, which only grows, or a gauge."""

    def __init__(
        self, about: Description, cells: Cells, series: Iterable[tuple[str, ...]] = ((),)
    ) -> None:
        self.about = about
        self._cells = cells
        self._cell = {values: cells.reserve(1) for values in series}

    def add(self, *labels: str, amount: float = 1) -> None:
        """Add to a series."""
        cell = self._cell[labels]
        with self._cells.lock:
            self._cells.own[cell] += amount

    def set(self, value: float) -> None:
        """Set this process's part of a metric without labels."""
        self._cells.own[self._cell[()]] = value

    def samples(self) -> Iterator[Sample]:
        """Yield each series; one with labels is there once it has counted something."""
        for values, cell in self._cell.items():
            value = self._cells.total(cell)
            if value or not values:
                yield "", tuple(zip(self.about.labels, values, strict=True)), value


class Histogram:
    """How often something took how long: cells for the sum, for each bound, and for beyond."""

    def __init__(
        self,
        about: Description,
        cells: Cells,
        bounds: Sequence[float],
        series: Iterable[tuple[str, ...]] = ((),),
    ) -> None:
        self.about = about
        self._cells = cells
        self._bounds = bounds
        self._cell = {values: cells.reserve(len(bounds) + 2) for values in series}

    def observe(self, seconds: float, *labels: str) -> None:
        """Count one more."""
        cell = self._cell[labels]
        bucket = cell + 1 + bisect.bisect_left(self._bounds, seconds)
        with self._cells.lock:
            self._cells.own[cell] += seconds
            self._cells.own[bucket] += 1

    @contextlib.contextmanager
    def time(self) -> Iterator[None]:
        """Count how long the block takes, also when it fails."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.observe(time.perf_counter() - started)

    def samples(self) -> Iterator[Sample]:
        """Yield the buckets, cumulated as Prometheus has them, the sum and the count."""
        for values, cell in self._cell.items():
            labels = tuple(zip(self.about.labels, values, strict=True))
            counts = [self._cells.total(cell + 1 + n) for n in range(len(self._bounds) + 1)]
            if labels and not any(counts):
                continue
            count = 0.0
            for bound, more in zip([*self._bounds, math.inf], counts, strict=True):
                count += more
                yield "_bucket", (*labels, ("le", written(bound))), count
            yield "_sum", labels, self._cells.total(cell)
            yield "_count", labels, count


class Seen:
    """A gauge of something that all processes share: looked at by the one that is asked."""

    def __init__(self, about: Description) -> None:
        self.about = about
        self._look: Callable[[], Iterable[tuple[tuple[str, ...], float]]] = tuple

    def follow(self, look: Callable[[], Iterable[tuple[tuple[str, ...], float]]]) -> None:
        """Let ``look`` return the values of the labels, each with a number, whenever it is told."""
        self._look = look

    def samples(self) -> Iterator[Sample]:
        """Yield what is seen now; what cannot be seen is not there."""
        for values, value in self._look():
            yield "", tuple(zip(self.about.labels, values, strict=True)), value


Family = Number | Histogram | Seen


def written(value: float) -> str:
    """Write a number as Prometheus reads it."""
    if math.isinf(value):
        return "+Inf"
    return str(int(value)) if float(value).is_integer() else repr(value)
