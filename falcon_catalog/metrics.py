"""The metrics of one process, for Prometheus.

Labels have few values: an operation, a status, a warehouse of the settings. What clients name
(tables, namespaces, principals) is in the access log, never here.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4 as CONTENT_TYPE
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from falcon_catalog import __version__

__all__ = ["CONTENT_TYPE", "OTHER", "Metrics"]

OTHER = "other"
_NAMESPACE = "falcon_catalog"
_REFUSALS = ("saturated", "too large", "too slow", "malformed", "unauthorized")
_COMMITS = ("commitTransaction", "replaceView", "updateTable")
_ERRORS, _CONFLICT = 400, 409
# Seconds. A request served from memory takes less than a millisecond, a scan's plan many.
_OF_REQUESTS = (
    *(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1),
    *(0.25, 0.5, 1, 2.5, 5, 10, 30),
)
# A sync takes 0.1 ms on the best disks, 10 ms on turning ones, seconds where there is trouble.
_OF_SYNCS = (
    *(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01),
    *(0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
)

Samples = Iterable[tuple[tuple[str, ...], float]]
"""Values of labels, each with a number."""


class Observed(Collector):
    """A metric whose value something else keeps: it is read when it is scraped."""

    def __init__(
        self,
        kind: Callable[..., Metric],
        name: str,
        text: str,
        labels: Sequence[str] = (),
        *,
        registry: CollectorRegistry,
    ) -> None:
        self._new = partial(kind, f"{_NAMESPACE}_{name}", text, labels=labels)
        self._read: Callable[[], Samples] = tuple
        registry.register(self)

    def follow(self, read: Callable[[], Samples]) -> None:
        """Take the samples from ``read``; what it leaves out has no sample."""
        self._read = read

    def poll(self, value: Callable[[], float]) -> None:
        """Take the one sample from ``value``."""
        self._read = lambda: [((), value())]

    def collect(self) -> Iterator[Metric]:
        """Yield the metric as it is now."""
        family = self._new()
        for labels, value in self._read():
            family.add_metric(labels, value)  # type: ignore[attr-defined]
        yield family


class Totals(NamedTuple):
    """What one process has done since its start."""

    requests: float
    errors: float
    """Requests with a status of 400 or more."""
    commits: float
    buckets: tuple[tuple[float, float], ...]
    """Seconds, and the number of requests that took as long at most; the last one has all."""


class _Series(NamedTuple):
    """What a response adds to: bound once, because looking up labels takes longer than adding."""

    requests: Counter
    seconds: Histogram
    sent: Counter
    outcome: Counter | None


class Metrics:
    """All metrics, in the order in which they are exposed."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call] # each would be a second series
        self.registry = registry = CollectorRegistry()
        self._counter = partial(Counter, namespace=_NAMESPACE, registry=registry)
        self._gauge = partial(Gauge, namespace=_NAMESPACE, registry=registry)
        self._histogram = partial(Histogram, namespace=_NAMESPACE, registry=registry)
        self._observed_counter = partial(Observed, CounterMetricFamily, registry=registry)
        self._observed_gauge = partial(Observed, GaugeMetricFamily, registry=registry)
        self._series: dict[tuple[str | None, int], _Series] = {}
        self._of_requests()
        self._of_the_cache()
        self._of_the_store()
        self._gauge("info", "1, labelled with the version.", ["version"]).labels(__version__).set(1)
        ProcessCollector(registry=registry)

    def text(self) -> bytes:
        """Return all of them in Prometheus's text format, version 0.0.4."""
        return generate_latest(self.registry)

    def answered(self, operation: str | None, status: int, seconds: float, sent: int) -> None:
        """Count a response with a body of ``sent`` bytes."""
        key = operation, status
        series = self._series.get(key)
        if series is None:
            series = self._series[key] = self._bind(operation or OTHER, status)
        series.requests.inc()
        series.seconds.observe(seconds)
        series.sent.inc(sent)
        if series.outcome is not None:
            series.outcome.inc()

    def totals(self) -> Totals:
        """Return what was counted since the start, of all operations together."""
        requests = errors = 0.0
        for sample in _samples(self._requests, "_total"):
            requests += sample.value
            errors += sample.value if sample.labels["status"] >= str(_ERRORS) else 0
        buckets = dict.fromkeys((*_OF_REQUESTS, math.inf), 0.0)
        for sample in _samples(self._seconds, "_bucket"):
            buckets[float(sample.labels["le"])] += sample.value
        return Totals(
            requests,
            errors,
            sum(sample.value for sample in _samples(self._commits, "_total")),
            tuple(buckets.items()),
        )

    def _bind(self, operation: str, status: int) -> _Series:
        outcome = None
        if operation in _COMMITS and status < _ERRORS:
            outcome = self._commits.labels(operation)
        elif operation in _COMMITS and status == _CONFLICT:
            outcome = self._conflicts.labels(operation)
        return _Series(
            self._requests.labels(operation, str(status)),
            self._seconds.labels(operation),
            self._sent.labels(operation),
            outcome,
        )

    def _of_requests(self) -> None:
        self._requests = self._counter("requests", "Requests answered.", ["operation", "status"])
        self._seconds = self._histogram(
            "request_seconds", "Time spent on a request.", ["operation"], buckets=_OF_REQUESTS
        )
        self._sent = self._counter("response_bytes", "Bytes of response bodies.", ["operation"])
        self.in_flight = self._gauge("requests_in_flight", "Requests being worked on.")
        self.queued = self._observed_gauge("requests_queued", "Requests waiting for a thread.")
        self.connections = self._observed_gauge("connections", "Open connections.")
        refusals = self._counter(
            "refusals", "Requests refused before any work on them.", ["reason"]
        )
        self.refusals = {reason: refusals.labels(reason) for reason in _REFUSALS}
        self.lines_dropped = self._observed_counter(
            "log_lines_dropped", "Log lines dropped because they were not read in time."
        )
        self._commits = self._counter("commits", "Commits acknowledged.", ["operation"])
        self._conflicts = self._counter(
            "commit_conflicts", "Commits answered with 409.", ["operation"]
        )
        self.retries = self._observed_counter(
            "commit_retries", "Commits that lost the swap of a pointer and were tried again."
        )
        self.replays = self._counter(
            "idempotent_replays", "Retried requests answered as the first one was."
        )

    def _of_the_cache(self) -> None:
        count, gauge = self._observed_counter, self._observed_gauge
        self.cache_hits = count("cache_hits", "Documents found in the cache.")
        self.cache_misses = count("cache_misses", "Documents read from their files.")
        self.cache_bytes = gauge("cache_bytes", "Size of the cached documents.")
        self.manifest_hits = count("manifest_hits", "Manifests found in the cache.")
        self.manifest_misses = count("manifest_misses", "Manifests read from their files.")
        self.manifest_bytes = gauge("manifest_bytes", "Size of the cached manifests.")

    def _of_the_store(self) -> None:
        gauge, labels = self._observed_gauge, ("warehouse",)
        self.transaction = self._histogram(
            "store_transaction_seconds",
            "Time of a transaction that changes the store, the wait for its turn included.",
            buckets=_OF_SYNCS,
        )
        self.commit = self._histogram(
            "store_commit_seconds",
            "Time of a COMMIT in the store, its sync included.",
            buckets=_OF_SYNCS,
        )
        self.sync = self._histogram(
            "file_sync_seconds", "Time to sync a metadata file's content.", buckets=_OF_SYNCS
        )
        self.store_bytes = gauge("store_bytes", "Size of the store's database file.")
        self.store_log_bytes = gauge("store_wal_bytes", "Size of its write-ahead log.")
        self.store_free_bytes = gauge(
            "store_free_bytes", "Free bytes of the file system that the store is on."
        )
        self.warehouse_free_bytes = gauge(
            "warehouse_free_bytes",
            "Free bytes of the file system that the warehouse is on.",
            labels,
        )
        self.store_failures = self._observed_counter(
            "object_store_failures",
            "Requests to a warehouse's object store that failed.",
            ("warehouse", "reason"),
        )
        self.orphans = self._observed_counter(
            "object_store_orphans",
            "Objects that may have been left behind: the answer to their creation was lost.",
            labels,
        )
        self.credential_hits = self._observed_counter(
            "credential_hits",
            "Requests served with vended credentials that were issued before.",
            labels,
        )
        self.credentials_issued = self._observed_counter(
            "credentials_issued", "Vended credentials issued by the token service.", labels
        )
        self.credential_failures = self._observed_counter(
            "credential_failures",
            "Requests for credentials that the token service refused or did not answer.",
            labels,
        )
        self.drops = gauge("dropped", "Dropped tables and views that are still known.", labels)
        self.oldest_drop = gauge(
            "dropped_oldest_seconds", "Time since the oldest of them was dropped.", labels
        )
        self.troubled_purges = gauge(
            "purges_troubled", "Purges that failed, and will be tried again.", labels
        )
        self.purge_failures = self._observed_counter(
            "purge_failures", "Attempts to purge a table that failed."
        )


def _samples(metric: Counter | Histogram, ending: str) -> Iterator[Sample]:
    """Yield the samples of a metric whose names have an ending."""
    for family in metric.collect():
        yield from (each for each in family.samples if each.name.endswith(ending))
