"""Metrics of a store: its size, free space on its disks, and dropped tables."""

import contextlib
import os
from collections.abc import Callable, Iterable, Sequence

from falcon_catalog.catalog.warehouse import Warehouse
from falcon_catalog.errors import CatalogError
from falcon_catalog.fileio.base import Counts
from falcon_catalog.locations import local_path
from falcon_catalog.metrics import Metrics
from falcon_catalog.store import dropped
from falcon_catalog.store.database import DRIVER_ERRORS

Seen = list[tuple[tuple[str, ...], float]]
"""Values of labels, each with a number."""


class Room:
    """Free bytes of the file systems of a store and its warehouses, as last measured.

    Measuring blocks while a network file system does not respond, so it has its own thread.
    """

    def __init__(self, warehouses: Sequence[Warehouse]) -> None:
        self._all = tuple(warehouses)
        self._store: Seen = []
        self._warehouses: dict[str, float] = {}

    def measure(self) -> None:
        """Measure each file system."""
        if (path := self._all[0].store.path) is not None:
            self._store = [((), free) for free in _free(str(path.absolute().parent))]
        for warehouse in self._all:
            self._warehouses.pop(warehouse.name, None)
            with contextlib.suppress(CatalogError):
                for free in _free(local_path(warehouse.location)):
                    self._warehouses[warehouse.name] = free

    def of_store(self) -> Seen:
        """Return the free bytes of the store's file system."""
        return self._store

    def of_warehouses(self) -> Seen:
        """Return the free bytes of each warehouse's file system."""
        return [((name,), free) for name, free in self._warehouses.copy().items()]


def watch(metrics: Metrics, warehouses: Sequence[Warehouse]) -> Room:
    """Expose sizes and drops as metrics; return the free space, which the caller must measure."""
    database, room = warehouses[0].store, Room(warehouses)
    if (path := database.path) is not None:
        metrics.store_bytes.follow(lambda: _size(str(path)))
        metrics.store_log_bytes.follow(lambda: _size(f"{path}-wal"))
    metrics.store_free_bytes.follow(room.of_store)
    metrics.warehouse_free_bytes.follow(room.of_warehouses)
    metrics.drops.follow(lambda: _drops(warehouses, lambda sums: sums.count))
    metrics.oldest_drop.follow(lambda: _drops(warehouses, lambda sums: sums.oldest_ms / 1000))
    metrics.troubled_purges.follow(lambda: _drops(warehouses, lambda sums: sums.troubled))
    metrics.purge_failures.poll(lambda: warehouses[0].counters.failed_purges)
    counts = {w.name: w.storage.files for w in warehouses if isinstance(w.storage.files, Counts)}
    metrics.orphans.follow(lambda: [((name,), each.orphans) for name, each in counts.items()])
    metrics.store_failures.follow(
        lambda: [
            ((name, reason), count)
            for name, each in counts.items()
            for reason, count in each.failures.items()
        ]
    )
    issued = {w.name: w.issued for w in warehouses if w.storage.vends is not None}
    metrics.credential_hits.follow(lambda: [((n,), each.hits) for n, each in issued.items()])
    metrics.credentials_issued.follow(lambda: [((n,), each.issued) for n, each in issued.items()])
    metrics.credential_failures.follow(
        lambda: [((n,), each.failures) for n, each in issued.items()]
    )
    return room


def _drops(warehouses: Sequence[Warehouse], number: Callable[[dropped.Sums], float]) -> Seen:
    """Return one number per warehouse; none if the store cannot be read."""
    with contextlib.suppress(CatalogError, *DRIVER_ERRORS):
        tx = warehouses[0].store.autocommit()
        return [((c.name,), number(dropped.sums(tx, c.id))) for c in warehouses]
    return []


def _size(path: str) -> Seen:
    try:
        return [((), os.stat(path).st_size)]  # noqa: PTH116
    except FileNotFoundError:
        return [((), 0)]
    except OSError:
        return []


def free_bytes(location: str) -> float | None:
    """Return the free bytes of a warehouse's file system; None if it is not local, or unknown."""
    try:
        return next(iter(_free(local_path(location))), None)
    except CatalogError:
        return None


def _free(path: str) -> Iterable[float]:
    """Yield the bytes available to users other than root; nothing if unknown."""
    with contextlib.suppress(OSError):
        status = os.statvfs(path)
        yield status.f_bavail * status.f_frsize
