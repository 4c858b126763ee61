"""The verbs of views."""

import uuid
from collections.abc import Sequence
from typing import Any

from falcon_catalog.catalog import commits, entries, loading
from falcon_catalog.catalog.base import Catalog, Table
from falcon_catalog.catalog.kinds import VIEW
from falcon_catalog.identifiers import Namespace, Page, TableIdentifier, check_name
from falcon_catalog.metadata import view as metadata_builder

JSON = dict[str, Any]


def list_(catalog: Catalog, namespace: Namespace, page: Page) -> list[str]:
    """Return the names of the views in a namespace, ordered."""
    return entries.names(catalog, VIEW, namespace, page)


def create(catalog: Catalog, namespace: Namespace, request: JSON) -> Table:
    """Create a view.

    Args:
        catalog: where.
        namespace: the view's namespace.
        request: a CreateViewRequest of the REST specification.

    Raises:
        NoSuchNamespaceError: the namespace does not exist.
        AlreadyExistsError: a table or view has the name.
        BadRequestError, ForbiddenError: the request or its location breaks a rule.
    """
    identifier = TableIdentifier(namespace, check_name(request.get("name"), "view"))
    view_uuid = str(uuid.uuid4())
    with catalog.database.read() as tx:
        location = entries.place(
            tx, catalog, VIEW, identifier, requested=request.get("location"), uuid=view_uuid
        )
        now = tx.now
    metadata = metadata_builder.create(request, location=location, view_uuid=view_uuid, now_ms=now)
    return commits.create(catalog, identifier, metadata, kind=VIEW)


def locate(catalog: Catalog, identifier: TableIdentifier) -> str:
    """Return the location of a view's current metadata file.

    Raises:
        NoSuchViewError: no view has this name.
    """
    return entries.find(catalog, VIEW, identifier).metadata_location


def load(catalog: Catalog, identifier: TableIdentifier) -> Table:
    """Return a view.

    Raises:
        NoSuchViewError: no view has this name.
        NotFoundError: its metadata file is gone.
    """
    row = entries.find(catalog, VIEW, identifier)
    return Table(loading.load(catalog, row, VIEW), row.metadata_location)


def replace(
    catalog: Catalog,
    identifier: TableIdentifier,
    requirements: Sequence[JSON],
    updates: Sequence[JSON],
) -> Table:
    """Commit updates to a view; return its new state.

    Raises:
        NoSuchViewError: no view has this name.
        CommitFailedError, CommitStateUnknownError, BadRequestError, ForbiddenError:
            as ``commits.commit``.
    """
    change = commits.Change(identifier, requirements, updates, kind=VIEW)
    return commits.commit(catalog, change)


def drop(catalog: Catalog, identifier: TableIdentifier) -> None:
    """Remove a view from the catalog; as ``entries.drop``."""
    entries.drop(catalog, VIEW, identifier)


def rename(catalog: Catalog, source: TableIdentifier, destination: TableIdentifier) -> None:
    """Give a view another name; as ``entries.rename``."""
    entries.rename(catalog, VIEW, source, destination)


def register(catalog: Catalog, identifier: TableIdentifier, metadata_location: str) -> Table:
    """Add a view whose metadata file exists; as ``entries.register``."""
    return entries.register(catalog, VIEW, identifier, metadata_location)
