"""The verbs that tables and views have in common: list, place, rename, register, drop."""

from typing import Any

from falcon_catalog.catalog import files, idempotency, kinds, loading, namespaces, placement
from falcon_catalog.catalog.base import Catalog, Table
from falcon_catalog.catalog.kinds import Kind
from falcon_catalog.errors import AlreadyExistsError, CommitFailedError
from falcon_catalog.identifiers import Namespace, Page, TableIdentifier
from falcon_catalog.locations import key
from falcon_catalog.store import dropped, tabulars
from falcon_catalog.store.database import Transaction


def names(catalog: Catalog, kind: Kind, namespace: Namespace, page: Page) -> list[str]:
    """Return the names of one kind in a namespace, ordered."""
    with catalog.database.read() as tx:
        row = namespaces.require(tx, catalog, namespace)
        return tabulars.names(tx, row.id, kind.name, page)


def find(catalog: Catalog, kind: Kind, identifier: TableIdentifier) -> tabulars.TabularRow:
    """Return the row of a table or view that must exist, found with one statement."""
    return kinds.require(catalog.database.glance(), catalog, identifier, kind)


def place(
    tx: Transaction,
    catalog: Catalog,
    kind: Kind,
    identifier: TableIdentifier,
    *,
    requested: Any,
    uuid: str,
) -> str:
    """Return where a new table or view will lie: as requested, or by default in its own folder.

    Raises:
        NoSuchNamespaceError: its namespace does not exist.
        AlreadyExistsError: a table or view has the name.
        BadRequestError, ForbiddenError: the location is none, or not for it.
    """
    properties = namespaces.require(tx, catalog, identifier.namespace).properties
    kinds.require_free(tx, catalog, identifier, kind)
    if requested is None:
        location = placement.default_location(catalog, identifier, properties, uuid)
    else:
        location = placement.requested_location(requested)
    placement.check_allowed(catalog, location)
    placement.check_free(tx, catalog, location, besides=None)
    return location


def rename(
    catalog: Catalog, kind: Kind, source: TableIdentifier, destination: TableIdentifier
) -> None:
    """Give a table or view another name, in another namespace if asked. Its location stays.

    Raises:
        NoSuchTableError, NoSuchViewError: the source does not exist.
        NoSuchNamespaceError: the destination's namespace does not exist.
        AlreadyExistsError: the destination's name is taken.
    """
    with catalog.database.write() as tx:
        row = kinds.require(tx, catalog, source, kind)
        namespace = namespaces.require(tx, catalog, destination.namespace)
        taken = tabulars.find(tx, catalog.warehouse_id, destination)
        if taken is not None:
            what = taken.kind.capitalize()
            raise AlreadyExistsError(
                f"Cannot rename {source} to {destination}. {what} already exists"
            )
        tabulars.move(tx, row.id, namespace.id, destination.name)
        idempotency.conclude(tx, catalog, {})


def drop(catalog: Catalog, kind: Kind, identifier: TableIdentifier, *, purge: bool = False) -> None:
    """Remove a table or view from the catalog; until its retention ends it can be undropped.

    Its files stay, unless ``purge`` asks for their deletion once the retention is over.
    """
    with catalog.database.write() as tx:
        row = kinds.require(tx, catalog, identifier, kind)
        tabulars.delete(tx, row.id)
        if purge or catalog.drop_retention_ms:
            dropped.insert(
                tx,
                catalog.warehouse_id,
                identifier,
                row,
                purge=purge,
                retention_ms=catalog.drop_retention_ms,
            )
        idempotency.conclude(tx, catalog, {})


def unregister(catalog: Catalog, kind: Kind, identifier: TableIdentifier) -> Table:
    """Give a table up as it stands, for another catalog to register; nothing of it is deleted."""
    with catalog.database.write() as tx:
        row = kinds.require(tx, catalog, identifier, kind)
        document = loading.load(catalog, row, kind)
        tabulars.delete(tx, row.id)
        idempotency.conclude(tx, catalog, {"metadata-location": row.metadata_location})
    return Table(document, row.metadata_location)


def register(
    catalog: Catalog,
    kind: Kind,
    identifier: TableIdentifier,
    metadata_location: str,
    *,
    overwrite: bool = False,
) -> Table:
    """Add a table or view whose metadata file exists; ``overwrite`` replaces one of its kind.

    Raises:
        NotFoundError: there is no such metadata file.
        AlreadyExistsError: the name is taken, by the other kind or without ``overwrite``.
        CommitFailedError: it was dropped with a purge, and that has begun.
        BadRequestError, ForbiddenError: the file is no such metadata, or lies elsewhere.
    """
    with catalog.database.read() as tx:
        namespaces.require(tx, catalog, identifier.namespace)
        _replaceable(tx, catalog, kind, identifier, overwrite=overwrite)
    placement.check_allowed(catalog, metadata_location)
    catalog.mount.require()
    metadata = kind.validate(files.read(catalog.files, metadata_location))
    placement.check_metadata(catalog, metadata)
    document = loading.document_of(metadata, metadata_location)
    with catalog.database.write() as tx:
        namespace = namespaces.require(tx, catalog, identifier.namespace)
        old = _replaceable(tx, catalog, kind, identifier, overwrite=overwrite)
        placement.check_free(tx, catalog, metadata["location"], besides=old.id if old else None)
        if old is not None:
            tabulars.delete(tx, old.id)
        tabulars.insert(
            tx,
            namespace.id,
            identifier.name,
            kind=kind.name,
            uuid=kind.uuid_of(metadata),
            metadata_location=metadata_location,
            location_key=key(metadata["location"]),
        )
        # What is registered again is in use: no purge may take its files, or have begun to.
        if dropped.is_being_purged(tx, kind.uuid_of(metadata)):
            raise CommitFailedError(f"Cannot register {identifier}: its purge has begun")
        dropped.forget_uuid(tx, catalog.warehouse_id, kind.uuid_of(metadata))
        idempotency.conclude(tx, catalog, {"metadata-location": metadata_location})
    return Table(document, metadata_location)


def _replaceable(
    tx: Transaction, catalog: Catalog, kind: Kind, identifier: TableIdentifier, *, overwrite: bool
) -> tabulars.TabularRow | None:
    row = tabulars.find(tx, catalog.warehouse_id, identifier)
    if row is not None and not (overwrite and row.kind == kind.name):
        raise kind.name_taken(row.kind, identifier)
    return row
