"""The verbs of tables, commits aside."""

import uuid
from typing import Any

from falcon_catalog.catalog import commits, entries, loading, placement
from falcon_catalog.catalog.base import Catalog, Table
from falcon_catalog.catalog.documents import Snapshots
from falcon_catalog.catalog.kinds import TABLE
from falcon_catalog.errors import BadRequestError, show
from falcon_catalog.identifiers import Namespace, Page, TableIdentifier, check_name
from falcon_catalog.metadata import table as metadata_builder
from falcon_catalog.metadata.document import Document
from falcon_catalog.store import tabulars

JSON = dict[str, Any]


def read_flag(request: JSON, name: str) -> bool:
    """Return a field of a request that is true or false; absent and null are false.

    Raises:
        BadRequestError: it is neither.
    """
    value = request.get(name)
    if value is not None and not isinstance(value, bool):
        raise BadRequestError(f"Invalid {name}: {show(value)} is not true or false")
    return bool(value)


def list_(catalog: Catalog, namespace: Namespace, page: Page) -> list[str]:
    """Return the names of the tables in a namespace, ordered."""
    return entries.names(catalog, TABLE, namespace, page)


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
    staged = read_flag(request, "stage-create")
    table_uuid = str(uuid.uuid4())
    with catalog.database.read() as tx:
        location = entries.place(
            tx, catalog, TABLE, identifier, requested=request.get("location"), uuid=table_uuid
        )
        now = tx.now
    metadata = metadata_builder.create(
        request, location=location, table_uuid=table_uuid, now_ms=now
    )
    if not staged:
        return commits.create(catalog, identifier, metadata)
    placement.check_metadata(catalog, metadata)
    catalog.files.prepare_table(location, staged=True)
    return Table(Document(metadata), None)


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
    return entries.find(catalog, TABLE, identifier)


def is_in_memory(catalog: Catalog, row: tabulars.TabularRow, snapshots: Snapshots) -> bool:
    """Say whether ``load`` would read no file."""
    return loading.key_of(row, snapshots) in catalog.documents


def load(catalog: Catalog, row: tabulars.TabularRow, snapshots: Snapshots = "all") -> Table:
    """Return a table.

    Args:
        catalog: where.
        row: what ``find`` returned.
        snapshots: "refs" leaves out those that no branch or tag names.

    Raises:
        NotFoundError: the file is gone.
    """
    return Table(loading.load(catalog, row, TABLE, snapshots), row.metadata_location)


def drop(catalog: Catalog, identifier: TableIdentifier, *, purge: bool) -> None:
    """Remove a table from the catalog; as ``entries.drop``."""
    entries.drop(catalog, TABLE, identifier, purge=purge)


def unregister(catalog: Catalog, identifier: TableIdentifier) -> Table:
    """Give a table up, and return its last state; as ``entries.unregister``."""
    return entries.unregister(catalog, TABLE, identifier)


def rename(catalog: Catalog, source: TableIdentifier, destination: TableIdentifier) -> None:
    """Give a table another name; as ``entries.rename``."""
    entries.rename(catalog, TABLE, source, destination)


def register(
    catalog: Catalog, identifier: TableIdentifier, metadata_location: str, *, overwrite: bool
) -> Table:
    """Add a table whose metadata file exists; as ``entries.register``."""
    return entries.register(catalog, TABLE, identifier, metadata_location, overwrite=overwrite)
