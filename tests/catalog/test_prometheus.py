"""What is counted, and what Prometheus reads of it."""

import threading
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from falcon_catalog.metrics import Metrics

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def read(metrics: Metrics) -> Samples:
    """Return what Prometheus's own parser sees: name and labels, with their value."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(metrics.text().decode())
        for sample in family.samples
    }


def requests_of(samples: Samples, operation: str, status: int) -> float:
    labels = (("operation", operation), ("status", str(status)))
    return samples["falcon_catalog_requests_total", labels]


def test_every_metric_is_there_once_and_nothing_else() -> None:
    metrics = Metrics()
    metrics.answered("loadTable", 200, 0.002, 10)
    families = list(text_string_to_metric_families(metrics.text().decode()))
    names = [family.name for family in families]
    assert len(names) == len(set(names)) > 30
    assert all(name.startswith(("falcon_catalog_", "process_")) for name in names)
    assert not any(sample.name.endswith("_created") for f in families for sample in f.samples)


def test_an_answer_counts_in_all_its_metrics() -> None:
    metrics = Metrics()
    metrics.answered("loadTable", 200, 0.002, 10)
    metrics.answered("loadTable", 200, 100.0, 5)
    samples = read(metrics)
    assert requests_of(samples, "loadTable", 200) == 2
    name, of = "falcon_catalog_request_seconds", ("operation", "loadTable")
    buckets = {
        dict(labels)["le"]: value
        for (sample, labels), value in samples.items()
        if sample == f"{name}_bucket"
    }
    assert (buckets["0.001"], buckets["0.0025"], buckets["30.0"], buckets["+Inf"]) == (0, 1, 1, 2)
    assert list(buckets.values()) == sorted(buckets.values())
    assert samples[f"{name}_count", (of,)] == 2
    assert samples[f"{name}_sum", (of,)] == pytest.approx(100.002)
    assert samples["falcon_catalog_response_bytes_total", (of,)] == 15


def test_a_bound_is_in_its_own_bucket() -> None:
    metrics = Metrics()
    metrics.commit.observe(0.001)
    samples = read(metrics)
    bucket = "falcon_catalog_store_commit_seconds_bucket"
    assert samples[bucket, (("le", "0.001"),)] == 1
    assert samples[bucket, (("le", "0.0005"),)] == 0


def test_what_no_route_fits_is_other() -> None:
    metrics = Metrics()
    metrics.answered(None, 404, 0.1, 0)
    assert requests_of(read(metrics), "other", 404) == 1


@pytest.mark.parametrize(
    ("status", "counted"),
    [(200, "commits"), (204, "commits"), (409, "commit_conflicts"), (500, "")],
)
def test_commits_and_conflicts(status: int, counted: str) -> None:
    metrics = Metrics()
    metrics.answered("updateTable", status, 0.1, 0)
    metrics.answered("loadTable", status, 0.1, 0)
    labels = (("operation", "updateTable"),)
    for name in ("commits", "commit_conflicts"):
        found = read(metrics).get((f"falcon_catalog_{name}_total", labels), 0)
        assert found == (name == counted)


def test_no_count_is_lost_between_threads() -> None:
    metrics = Metrics()

    def work() -> None:
        for _ in range(5000):
            metrics.answered("loadTable", 200, 0.001, 1)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert requests_of(read(metrics), "loadTable", 200) == 40_000


def test_what_is_polled_is_read_when_it_is_told() -> None:
    metrics = Metrics()
    used, hits = [7.0], [5.0]
    metrics.cache_bytes.poll(lambda: used[0])
    metrics.cache_hits.poll(lambda: hits[0])
    for used[0], hits[0] in ((7, 5), (9, 6), (2, 6)):
        samples = read(metrics)
        assert samples["falcon_catalog_cache_bytes", ()] == used[0]
        assert samples["falcon_catalog_cache_hits_total", ()] == hits[0]


def test_a_timed_block_counts_also_when_it_fails() -> None:
    metrics = Metrics()
    with pytest.raises(OSError, match="full"), metrics.sync.time():
        raise OSError("full")
    assert read(metrics)["falcon_catalog_file_sync_seconds_count", ()] == 1


def test_the_process_is_told_as_it_is() -> None:
    samples = read(Metrics())
    opened = len(list(Path("/proc/self/fd").iterdir()))
    assert abs(samples["process_open_fds", ()] - opened) <= 2
    assert samples["process_cpu_seconds_total", ()] > 0
    assert 1_500_000_000 < samples["process_start_time_seconds", ()] < 5_000_000_000
