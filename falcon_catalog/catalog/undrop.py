"""What was dropped: list it, bring it back, and once its retention is over, let it go."""

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from falcon_catalog.catalog import files, idempotency, kinds, manifests, namespaces, placement
from falcon_catalog.catalog.base import Catalog
from falcon_catalog.errors import CatalogError, CommitFailedError, NotFoundError
from falcon_catalog.identifiers import Page, TableIdentifier
from falcon_catalog.locations import ancestors, is_inside, key
from falcon_catalog.store import dropped, tabulars
from falcon_catalog.store.dropped import DroppedRow

Dropped = DroppedRow
"""A dropped table or view, as the verbs here return it."""

# Longer than the purge of one table may reasonably take between two renewals.
_LEASE_MS = 5 * 60 * 1000
_DELAY_AFTER_TROUBLE_MS = 10 * 60 * 1000
_BATCH = 200
_log = logging.getLogger(__name__)


def list_(catalog: Catalog, page: Page) -> list[Dropped]:
    """Return the dropped tables and views that are still known, oldest drop first."""
    with catalog.database.read() as tx:
        return dropped.list_(tx, catalog.warehouse_id, page)


def home_of(catalogs: Sequence[Catalog], dropped_id: int) -> Catalog:
    """Return the catalog that a drop happened in.

    Raises:
        NotFoundError: there is no such drop in any of them.
    """
    for catalog in catalogs:
        with catalog.database.read() as tx:
            if dropped.find(tx, catalog.warehouse_id, dropped_id) is not None:
                return catalog
    raise _no_such_drop(dropped_id)


def undrop(catalog: Catalog, dropped_id: int, to: TableIdentifier | None = None) -> Dropped:
    """Bring a dropped table or view back, under its old name or another one.

    Raises:
        NotFoundError: there is no such drop, or its retention is over.
        CommitFailedError: its purge has begun.
        NoSuchNamespaceError: the namespace is gone.
        AlreadyExistsError: the name is taken.
        ForbiddenError: another table lies over its files by now.
    """
    with catalog.database.write() as tx:
        row = dropped.find(tx, catalog.warehouse_id, dropped_id)
        if row is None:
            raise _no_such_drop(dropped_id)
        if row.started_at is not None:
            raise CommitFailedError(f"Cannot undrop {row.identifier}: its purge has begun")
        target = to or row.identifier
        kind = kinds.TABLE if row.kind == kinds.TABLE.name else kinds.VIEW
        namespace = namespaces.require(tx, catalog, target.namespace)
        kinds.require_free(tx, catalog, target, kind)
        placement.check_free(tx, catalog, row.location_key, besides=None)
        tabulars.insert(
            tx,
            namespace.id,
            target.name,
            kind=row.kind,
            uuid=row.uuid,
            metadata_location=row.metadata_location,
            location_key=row.location_key,
        )
        dropped.delete(tx, row.id)
        idempotency.conclude(tx, catalog, {})
    return row


def _no_such_drop(dropped_id: int) -> NotFoundError:
    return NotFoundError(f"Dropped table or view does not exist: {dropped_id}")


def let_go(catalog: Catalog, *, stopping: Callable[[], bool] = lambda: False) -> list[str]:
    """Forget every drop whose retention is over; delete the files of those to be purged.

    Returns a line for each of them. Safe to run in many processes, and to be killed: what was
    begun is taken up again once its lease has run out.

    Raises:
        WarehouseUnavailableError: the warehouse is not there. Nothing is begun or forgotten: a
            missing file does not say that it was deleted.
    """
    lines: list[str] = []
    while not stopping():
        catalog.mount.require()
        with catalog.database.write() as tx:
            row = dropped.take_due(tx, catalog.warehouse_id, lease_ms=_LEASE_MS)
        if row is None:
            break
        try:
            lines.append(_let_go(catalog, row, stopping))
        except Exception as error:  # noqa: BLE001 - one bad table must not keep the others
            catalog.purges.failed += 1
            _log.warning("cannot purge %s yet: %s", row.identifier, error, exc_info=error)
            with catalog.database.write() as tx:
                dropped.postpone(
                    tx, row.id, delay_ms=_DELAY_AFTER_TROUBLE_MS, trouble=str(error)[:500]
                )
            lines.append(f"{row.identifier}: not purged yet: {error}")
    return lines


