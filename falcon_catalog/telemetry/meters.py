"""Every metric of the server, and what adds to it.

Labels have few values, all known beforehand: an operation, a status, a warehouse of the settings.
What clients name (tables, namespaces, principals) stands in the access log, never here.
"""

from collections.abc import Sequence
from itertools import product

from falcon_catalog.telemetry.registry import Registry

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
OTHER = "other"
REFUSALS = ("saturated", "too large", "too slow", "malformed", "unauthorized")
_STATUSES = (200, 204, 304, 400, 401, 403, 404, 405, 406, 409, 413, 422, 500, 503)
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


class Meters:
    """The metrics of one server, over all its processes.

    Made before any process is forked, with their number; each of them then calls ``take``
    with its own, from 0. One that is alone need not.
    """

    def __init__(self, operations: Sequence[str] = (), processes: int = 1) -> None:
        self._registry = registry = Registry()
        self.poll, self.refresh, self.take = registry.poll, registry.refresh, registry.take
        self.descriptions, self.text = registry.descriptions, registry.text
        self._count_requests((*operations, OTHER))
        self._count_server()
        self._count_commits()
        self._count_cache()
        self._count_store()
        self._count_warehouses()
        registry.open(processes)

    def _count_requests(self, operations: tuple[str, ...]) -> None:
        make = self._registry
        self._statuses = {status: str(status) for status in _STATUSES}
        self._operations = {operation: operation for operation in operations}
        each = [(operation,) for operation in operations]
        self._requests = make.counter(
            "requests_total",
            "Requests answered.",
            ("operation", "status"),
            product(operations, (*self._statuses.values(), OTHER)),
        )
        self._seconds = make.histogram(
            "request_seconds", "Time spent on a request.", _OF_REQUESTS, ("operation",), each
        )
        self._sent = make.counter(
            "response_bytes_total", "Bytes of the answers' bodies.", ("operation",), each
        )
        self.in_flight = make.gauge("requests_in_flight", "Requests being worked on.")

    def _count_server(self) -> None:
        make = self._registry
        self.queued = make.gauge("requests_queued", "Requests waiting for a thread.")
        self.connections = make.gauge("connections", "Open connections.")
        self.refusals = make.counter(
            "refusals_total",
            "Requests refused before any work on them.",
            ("reason",),
            [(reason,) for reason in REFUSALS],
        )

        self.lines_dropped = make.counter(
            "log_lines_dropped_total", "Lines of the log that nobody read in time."
        )

    def _count_commits(self) -> None:
        make = self._registry
        each = [(operation,) for operation in _COMMITS]
        self._commits = make.counter("commits_total", "Commits acknowledged.", ("operation",), each)
        self._conflicts = make.counter(
            "commit_conflicts_total", "Commits answered with 409.", ("operation",), each
        )
        self.retries = make.counter(
            "commit_retries_total", "Commits that lost the swap of a pointer and were tried again."
        )
        self.replays = make.counter(
            "idempotent_replays_total", "Retried requests answered as their first try was."
        )

    def _count_cache(self) -> None:
        make = self._registry
        self.cache_hits = make.counter("cache_hits_total", "Documents found in the cache.")
        self.cache_misses = make.counter("cache_misses_total", "Documents read from their files.")
        self.cache_bytes = make.gauge("cache_bytes", "Size of the cached documents.")
        self.manifest_hits = make.counter("manifest_hits_total", "Manifests found in the cache.")
        self.manifest_misses = make.counter(
            "manifest_misses_total", "Manifests read from their files."
        )
        self.manifest_bytes = make.gauge("manifest_bytes", "Size of the cached manifests.")

    def _count_store(self) -> None:
        make = self._registry
        self.transaction = make.histogram(
            "store_transaction_seconds",
            "Time of a transaction that changes the store, the wait for its turn included.",
            _OF_SYNCS,
        )
        self.commit = make.histogram(
            "store_commit_seconds", "Time of a COMMIT in the store, its sync included.", _OF_SYNCS
        )
        self.sync = make.histogram(
            "file_sync_seconds", "Time to sync a metadata file's content.", _OF_SYNCS
        )

        self.store_bytes = make.seen("store_bytes", "Size of the store's database file.")
        self.store_log_bytes = make.seen("store_wal_bytes", "Size of its write-ahead log.")
        self.store_free_bytes = make.seen(
            "store_free_bytes", "Free bytes of the file system that the store is on."
        )

    def _count_warehouses(self) -> None:
        make, labels = self._registry, ("warehouse",)
        self.warehouse_free_bytes = make.seen(
            "warehouse_free_bytes",
            "Free bytes of the file system that the warehouse is on.",
            labels,
        )
        self.drops = make.seen("dropped", "Dropped tables and views that are still known.", labels)
        self.oldest_drop = make.seen(
            "dropped_oldest_seconds", "Time since the oldest of them was dropped.", labels
        )
        self.troubled_purges = make.seen(
            "purges_troubled", "Purges that failed, and will be tried again.", labels
        )
        self.purge_failures = make.counter(
            "purge_failures_total", "Attempts to purge a table that failed."
        )

    def answered(self, operation: str | None, status: int, seconds: float, sent: int) -> None:
        """Count an answer with a body of ``sent`` bytes."""
        name = self._operations.get(operation or OTHER, OTHER)
        self._requests.add(name, self._statuses.get(status, OTHER))
        self._seconds.observe(seconds, name)
        self._sent.add(name, amount=sent)
        if name in _COMMITS:
            if status < _ERRORS:
                self._commits.add(name)
            elif status == _CONFLICT:
                self._conflicts.add(name)
