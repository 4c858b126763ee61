"""The rate limit, by a clock that only moves when someone sleeps."""

from __future__ import annotations

import threading

import pytest

from jobs.weather_rate import RateLimit


class Clock:
    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def test_a_burst_then_an_even_pace() -> None:
    clock = Clock()
    limit = RateLimit(4, sleep=clock.sleep, clock=clock)
    for _ in range(10):
        limit.take()
    assert clock.slept == [0.25] * 6


def test_less_than_one_a_second() -> None:
    clock = Clock()
    limit = RateLimit(0.5, sleep=clock.sleep, clock=clock)
    limit.take()
    limit.take()
    assert clock.slept == [2.0]


def test_a_rest_gives_one_burst_and_no_more() -> None:
    clock = Clock()
    limit = RateLimit(2, sleep=clock.sleep, clock=clock)
    clock.now = 1000.0
    for _ in range(3):
        limit.take()
    assert clock.slept == [0.5]


def test_threads_share_it() -> None:
    slept: list[float] = []
    limit = RateLimit(5, sleep=slept.append, clock=lambda: 0.0)
    threads = [threading.Thread(target=limit.take) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(slept) == pytest.approx([turn / 5 for turn in range(1, 16)])


@pytest.mark.parametrize("rate", [0, -1, float("nan")])
def test_a_rate_is_above_nothing(rate: float) -> None:
    with pytest.raises(ValueError, match="above 0"):
        RateLimit(rate)
