"""Metrics that belong together: made, polled, and written in Prometheus's text format."""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from falcon_catalog import __version__
from falcon_catalog.telemetry import process
from falcon_catalog.telemetry.cells import Cells
from falcon_catalog.telemetry.families import (
    Description,
    Family,
    Histogram,
    Labels,
    Number,
    Seen,
    written,
)

_PREFIX = "falcon_catalog_"
_INFO = Description(f"{_PREFIX}info", "gauge", "1, labelled with the version.", ("version",))
_PROCESSES = Description(f"{_PREFIX}processes", "gauge", "Processes that serve requests.")

Series = Iterable[tuple[str, ...]]
Made = TypeVar("Made", Number, Histogram, Seen)


class Registry:
    """Metrics over the same cells."""

    def __init__(self) -> None:
        self._cells = Cells()
        self._families: list[Family] = []
        self._polled: list[Callable[[], None]] = []
        self._refreshing = threading.Lock()

    def open(self, processes: int) -> None:
        """Make room for what was added, for each process; nothing can be added after."""
        self._cells.open(processes)

    def take(self, row: int) -> None:
        """Count for one of several processes; what the one before it left unfinished is gone."""
        self._refreshing = threading.Lock()
        self._cells.take(row)
        for family in self._families:
            if family.about.kind == "gauge" and isinstance(family, Number):
                family.set(0)

    def counter(
        self, name: str, text: str, labels: tuple[str, ...] = (), series: Series = ((),)
    ) -> Number:
        """Add a counter."""
        about = Description(_PREFIX + name, "counter", text, labels)
        return self._added(Number(about, self._cells, series))

    def gauge(self, name: str, text: str) -> Number:
        """Add a gauge."""
        return self._added(Number(Description(_PREFIX + name, "gauge", text), self._cells))

    def seen(self, name: str, text: str, labels: tuple[str, ...] = ()) -> Seen:
        """Add a gauge of what all processes share."""
        return self._added(Seen(Description(_PREFIX + name, "gauge", text, labels)))

    def histogram(
        self,
        name: str,
        text: str,
        bounds: Sequence[float],
        labels: tuple[str, ...] = (),
        series: Series = ((),),
    ) -> Histogram:
        """Add a histogram of seconds."""
        about = Description(_PREFIX + name, "histogram", text, labels)
        return self._added(Histogram(about, self._cells, bounds, series))

    def poll(self, metric: Number, value: Callable[[], float]) -> None:
        """Let a metric of this process follow ``value()`` whenever ``refresh`` is called.

        A counter grows by what the value has grown: it begins where a dead process left it.
        """
        if metric.about.kind == "gauge":
            self._polled.append(lambda: metric.set(value()))
            return
        last = 0.0

        def follow() -> None:
            nonlocal last
            now = value()
            metric.add(amount=now - last)
            last = now

        self._polled.append(follow)

    def refresh(self) -> None:
        """Read what is polled; called each second, so that another process can tell it, too."""
        with self._refreshing:
            for follow in self._polled:
                follow()

    def descriptions(self) -> list[Description]:
        """Return what is told, in the order in which it is told."""
        return [*(family.about for family in self._families), _INFO, _PROCESSES, *process.ABOUT]

    def text(self) -> str:
        """Return all metrics in Prometheus's text format, version 0.0.4."""
        self.refresh()
        return "".join(f"{line}\n" for line in self._lines())

    def _lines(self) -> Iterator[str]:
        for family in self._families:
            yield from _head(family.about)
            for suffix, labels, value in family.samples():
                yield _sample(family.about.name + suffix, labels, value)
        pids = self._cells.pids()
        facts: list[tuple[Description, Labels, float]] = [
            (_INFO, (("version", __version__),), 1),
            (_PROCESSES, (), len(pids)),
            *((about, (), value) for about, value in process.values(pids)),
        ]
        for about, labels, value in facts:
            yield from _head(about)
            yield _sample(about.name, labels, value)

    def _added(self, family: Made) -> Made:
        self._families.append(family)
        return family


def _head(about: Description) -> tuple[str, str]:
    return f"# HELP {about.name} {about.help}", f"# TYPE {about.name} {about.kind}"


def _sample(name: str, labels: Labels, value: float) -> str:
    # Labels' values are words of ours, or warehouses' names from the settings, which have neither
    # quotation marks nor backslashes: nothing needs escaping.
    pairs = ",".join(f'{label}="{of}"' for label, of in labels)
    return f"{name}{{{pairs}}} {written(value)}" if pairs else f"{name} {written(value)}"
