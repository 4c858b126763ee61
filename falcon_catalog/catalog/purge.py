"""Purge: forget dropped tables whose retention has ended, and delete their files if requested."""

import contextlib
import logging
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice

from falcon_catalog.catalog import (
    authorization,
    events,
    idempotency,
    marks,
    metadata_files,
    orphans,
    policy,
    sessions,
)
from falcon_catalog.catalog.call import Call
from falcon_catalog.catalog.events import SYSTEM, Event
from falcon_catalog.catalog.tabulars import VIEW
from falcon_catalog.catalog.warehouse import Warehouse
from falcon_catalog.catalog.watching import Room
from falcon_catalog.errors import (
    CatalogError,
    CommitFailedError,
    NotFoundError,
    ServiceUnavailableError,
)
from falcon_catalog.fileio.base import FileIO
from falcon_catalog.identifiers import Namespace
from falcon_catalog.locations import ancestors, is_inside, is_local, join, key, safe_segment
from falcon_catalog.settings import WebSettings
from falcon_catalog.store import dropped, grants, metrics, namespaces, reservations, tabulars
from falcon_catalog.store.database import again
from falcon_catalog.store.dropped import DroppedRow

_INTERVAL_SECONDS = 60.0
# Longer than the purge of one table may reasonably take between two renewals.
_LEASE_MS = 5 * 60 * 1000
_DELAY_AFTER_TROUBLE_MS = 10 * 60 * 1000
_BATCH = 1000
_METADATA = ".metadata.json"  # in the name of each metadata file, also of one that is zipped
_log = logging.getLogger(__name__)


def purge_expired(
    warehouse: Warehouse, *, stopping: Callable[[], bool] = lambda: False
) -> list[str]:
    """Remove every drop whose retention is over, and delete files if a purge was requested.

    Delete also what commits have left behind. Do nothing while the warehouse is read-only. Return a
    line for each drop. Safe to run in many processes: after a crash another one takes over when the
    lease expires.

    Raises:
        WarehouseUnavailableError: the storage is not mounted, where missing files prove nothing.
    """
    lines: list[str] = []
    while not stopping() and not marks.is_read_only(warehouse):
        warehouse.mount.require()
        with warehouse.store.write() as tx:
            row = dropped.take_due(tx, warehouse.id, lease_ms=_LEASE_MS)
        if row is None:
            break
        lines.append(_expire_or_postpone(warehouse, row, stopping)[0])
    if not marks.is_read_only(warehouse) and (deleted := orphans.remove_due(warehouse)):
        lines.append(f"{warehouse.name}: {deleted} metadata files of failed commits deleted")
    return lines


def purge_now(call: Call, dropped_id: int) -> tuple[str, bool]:
    """Delete a dropped table or view with all its files and reports, whatever its retention.

    Return what was done, and whether it is complete. If not, the worker tries again.

    Raises:
        NotFoundError: there is no such drop.
        CommitFailedError: it is being purged.
        ForbiddenError: it is protected.
        WarehouseUnavailableError: the storage is not mounted.
    """
    call.warehouse.mount.require()
    row = _begin(call, dropped_id)
    return _expire_or_postpone(call.warehouse, row, lambda: False)


@again
def _begin(call: Call, dropped_id: int) -> DroppedRow:
    """Take a drop, so that nothing else purges or restores it."""
    warehouse = call.warehouse
    with warehouse.store.write() as tx:
        known = dropped.find(tx, warehouse.id, dropped_id)
        if known is None or not authorization.confirm(call, dropped_id, known.id, known.dropped_at):
            raise authorization.absent(dropped_id)
        marks.require_unprotected(tx, grants.Entity("dropped", known.id), "dropped", known.id)
        row = dropped.take(tx, dropped_id, lease_ms=_LEASE_MS)
        if row is None:
            trouble = f" and will be tried again: {known.trouble}" if known.trouble else ""
            raise CommitFailedError(
                f"Cannot purge {known.identifier}: its purge has begun{trouble}"
            )
        if not tabulars.is_shared(tx, row.uuid):  # clients may give the uuid of another table
            metrics.delete(tx, warehouse.id, row.uuid)
        outcome = f"{row.identifier}: its purge has begun"
        events.record(tx, call, _event("purgeDropped", row))
        idempotency.record(tx, call, {"body": {"outcome": outcome}})
    return row


def _expire_or_postpone(
    warehouse: Warehouse, row: DroppedRow, stopping: Callable[[], bool]
) -> tuple[str, bool]:
    """Return what was done, and whether it was; one bad table must not keep the others."""
    try:
        return _expire(warehouse, row, stopping), True
    except Exception as error:  # noqa: BLE001 - whatever it is, another attempt may succeed
        warehouse.counters.add(failed_purges=1)
        _log.warning("cannot purge %s yet: %s", row.identifier, error, exc_info=error)
        with warehouse.store.write() as tx:
            dropped.postpone(tx, row.id, delay_ms=_DELAY_AFTER_TROUBLE_MS, trouble=str(error)[:500])
        return f"{row.identifier}: not purged yet: {error}", False


