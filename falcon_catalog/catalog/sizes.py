"""Sizes of warehouses: the sums of what the current snapshots of their tables say."""

import time
from dataclasses import dataclass

from falcon_catalog.catalog import metadata_files
from falcon_catalog.catalog.call import Call
from falcon_catalog.catalog.lru import LRU
from falcon_catalog.catalog.metadata_cache import Key
from falcon_catalog.errors import CatalogError
from falcon_catalog.metadata import history
from falcon_catalog.store import listing

_MOST_TABLES = 10_000
_SECONDS = 0.2
"""How long one request reads metadata files; the next one goes on."""


@dataclass(frozen=True, slots=True)
class Size:
    """The size of a warehouse, as far as it is known."""

    tables: int
    """Tables that are counted."""
    of: int
    """Tables that the warehouse has."""
    rows: int
    bytes: int
    unsized: int
    """Tables with files whose sizes their writers did not count."""
    complete: bool
    """Whether another request would count no more tables."""


class Sizes:
    """Rows and bytes of tables by their metadata files, which never change."""

    def __init__(self, limit_bytes: int = 8 << 20) -> None:
        self._known: LRU[Key, tuple[int, int | None]] = LRU(limit_bytes, lambda _: 500)

    def of(self, call: Call) -> Size:
        """Return the size of a warehouse; the caller must hold ``describe`` on it.

        Of a warehouse with very many tables only some are counted, and a file that cannot be read
        counts as empty.
        """
        warehouse = call.warehouse
        with warehouse.store.read() as tx:
            total = listing.totals(tx, warehouse.id).tables
            found = listing.pointers(tx, warehouse.id, _MOST_TABLES)
        end = time.monotonic() + _SECONDS
        counted = rows = size = unsized = 0
        for location, since in found:
            key = Key(location, since)
            known = self._known.get(key)
            if known is None and time.monotonic() < end:
                known = _read(call, key)
                self._known.put(key, known)
            if known is not None:
                counted, rows, size = counted + 1, rows + known[0], size + (known[1] or 0)
                unsized += known[1] is None
        return Size(counted, total, rows, size, unsized, counted == len(found))


def _read(call: Call, key: Key) -> tuple[int, int | None]:
    """Return the rows and bytes of a table; None where its writers did not count the bytes."""
    warehouse = call.warehouse
    try:
        document = warehouse.metadata.get(key)
        if document is None:
            metadata = metadata_files.read(warehouse.files, key.metadata_location)
        else:
            metadata = document.metadata
        # A file of version 1 may have no list of snapshots.
        current = history.current({"snapshots": (), **metadata})
        numbers = history.numbers(metadata, current)
    except CatalogError:
        return 0, 0
    is_empty = numbers.files == 0 and not numbers.delete_files
    return numbers.rows or 0, 0 if is_empty else numbers.bytes
