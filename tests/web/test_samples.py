"""The minutes of the last hour, from the counters of the process."""

import threading

from falcon_catalog.metrics import Metrics
from falcon_catalog.web.samples import MINUTES, Samples


def test_minutes_are_the_differences_of_totals() -> None:
    metrics, now = Metrics(), [1000.0]
    samples = Samples(metrics, threading.Event(), lambda: now[0])
    for _ in range(5):
        metrics.answered("loadTable", 200, 30.0, 1)  # before the first sample
    samples.take()
    for _ in range(60):
        metrics.answered("updateTable", 200, 0.002, 1)
    metrics.answered("updateTable", 409, 0.002, 1)
    metrics.answered(None, 404, 0.002, 1)
    now[0] += 60
    samples.take()
    now[0] += 10
    first, second = samples.minutes()
    assert (first.at, first.requests, first.commits) == (1060.0, 62 / 60, 1.0)
    assert first.errors == 2 / 60
    assert first.latency == 2.5
    assert (second.requests, second.errors, second.latency) == (0.0, 0.0, None)


def test_an_hour_is_kept() -> None:
    metrics, now = Metrics(), [0.0]
    samples = Samples(metrics, threading.Event(), lambda: now[0])
    for _ in range(3 * MINUTES):
        samples.take()
        now[0] += 60
    assert len(samples.minutes()) == MINUTES


def test_a_thread_takes_them_until_the_server_closes() -> None:
    closing = threading.Event()
    samples = Samples(Metrics(), closing)
    for _ in range(2):
        samples.start()
    threads = [each for each in threading.enumerate() if each.name == "samples"]
    assert len(threads) == 1
    closing.set()
    threads[0].join(30)
    assert not threads[0].is_alive()