def _expire(warehouse: Warehouse, row: DroppedRow, stopping: Callable[[], bool]) -> str:
    outcome, deleted, kept = f"{row.identifier}: dropped for good, its files stay", 0, 0
    if row.purge:
        deleted, kept = _purge(warehouse, row, stopping)
        outcome = f"{row.identifier}: purged, {deleted} files deleted, {kept} kept"
        if stopping():
            return f"{row.identifier}: interrupted after {deleted} files"
        _remove_folders(warehouse, row)
    warehouse.mount.require()
    with warehouse.store.write() as tx:
        grants.forget(tx, grants.Entity("dropped", row.id))
        dropped.delete(tx, row.id)
        event = _event("purge" if row.purge else "forget", row)
        if row.purge:
            event.detail = {"deleted-files": deleted, "kept-files": kept}
        events.record(tx, replace(SYSTEM, warehouse=warehouse.name), event)
    return outcome


def _event(operation: str, row: DroppedRow) -> Event:
    return Event(operation, row.kind, row.identifier, uuid=row.uuid, before=row.metadata_location)


def _purge(warehouse: Warehouse, row: DroppedRow, stopping: Callable[[], bool]) -> tuple[int, int]:
    """Delete the files of a table that no other table may own, the metadata file last.

    Return how many were deleted and kept. Before the metadata file is deleted, the row records that
    all others are gone: otherwise a purge that was interrupted could not be distinguished from one
    whose metadata is missing, so that it is unknown what to delete.
    """
    deleted = kept = 0
    with warehouse.store.read() as tx:
        keys = tabulars.location_keys(tx) if is_local(warehouse.location) else []
    linked = reached_through_links(warehouse.files, keys)
    for batch in _batches(_own_files(warehouse, row)):
        ours = [each for each in batch if _is_ours(warehouse, row, each, linked)]
        if stopping():
            break
        if failed := warehouse.files.delete_all(ours):
            _log.warning("cannot delete %s", ", ".join(failed))
            raise ServiceUnavailableError(
                f"{len(failed)} of {len(ours)} files cannot be deleted:"
                f" {next(iter(failed.values()))}"
            )
        deleted += len(ours)
        kept += len(batch) - len(ours)
        if len(batch) == _BATCH:
            with warehouse.store.write() as tx:
                dropped.renew(tx, row.id, lease_ms=_LEASE_MS)
    return deleted, kept


def reached_through_links(files: FileIO, keys: Iterable[str]) -> frozenset[str]:
    """Return the resolved locations of tables in local folders that are reached through links.

    Every purge asks for it, with the keys of all tables. So a table that is no link, in a folder
    that is reached through none, takes one system call.
    """
    direct: dict[str, bool] = {}
    linked = set()
    for own in keys:
        if not own.startswith("/"):
            continue  # in an object store
        around = f"{own.rsplit('/', 2)[0]}/"
        if around not in direct:
            direct[around] = files.resolve(around) == around
        if direct[around] and not os.path.islink(own[:-1]):  # noqa: PTH114 - Path costs 3 times it
            continue
        if (target := files.resolve(own)) != own:
            linked.add(target)
    return frozenset(linked)


def _batches(groups: Iterable[Iterable[str]]) -> Iterator[list[str]]:
    """Yield the files of each group, some at a time: no batch has files of two groups."""
    for group in groups:
        files = iter(group)
        while batch := list(islice(files, _BATCH)):
            yield batch


def _remove_folders(warehouse: Warehouse, row: DroppedRow) -> None:
    """Remove the empty folders of a purged table, unless another table may use them.

    A location chosen by a client stays: a create may be using it again. A default location ends in
    the table's uuid.
    """
    if row.location_key.endswith(f"-{row.uuid}/"):
        with warehouse.store.read() as tx:
            free = tabulars.overlapping(
                tx, row.location_key, besides=None
            ) is None and not reservations.overlapping(tx, row.location_key)
        if free:
            warehouse.files.remove_empty_folders(row.location_key)
        _remove_folder_of_namespace(warehouse, row)