def _let_go(catalog: Catalog, row: DroppedRow, stopping: Callable[[], bool]) -> str:
    said = f"{row.identifier}: dropped for good, its files stay"
    if row.purge:
        deleted, kept = _purge(catalog, row, stopping)
        said = f"{row.identifier}: purged, {deleted} files deleted, {kept} kept"
        if stopping():
            return f"{row.identifier}: interrupted after {deleted} files"
        _remove_folders(catalog, row)
    catalog.mount.require()
    with catalog.database.write() as tx:
        dropped.delete(tx, row.id)
    return said


def _purge(catalog: Catalog, row: DroppedRow, stopping: Callable[[], bool]) -> tuple[int, int]:
    """Delete every file that the metadata reaches and nobody else may own, the metadata last.

    That all others are gone is stored before the metadata file goes: a purge that was killed then
    is told from one that finds no metadata file, and with it nothing that it should delete.
    """
    deleted = kept = 0
    linked = _linked_tables(catalog)
    for location in _own_files(catalog, row):
        if stopping():
            break
        if _is_ours(catalog, row, location, linked):
            catalog.files.delete(location)
            deleted += 1
        else:
            kept += 1
        if (deleted + kept) % _BATCH == 0:
            with catalog.database.write() as tx:
                dropped.renew(tx, row.id, lease_ms=_LEASE_MS)
    return deleted, kept


def _remove_folders(catalog: Catalog, row: DroppedRow) -> None:
    """Remove the empty folders of a purged table, where no other table is or can come to be.

    A location that a client has chosen may be chosen again, by a create that has just made its
    folders: those stay. A default location ends in the table's uuid.
    """
    if row.location_key.endswith(f"-{row.uuid}/"):
        with catalog.database.read() as tx:
            free = tabulars.overlapping(tx, row.location_key, besides=None) is None
        if free:
            catalog.files.remove_empty_folders(row.location_key)


def _own_files(catalog: Catalog, row: DroppedRow) -> Iterator[str]:
    if row.emptied_at is None:
        yield from manifests.reachable_files(_metadata(catalog, row), catalog.files.read)
        with catalog.database.write() as tx:
            dropped.note_emptied(tx, row.id)
    yield row.metadata_location


def _linked_tables(catalog: Catalog) -> frozenset[str]:
    """Return where living tables lie whose location goes through a symbolic link."""
    with catalog.database.read() as tx:
        keys = tabulars.location_keys(tx)
    resolve = catalog.files.resolve
    return frozenset(there for key_ in keys if (there := resolve(key_)) != key_)


def _metadata(catalog: Catalog, row: DroppedRow) -> dict[str, Any]:
    try:
        return files.read(catalog.files, row.metadata_location)
    except NotFoundError as error:
        raise NotFoundError(
            f"its metadata file {row.metadata_location} is not there, so that nobody knows which"
            " files to delete: bring it back, or give the files up with"
            f" falcon-catalog doctor --repair forget-drop={row.id}"
        ) from error


def _is_ours(catalog: Catalog, row: DroppedRow, location: str, linked: frozenset[str]) -> bool:
    """Return whether a file lies in the dropped table's folder, and in no living table's.

    What metadata names is no proof of ownership: anybody can write a path into it. Symbolic links
    are followed, since a link may lead out of the folder, or two paths to one place.
    """
    try:
        if not is_inside(location, row.location_key):
            return False
        places = (key(location), catalog.files.resolve(location))
    except CatalogError:
        return False
    if not places[1].startswith(catalog.files.resolve(row.location_key)):
        return False
    if not linked.isdisjoint(ancestors(places[1])):
        return False
    with catalog.database.read() as tx:
        return all(tabulars.overlapping(tx, place, besides=None) is None for place in places)
