"""What an operator watches of a store: its size, the room on its disks, and what was dropped."""

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterable, Sequence

from falcon_catalog.catalog.base import Catalog
from falcon_catalog.errors import CatalogError
from falcon_catalog.locations import local_path
from falcon_catalog.metrics import Metrics
from falcon_catalog.store import dropped

Seen = list[tuple[tuple[str, ...], float]]
"""Values of labels, each with a number."""


class Room:
    """The free bytes of the file systems of a store and its warehouses, as last measured.

    A file system that does not answer, as one over a network may not, keeps who measures waiting:
    that must not be the thread that answers health checks.
    """

    def __init__(self, catalogs: Sequence[Catalog]) -> None:
        self._catalogs = tuple(catalogs)
        self._store: Seen = []
        self._warehouses: dict[str, float] = {}

    def measure(self) -> None:
        """Look at each file system."""
        path = self._catalogs[0].database.path.absolute().parent
        self._store = [((), free) for free in _free(str(path))]
        for catalog in self._catalogs:
            self._warehouses.pop(catalog.name, None)
            with contextlib.suppress(CatalogError):
                for free in _free(local_path(catalog.location)):
                    self._warehouses[catalog.name] = free

    def of_store(self) -> Seen:
        """Return the free bytes where the store is."""
        return self._store

    def of_warehouses(self) -> Seen:
        """Return the free bytes where each warehouse is."""
        return [((name,), free) for name, free in self._warehouses.copy().items()]


def watch(metrics: Metrics, catalogs: Sequence[Catalog]) -> Room:
    """Let metrics follow what is in the catalogs; return the room, which somebody must measure."""
    database, room = catalogs[0].database, Room(catalogs)
    metrics.store_bytes.follow(lambda: _size(str(database.path)))
    metrics.store_log_bytes.follow(lambda: _size(f"{database.path}-wal"))
    metrics.store_free_bytes.follow(room.of_store)
    metrics.warehouse_free_bytes.follow(room.of_warehouses)
    metrics.drops.follow(lambda: _drops(catalogs, lambda sums: sums.count))
    metrics.oldest_drop.follow(lambda: _drops(catalogs, lambda sums: sums.oldest_ms / 1000))
    metrics.troubled_purges.follow(lambda: _drops(catalogs, lambda sums: sums.troubled))
    metrics.purge_failures.poll(lambda: catalogs[0].purges.failed)
    return room


def _drops(catalogs: Sequence[Catalog], number: Callable[[dropped.Sums], float]) -> Seen:
    """Return a number for each warehouse; nothing if the store cannot be read."""
    with contextlib.suppress(sqlite3.Error):
        tx = catalogs[0].database.glance()
        return [((c.name,), number(dropped.sums(tx, c.warehouse_id))) for c in catalogs]
    return []


def _size(path: str) -> Seen:
    try:
        return [((), os.stat(path).st_size)]  # noqa: PTH116
    except FileNotFoundError:
        return [((), 0)]
    except OSError:
        return []


def _free(path: str) -> Iterable[float]:
    """Yield the bytes that a user other than root may still write; nothing if nobody can tell."""
    with contextlib.suppress(OSError):
        status = os.statvfs(path)
        yield status.f_bavail * status.f_frsize