def _remove_folder_of_namespace(warehouse: Warehouse, row: DroppedRow) -> None:
    """Remove the folder around a purged table if its namespace is gone and no table uses it."""
    root = key(warehouse.location)
    if not row.location_key.startswith(root):
        return
    names = tuple(row.location_key.removeprefix(root).split("/")[:-2])
    levels = row.identifier.namespace.levels
    if tuple(map(safe_segment, levels)) == names:
        names = levels  # else it was renamed, and was created in a namespace of these names
    for depth in range(1, len(names) + 1):
        folder = key(join(root, *map(safe_segment, names[:depth])))
        with warehouse.store.read() as tx:
            unused = (
                namespaces.find(tx, warehouse.id, Namespace.of(names[:depth])) is None
                and tabulars.overlapping(tx, folder, besides=None) is None
                and not reservations.overlapping(tx, folder)
                and not dropped.any_inside(tx, folder, besides=row.id)
            )
        if unused:
            warehouse.files.remove_empty_folders(folder)
            return


def _own_files(warehouse: Warehouse, row: DroppedRow) -> Iterator[Iterable[str]]:
    """Yield the files that a table's metadata reaches, as ``reachable_files``.

    The metadata file is the last group.
    """
    if row.emptied_at is None:
        try:
            metadata = metadata_files.read(warehouse.files, row.metadata_location)
        except NotFoundError as error:
            raise NotFoundError(
                f"its metadata file {row.metadata_location} does not exist, so the files to delete"
                " are unknown: restore it, or abandon the files with"
                f" falcon-catalog doctor --repair forget-drop={row.id}"
            ) from error
        from falcon_catalog.catalog.manifests import reachable_files  # noqa: PLC0415 - seldom

        yield from reachable_files(metadata, partial(policy.read_allowed, warehouse))
        if row.kind == VIEW.name:  # whose metadata has no log of earlier files
            yield _other_metadata_files(warehouse, row)
        with warehouse.store.write() as tx:
            dropped.note_emptied(tx, row.id)
    yield [row.metadata_location]


def _other_metadata_files(warehouse: Warehouse, row: DroppedRow) -> Iterator[str]:
    """Yield the view's earlier metadata files, known by its uuid."""
    newest = key(row.metadata_location)
    for entry in warehouse.files.list(join(row.location_key, "metadata")):
        if entry.name.endswith(".metadata.json") and key(entry.location) != newest:
            # What cannot be read proves no ownership.
            with contextlib.suppress(CatalogError, KeyError):
                metadata = metadata_files.read(warehouse.files, entry.location)
                if VIEW.uuid_of(metadata) == row.uuid:
                    yield entry.location


def _is_ours(warehouse: Warehouse, row: DroppedRow, location: str, linked: frozenset[str]) -> bool:
    """Return whether a file is in the dropped table's folder, and no living table's or view's.

    All of a living table's folder is its own, of a view's only what has the name of metadata.
    Metadata may name any path, so it proves no ownership. What a symbolic link leads to is not the
    table's: it may be anybody's. ``linked`` are the resolved locations of living tables that are
    reached through links.
    """
    try:
        if not is_inside(location, row.location_key) or policy.leads_elsewhere(warehouse, location):
            return False
        places = (key(location), warehouse.files.resolve(location))
    except CatalogError:
        return False
    if not linked.isdisjoint(ancestors(places[1])):
        return False
    kinds: tuple[tabulars.Kind, ...] = ("table", "view") if _METADATA in location else ("table",)
    with warehouse.store.read() as tx:
        return all(
            tabulars.overlapping(tx, place, besides=None, kind=kind) is None
            for place in places
            for kind in kinds
        )


class PurgeWorker:
    """A thread that purges expired drops every minute, and measures free space.

    It also removes what has expired of the audit log, and of the sessions of web pages.
    """

    def __init__(self, warehouses: Sequence[Warehouse], room: Room, web: WebSettings) -> None:
        self._warehouses = tuple(warehouses)
        self._room = room
        self._web = web
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="purge", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread, after the batch of files that it may be deleting."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        self._room.measure()
        while not self._stopped.wait(_INTERVAL_SECONDS):
            self._room.measure()
            self._expire_rows()
            for warehouse in self._warehouses:
                try:
                    if warehouse.mount.absence():
                        continue  # logged once, not every minute
                    warehouse.mount.mark()  # of an older store, whose storage was absent at start
                    for line in purge_expired(warehouse, stopping=self._stopped.is_set):
                        _log.info("%s", line)
                except Exception:  # noqa: BLE001 - the next round may succeed
                    _log.exception("cannot purge dropped tables of warehouse %s", warehouse.name)

    def _expire_rows(self) -> None:
        try:
            self._warehouses[0].audit.expire(self._stopped.is_set)
        except Exception:  # noqa: BLE001 - the next round may succeed
            _log.exception("cannot remove old rows of the audit log")
        try:
            sessions.remove_ended(self._warehouses[0].store, self._web)
        except Exception:  # noqa: BLE001 - as above
            _log.exception("cannot remove sessions of web pages that have ended")
