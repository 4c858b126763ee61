"""Purge: forget dropped tables whose retention has ended, and delete their files if requested."""

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from falcon_catalog.catalog import metadata_files
from falcon_catalog.catalog.manifests import reachable_files
from falcon_catalog.catalog.warehouse import Warehouse
from falcon_catalog.catalog.watching import Room
from falcon_catalog.errors import CatalogError, NotFoundError
from falcon_catalog.locations import ancestors, is_inside, key
from falcon_catalog.store import dropped, tabulars
from falcon_catalog.store.dropped import DroppedRow

_INTERVAL_SECONDS = 60.0
# Longer than the purge of one table may reasonably take between two renewals.
_LEASE_MS = 5 * 60 * 1000
_DELAY_AFTER_TROUBLE_MS = 10 * 60 * 1000
_BATCH = 200
_log = logging.getLogger(__name__)


def purge_expired(
    warehouse: Warehouse, *, stopping: Callable[[], bool] = lambda: False
) -> list[str]:
    """Forget every drop whose retention is over; delete the files of those to be purged.

    Returns a line for each of them. Safe to run in many processes, and to be killed: what was
    begun is taken up again once its lease has run out.

    Raises:
        WarehouseUnavailableError: the warehouse is not there. Nothing is begun or forgotten: a
            missing file does not say that it was deleted.
    """
    lines: list[str] = []
    while not stopping():
        warehouse.mount.require()
        with warehouse.store.write() as tx:
            row = dropped.take_due(tx, warehouse.id, lease_ms=_LEASE_MS)
        if row is None:
            break
        try:
            lines.append(_let_go(warehouse, row, stopping))
        except Exception as error:  # noqa: BLE001 - one bad table must not keep the others
            warehouse.counters.add(failed_purges=1)
            _log.warning("cannot purge %s yet: %s", row.identifier, error, exc_info=error)
            with warehouse.store.write() as tx:
                dropped.postpone(
                    tx, row.id, delay_ms=_DELAY_AFTER_TROUBLE_MS, trouble=str(error)[:500]
                )
            lines.append(f"{row.identifier}: not purged yet: {error}")
    return lines


def _let_go(warehouse: Warehouse, row: DroppedRow, stopping: Callable[[], bool]) -> str:
    said = f"{row.identifier}: dropped for good, its files stay"
    if row.purge:
        deleted, kept = _purge(warehouse, row, stopping)
        said = f"{row.identifier}: purged, {deleted} files deleted, {kept} kept"
        if stopping():
            return f"{row.identifier}: interrupted after {deleted} files"
        _remove_folders(warehouse, row)
    warehouse.mount.require()
    with warehouse.store.write() as tx:
        dropped.delete(tx, row.id)
    return said


def _purge(warehouse: Warehouse, row: DroppedRow, stopping: Callable[[], bool]) -> tuple[int, int]:
    """Delete every file that the metadata reaches and no other table may own, the metadata last.

    That all others are gone is stored before the metadata file goes: a purge that was killed then
    differs from one that finds no metadata file, and so cannot know what to delete.
    """
    deleted = kept = 0
    linked = _linked_tables(warehouse)
    for location in _own_files(warehouse, row):
        if stopping():
            break
        if _is_ours(warehouse, row, location, linked):
            warehouse.files.delete(location)
            deleted += 1
        else:
            kept += 1
        if (deleted + kept) % _BATCH == 0:
            with warehouse.store.write() as tx:
                dropped.renew(tx, row.id, lease_ms=_LEASE_MS)
    return deleted, kept


def _remove_folders(warehouse: Warehouse, row: DroppedRow) -> None:
    """Remove the empty folders of a purged table, where no other table is or can come to be.

    A location that a client has chosen may be chosen again, by a create that has just made its
    folders: those stay. A default location ends in the table's uuid.
    """
    if row.location_key.endswith(f"-{row.uuid}/"):
        with warehouse.store.read() as tx:
            free = tabulars.overlapping(tx, row.location_key, besides=None) is None
        if free:
            warehouse.files.remove_empty_folders(row.location_key)


def _own_files(warehouse: Warehouse, row: DroppedRow) -> Iterator[str]:
    if row.emptied_at is None:
        yield from reachable_files(_metadata(warehouse, row), warehouse.files.read)
        with warehouse.store.write() as tx:
            dropped.note_emptied(tx, row.id)
    yield row.metadata_location


def _linked_tables(warehouse: Warehouse) -> frozenset[str]:
    """Return where living tables lie whose location goes through a symbolic link."""
    with warehouse.store.read() as tx:
        keys = tabulars.location_keys(tx)
    resolve = warehouse.files.resolve
    return frozenset(there for key_ in keys if (there := resolve(key_)) != key_)


def _metadata(warehouse: Warehouse, row: DroppedRow) -> dict[str, Any]:
    try:
        return metadata_files.read(warehouse.files, row.metadata_location)
    except NotFoundError as error:
        raise NotFoundError(
            f"its metadata file {row.metadata_location} is not there, so that nobody knows which"
            " files to delete: bring it back, or give the files up with"
            f" falcon-catalog doctor --repair forget-drop={row.id}"
        ) from error


def _is_ours(warehouse: Warehouse, row: DroppedRow, location: str, linked: frozenset[str]) -> bool:
    """Return whether a file lies in the dropped table's folder, and in no living table's.

    What metadata names is no proof of ownership: anybody can write a path into it. Symbolic links
    are followed, since a link may lead out of the folder, or two paths to one place.
    """
    try:
        if not is_inside(location, row.location_key):
            return False
        places = (key(location), warehouse.files.resolve(location))
    except CatalogError:
        return False
    if not places[1].startswith(warehouse.files.resolve(row.location_key)):
        return False
    if not linked.isdisjoint(ancestors(places[1])):
        return False
    with warehouse.store.read() as tx:
        return all(tabulars.overlapping(tx, place, besides=None) is None for place in places)


class PurgeWorker:
    """A thread that purges expired drops every minute, and measures free space."""

    def __init__(self, warehouses: Sequence[Warehouse], room: Room) -> None:
        self._warehouses = tuple(warehouses)
        self._room = room
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="purge", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread, after the file that it may be deleting."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        self._room.measure()
        while not self._stopped.wait(_INTERVAL_SECONDS):
            self._room.measure()
            for warehouse in self._warehouses:
                try:
                    if warehouse.mount.absence():
                        continue  # logged once, not every minute
                    warehouse.mount.mark()  # of an older store, whose storage was absent at start
                    for line in purge_expired(warehouse, stopping=self._stopped.is_set):
                        _log.info("%s", line)
                except Exception:  # noqa: BLE001 - the next round may succeed
                    _log.exception("cannot purge dropped tables of warehouse %s", warehouse.name)
