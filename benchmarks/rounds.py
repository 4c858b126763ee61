"""Rounds of measurements, and the lines that they come to."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Sample:
    """What one server did in one round."""

    answers: int
    seconds: float
    cpu_seconds: float
    latencies: Sequence[float] = ()
    """Seconds, where each answer's were measured."""

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.answers / self.seconds

    @property
    def cpu_us(self) -> float:
        """The server's processor time for an answer, in µs."""
        return self.cpu_seconds / self.answers * 1e6

    @property
    def p50_ms(self) -> float:
        """The median answer's time."""
        return statistics.median(self.latencies) * 1e3


def interleave(rounds: int, cells: Mapping[str, Callable[[], T]]) -> dict[str, list[T]]:
    """Measure the cells by turns, A B C A B C …, so that a slow moment strikes all of them."""
    found: dict[str, list[T]] = {name: [] for name in cells}
    for _ in range(rounds):
        for name, measure in cells.items():
            found[name].append(measure())
    return found


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the report."""

    goal: str
    """Its number, or a name where no bound was set."""
    text: str
    values: tuple[float, ...] = ()
    """One of each round; none if it could not be measured."""
    unit: str = "×"
    at_least: float | None = None
    at_most: float | None = None
    judged: Literal["median", "worst"] = "median"
    cpu_us: Mapping[str, float] = field(default_factory=dict)
    """Processor time for an answer, by server."""
    note: str = ""

    @property
    def measured(self) -> float | None:
        """What is held against the bound."""
        if not self.values:
            return None
        return max(self.values) if self.judged == "worst" else statistics.median(self.values)

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None where there is no bound or no value."""
        value = self.measured
        if value is None or (self.at_least is None and self.at_most is None):
            return None
        low = self.at_least is None or value >= self.at_least
        return low and (self.at_most is None or value <= self.at_most)


def quotients(over: Sequence[float], under: Sequence[float]) -> tuple[float, ...]:
    """Return the quotient of each round."""
    return tuple(one / other for one, other in zip(over, under, strict=True))


def cpu(**samples: Sequence[Sample]) -> dict[str, float]:
    """Return each server's processor time for an answer, in µs: it is told in steps of 10 ms."""
    return {
        name: sum(one.cpu_seconds for one in some) / sum(one.answers for one in some) * 1e6
        for name, some in samples.items()
    }
