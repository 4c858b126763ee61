"""Counting over threads and processes, and what Prometheus reads of it."""

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from falcon_catalog.telemetry.families import written
from falcon_catalog.telemetry.meters import Meters

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def read(meters: Meters) -> Samples:
    """Return what Prometheus's own parser sees: name and labels, with their value."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(meters.text())
        for sample in family.samples
    }


def requests_of(samples: Samples, operation: str, status: int) -> float:
    labels = (("operation", operation), ("status", str(status)))
    return samples["falcon_catalog_requests_total", labels]


def in_a_child(work: Callable[[], None]) -> int:
    """Run ``work`` in a forked process; return its id once it has ended."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    return child


def test_the_text_is_prometheus_s_with_every_metric_once() -> None:
    meters = Meters(["loadTable"])
    meters.answered("loadTable", 200, 0.002, 10)
    families = list(text_string_to_metric_families(meters.text()))
    told = [(family.name, family.type, family.documentation) for family in families]
    # The parser calls a counter by the name that OpenMetrics gives it.
    assert told == [
        (about.name.removesuffix("_total"), about.kind, about.help)
        for about in meters.descriptions()
    ]
    assert meters.text().endswith("\n")


def test_an_answer_counts_in_all_its_metrics() -> None:
    meters = Meters(["loadTable"])
    meters.answered("loadTable", 200, 0.002, 10)
    meters.answered("loadTable", 200, 100.0, 5)
    samples = read(meters)
    assert requests_of(samples, "loadTable", 200) == 2
    name, of = "falcon_catalog_request_seconds", ("operation", "loadTable")
    buckets = {
        dict(labels)["le"]: value
        for (sample, labels), value in samples.items()
        if sample == f"{name}_bucket"
    }
    assert (buckets["0.001"], buckets["0.0025"], buckets["30"], buckets["+Inf"]) == (0, 1, 1, 2)
    assert list(buckets.values()) == sorted(buckets.values())
    assert samples[f"{name}_count", (of,)] == 2
    assert samples[f"{name}_sum", (of,)] == pytest.approx(100.002)
    assert samples["falcon_catalog_response_bytes_total", (of,)] == 15


def test_a_bound_is_in_its_own_bucket() -> None:
    meters = Meters()
    meters.commit.observe(0.001)
    samples = read(meters)
    bucket = "falcon_catalog_store_commit_seconds_bucket"
    assert samples[bucket, (("le", "0.001"),)] == 1
    assert samples[bucket, (("le", "0.0005"),)] == 0


def test_what_is_not_known_is_other() -> None:
    meters = Meters(["loadTable"])
    meters.answered("noSuchThing", 299, 0.1, 0)
    meters.answered(None, 404, 0.1, 0)
    samples = read(meters)
    labels = (("operation", "other"), ("status", "other"))
    assert samples["falcon_catalog_requests_total", labels] == 1
    assert requests_of(samples, "other", 404) == 1


@pytest.mark.parametrize(
    ("status", "counted"),
    [(200, "commits"), (204, "commits"), (409, "commit_conflicts"), (500, "")],
)
def test_commits_and_conflicts(status: int, counted: str) -> None:
    meters = Meters(["updateTable", "loadTable"])
    meters.answered("updateTable", status, 0.1, 0)
    meters.answered("loadTable", status, 0.1, 0)
    labels = (("operation", "updateTable"),)
    for name in ("commits", "commit_conflicts"):
        found = read(meters).get((f"falcon_catalog_{name}_total", labels), 0)
        assert found == (name == counted)


def test_no_count_is_lost_between_threads() -> None:
    meters = Meters(["loadTable"])

    def work() -> None:
        for _ in range(5000):
            meters.answered("loadTable", 200, 0.001, 1)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert requests_of(read(meters), "loadTable", 200) == 40_000


def test_processes_are_added_up_and_a_successor_goes_on() -> None:
    meters = Meters(["loadTable"], processes=2)

    def work() -> None:
        meters.take(1)
        meters.in_flight.add()
        meters.answered("loadTable", 200, 0.001, 1)

    meters.answered("loadTable", 200, 0.001, 1)
    first = in_a_child(work)
    assert requests_of(read(meters), "loadTable", 200) == 2
    assert read(meters)["falcon_catalog_requests_in_flight", ()] == 1
    second = in_a_child(work)
    samples = read(meters)
    assert requests_of(samples, "loadTable", 200) == 3  # the row's counters went on
    assert samples["falcon_catalog_requests_in_flight", ()] == 1  # what died is not in flight
    assert samples["falcon_catalog_processes", ()] == 2
    assert first != second
    # The children are gone, and with them their part of what the system tells.
    assert samples["process_resident_memory_bytes", ()] > 1_000_000


def test_what_is_polled_is_read_when_it_is_told() -> None:
    meters = Meters()
    used, hits = [7.0], [5.0]
    meters.poll(meters.cache_bytes, lambda: used[0])
    meters.poll(meters.cache_hits, lambda: hits[0])
    for used[0], hits[0] in ((7, 5), (9, 6), (2, 6)):
        samples = read(meters)
        assert samples["falcon_catalog_cache_bytes", ()] == used[0]
        assert samples["falcon_catalog_cache_hits_total", ()] == hits[0]


def test_a_polled_counter_goes_on_where_a_dead_process_left_it() -> None:
    meters = Meters(processes=2)

    def work() -> None:
        meters.take(1)
        meters.poll(meters.cache_hits, lambda: 3)
        meters.refresh()
        meters.refresh()

    for expected in (3, 6):
        in_a_child(work)
        assert read(meters)["falcon_catalog_cache_hits_total", ()] == expected


def test_a_timed_block_counts_also_when_it_fails() -> None:
    meters = Meters()
    with pytest.raises(OSError, match="full"), meters.sync.time():
        raise OSError("full")
    assert read(meters)["falcon_catalog_file_sync_seconds_count", ()] == 1


def test_the_process_is_told_as_it_is() -> None:
    samples = read(Meters())
    opened = len(list(Path("/proc/self/fd").iterdir()))
    assert abs(samples["process_open_fds", ()] - opened) <= 2
    assert samples["process_cpu_seconds_total", ()] > 0
    assert 1_500_000_000 < samples["process_start_time_seconds", ()] < 5_000_000_000


def test_numbers_are_written_without_loss() -> None:
    assert [written(v) for v in (3.0, 0.1, 1e15, float("inf"))] == [
        "3",
        "0.1",
        "1000000000000000",
        "+Inf",
    ]
