"""The verbs of namespaces."""

from collections.abc import Mapping, Sequence
from typing import Any

from falcon_catalog.catalog import growth, idempotency, placement
from falcon_catalog.catalog.base import Catalog
from falcon_catalog.errors import (
    AlreadyExistsError,
    BadRequestError,
    NamespaceNotEmptyError,
    NoSuchNamespaceError,
    UnprocessableEntityError,
    show,
)
from falcon_catalog.identifiers import Namespace, Page
from falcon_catalog.store import namespaces as rows
from falcon_catalog.store.database import Transaction

Properties = dict[str, str]


def list_(catalog: Catalog, parent: Namespace | None, page: Page) -> list[Namespace]:
    """Return the namespaces directly below ``parent`` (None: the top), ordered by name.

    Raises:
        NoSuchNamespaceError: there is no such parent.
    """
    with catalog.database.read() as tx:
        parent_id = None if parent is None else require(tx, catalog, parent).id
        return rows.children(tx, catalog.warehouse_id, parent_id, page)


def create(catalog: Catalog, namespace: Namespace, properties: Properties) -> None:
    """Add a namespace inside its parent.

    Raises:
        NoSuchNamespaceError: its parent does not exist.
        AlreadyExistsError: it exists.
        BadRequestError: its properties are too long, or its location is none.
        ForbiddenError: its location is not for its tables.
    """
    growth.check_properties(catalog, f"namespace {namespace}", None, properties)
    with catalog.database.write() as tx:
        parent = namespace.parent
        parent_id = None if parent is None else require(tx, catalog, parent).id
        if not rows.insert(
            tx, catalog.warehouse_id, namespace, parent_id=parent_id, properties=properties
        ):
            raise AlreadyExistsError(f"Namespace already exists: {namespace}")
        _check_location(tx, catalog, {}, properties)
        body = {"namespace": namespace.levels, "properties": properties}
        idempotency.conclude(tx, catalog, {"body": body})


def load(catalog: Catalog, namespace: Namespace) -> Properties:
    """Return the properties of a namespace."""
    with catalog.database.read() as tx:
        return require(tx, catalog, namespace).properties


def update(
    catalog: Catalog, namespace: Namespace, removals: Sequence[str], updates: Properties
) -> dict[str, list[str]]:
    """Remove and set properties.

    Returns the keys that were ``removed``, ``updated``, and were to be removed but ``missing``.

    Raises:
        UnprocessableEntityError: a key is both removed and updated.
        NoSuchNamespaceError: there is no such namespace.
        BadRequestError: all properties would be too long, or the new location is none.
        ForbiddenError: the new location is not for its tables.
    """
    if both := sorted(set(removals) & set(updates)):
        raise UnprocessableEntityError(
            f"Invalid properties update: {', '.join(both)} cannot be both removed and updated"
        )
    with catalog.database.write() as tx:
        row = require(tx, catalog, namespace)
        wanted = dict.fromkeys(removals)
        kept = {key: value for key, value in row.properties.items() if key not in wanted}
        changed = kept | updates
        growth.check_properties(catalog, f"namespace {namespace}", row.properties, changed)
        _check_location(tx, catalog, row.properties, changed)
        rows.set_properties(tx, row.id, changed)
        outcome = {
            "removed": [key for key in wanted if key in row.properties],
            "updated": list(updates),
            "missing": [key for key in wanted if key not in row.properties],
        }
        idempotency.conclude(tx, catalog, {"body": outcome})
    return outcome


def _check_location(
    tx: Transaction, catalog: Catalog, before: Properties, after: Properties
) -> None:
    """Check that tables can be created below a namespace's ``location``, if it is a new one.

    One that was accepted earlier stays, so that everything else can be changed.
    """
    location = after.get("location")
    if location and location != before.get("location"):
        placement.check_allowed(catalog, location)
        placement.check_surroundings(tx, catalog, location)


def drop(catalog: Catalog, namespace: Namespace) -> None:
    """Remove an empty namespace.

    Raises:
        NamespaceNotEmptyError: it still holds tables, views, functions or namespaces.
        NoSuchNamespaceError: there is no such namespace.
    """
    with catalog.database.write() as tx:
        row = require(tx, catalog, namespace)
        if content := rows.content(tx, row.id):
            held = ", ".join(f"{count} {what}" for what, count in content.items())
            raise NamespaceNotEmptyError(f"Namespace {namespace} is not empty. It holds {held}.")
        rows.delete(tx, row.id)
        idempotency.conclude(tx, catalog, {})


def require(tx: Transaction, catalog: Catalog, namespace: Namespace) -> rows.NamespaceRow:
    """Return the row of a namespace that must exist."""
    row = rows.find(tx, catalog.warehouse_id, namespace)
    if row is None:
        raise NoSuchNamespaceError(f"Namespace does not exist: {namespace}")
    return row


def check_properties(value: Any, what: str) -> Properties:
    """Return ``value`` if it maps strings to strings.

    Raises:
        BadRequestError: it does not; the message names ``what`` and the key.
    """
    if not isinstance(value, Mapping):
        raise BadRequestError(f"Invalid {what}: {show(value)} is not an object of strings")
    for key, content in value.items():
        if not isinstance(content, str):
            raise BadRequestError(f"Invalid {what}: the value of {show(key)} is not a string")
    return dict(value)
