"""The verbs of tables, commits aside."""

import uuid
from typing import Any, Literal

import orjson

from falcon_catalog.catalog import commits, files, namespaces, placement
from falcon_catalog.catalog.base import Catalog, Table
from falcon_catalog.errors import AlreadyExistsError, BadRequestError, NoSuchTableError
from falcon_catalog.identifiers import Namespace, Page, TableIdentifier, check_name
from falcon_catalog.locations import key
from falcon_catalog.metadata import table as metadata_builder
from falcon_catalog.store import tabulars
from falcon_catalog.store.database import Transaction

JSON = dict[str, Any]
Snapshots = Literal["all", "refs"]


def list_(catalog: Catalog, namespace: Namespace, page: Page) -> list[str]:
    """Return the names of the tables in a namespace, ordered."""
    with catalog.database.read() as tx:
        row = namespaces.require(tx, catalog, namespace)
        return tabulars.names(tx, row.id, "table", page)


def create(catalog: Catalog, namespace: Namespace, request: JSON) -> Table:
    """Create a table, or with ``stage-create`` answer what it would be and store nothing.

    Args:
        catalog: where.
        namespace: the table's namespace.
        request: a CreateTableRequest of the REST specification.

    Raises:
        NoSuchNamespaceError: the namespace does not exist.
        AlreadyExistsError: a table or view has the name.
        BadRequestError, ForbiddenError: the request or its location breaks a rule.
    """
    identifier = TableIdentifier(namespace, check_name(request.get("name"), "table"))
    staged = request.get("stage-create", False)
    if not isinstance(staged, bool):
        raise BadRequestError(f"Invalid stage-create: {staged!r} is not true or false")
    table_uuid = str(uuid.uuid4())
    with catalog.database.read() as tx:
        properties = namespaces.require(tx, catalog, namespace).properties
        commits.require_free(tx, catalog, identifier)
        if request.get("location") is None:
            location = placement.default_location(catalog, identifier, properties, table_uuid)
        else:
            location = placement.requested_location(request["location"])
        placement.check_allowed(catalog, location)
        placement.check_free(tx, location, besides=None)
        now = tx.now
    metadata = metadata_builder.create(
        request, location=location, table_uuid=table_uuid, now_ms=now
    )
    if not staged:
        return commits.create(catalog, identifier, metadata)
    placement.check_metadata(catalog, metadata)
    catalog.files.prepare_table(location)
    return Table(orjson.dumps(metadata), None)


def locate(catalog: Catalog, identifier: TableIdentifier) -> str:
    """Return the location of a table's current metadata file.

    Raises:
        NoSuchTableError: no table has this name.
    """
    return find(catalog, identifier).metadata_location


def find(catalog: Catalog, identifier: TableIdentifier) -> tabulars.TabularRow:
    """Return a table's row.

    Raises:
        NoSuchTableError: no table has this name.
    """
    with catalog.database.read() as tx:
        return _require(tx, catalog, identifier)


def load(catalog: Catalog, metadata_location: str, snapshots: Snapshots = "all") -> Table:
    """Return the table whose current metadata file this is.

    Args:
        catalog: where.
        metadata_location: what ``locate`` returned.
        snapshots: "refs" leaves out those that no branch or tag names.

    Raises:
        NotFoundError: the file is gone.
    """
    if snapshots == "all":
        return Table(files.read_text(catalog.files, metadata_location), metadata_location)
    metadata = files.read(catalog.files, metadata_location)
    shown = metadata_builder.filter_snapshots_to_refs(metadata)
    return Table(orjson.dumps(shown), metadata_location)


def drop(catalog: Catalog, identifier: TableIdentifier) -> None:
    """Remove a table from the catalog. Its files stay."""
    with catalog.database.write() as tx:
        tabulars.delete(tx, _require(tx, catalog, identifier).id)


def rename(catalog: Catalog, source: TableIdentifier, destination: TableIdentifier) -> None:
    """Give a table another name, in another namespace if asked. Its location stays.

    Raises:
        NoSuchTableError: the source does not exist.
        NoSuchNamespaceError: the destination's namespace does not exist.
        AlreadyExistsError: the destination's name is taken.
    """
    with catalog.database.write() as tx:
        table = _require(tx, catalog, source)
        namespace = namespaces.require(tx, catalog, destination.namespace)
        taken = tabulars.find(tx, catalog.warehouse_id, destination)
        if taken is not None:
            what = taken.kind.capitalize()
            raise AlreadyExistsError(
                f"Cannot rename {source} to {destination}. {what} already exists"
            )
        tabulars.move(tx, table.id, namespace.id, destination.name)


def register(
    catalog: Catalog, identifier: TableIdentifier, metadata_location: str, *, overwrite: bool
) -> Table:
    """Add a table whose metadata file exists; ``overwrite`` replaces a table of that name.

    Raises:
        NotFoundError: there is no such metadata file.
        AlreadyExistsError: the name is taken, by a view or without ``overwrite``.
        BadRequestError, ForbiddenError: the file is no table metadata, or lies elsewhere.
    """
    with catalog.database.read() as tx:
        namespaces.require(tx, catalog, identifier.namespace)
        _replaceable(tx, catalog, identifier, overwrite=overwrite)
    placement.check_allowed(catalog, metadata_location)
    metadata = metadata_builder.validate(files.read(catalog.files, metadata_location))
    placement.check_metadata(catalog, metadata)
    with catalog.database.write() as tx:
        namespace = namespaces.require(tx, catalog, identifier.namespace)
        old = _replaceable(tx, catalog, identifier, overwrite=overwrite)
        placement.check_free(tx, metadata["location"], besides=old.id if old else None)
        if old is not None:
            tabulars.delete(tx, old.id)
        tabulars.insert(
            tx,
            namespace.id,
            identifier.name,
            kind="table",
            uuid=str(metadata["table-uuid"]).lower(),
            metadata_location=metadata_location,
            location_key=key(metadata["location"]),
        )
    return Table(orjson.dumps(metadata), metadata_location)


def _replaceable(
    tx: Transaction, catalog: Catalog, identifier: TableIdentifier, *, overwrite: bool
) -> tabulars.TabularRow | None:
    row = tabulars.find(tx, catalog.warehouse_id, identifier)
    if row is not None and not (overwrite and row.kind == "table"):
        raise commits.name_taken(row.kind, identifier)
    return row


def _require(tx: Transaction, catalog: Catalog, identifier: TableIdentifier) -> tabulars.TabularRow:
    row = tabulars.find(tx, catalog.warehouse_id, identifier)
    if row is None or row.kind != "table":
        raise NoSuchTableError(f"Table does not exist: {identifier}")
    return row
