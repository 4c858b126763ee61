"""The verbs of namespaces."""

from collections.abc import Mapping, Sequence
from typing import Any

from falcon_catalog.catalog import idempotency, policy
from falcon_catalog.catalog.call import Call
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


def list_(call: Call, parent: Namespace | None, page: Page) -> list[Namespace]:
    """Return the namespaces directly below ``parent`` (None: the top), ordered by name.

    Raises:
        NoSuchNamespaceError: there is no such parent.
    """
    with call.warehouse.store.read() as tx:
        parent_id = None if parent is None else require(tx, call, parent).id
        return rows.children(tx, call.warehouse.id, parent_id, page)


def create(call: Call, namespace: Namespace, properties: Properties) -> None:
    """Add a namespace inside its parent.

    Raises:
        NoSuchNamespaceError: its parent does not exist.
        AlreadyExistsError: it exists.
        BadRequestError: its properties are too long, or its location is none.
        ForbiddenError: its location is not for its tables.
    """
    policy.check_properties(call.warehouse, f"namespace {namespace}", None, properties)
    with call.warehouse.store.write() as tx:
        parent = namespace.parent
        parent_id = None if parent is None else require(tx, call, parent).id
        if not rows.insert(
            tx, call.warehouse.id, namespace, parent_id=parent_id, properties=properties
        ):
            raise AlreadyExistsError(f"Namespace already exists: {namespace}")
        _check_location(tx, call, {}, properties)
        body = {"namespace": namespace.levels, "properties": properties}
        idempotency.record(tx, call, {"body": body})


def load(call: Call, namespace: Namespace) -> Properties:
    """Return the properties of a namespace."""
    with call.warehouse.store.read() as tx:
        return require(tx, call, namespace).properties


def update(
    call: Call, namespace: Namespace, removals: Sequence[str], updates: Properties
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
    with call.warehouse.store.write() as tx:
        row = require(tx, call, namespace)
        wanted = dict.fromkeys(removals)
        kept = {key: value for key, value in row.properties.items() if key not in wanted}
        changed = kept | updates
        policy.check_properties(call.warehouse, f"namespace {namespace}", row.properties, changed)
        _check_location(tx, call, row.properties, changed)
        rows.set_properties(tx, row.id, changed)
        outcome = {
            "removed": [key for key in wanted if key in row.properties],
            "updated": list(updates),
            "missing": [key for key in wanted if key not in row.properties],
        }
        idempotency.record(tx, call, {"body": outcome})
    return outcome


def _check_location(tx: Transaction, call: Call, before: Properties, after: Properties) -> None:
    """Check that tables can be created below a namespace's ``location``, if it is a new one.

    One that was accepted earlier stays, so that everything else can be changed.
    """
    location = after.get("location")
    if location and location != before.get("location"):
        policy.check_allowed(call.warehouse, location)
        policy.check_surroundings(tx, call.warehouse, location)


def drop(call: Call, namespace: Namespace) -> None:
    """Remove an empty namespace.

    Raises:
        NamespaceNotEmptyError: it still holds tables, views, functions or namespaces.
        NoSuchNamespaceError: there is no such namespace.
    """
    with call.warehouse.store.write() as tx:
        row = require(tx, call, namespace)
        if content := rows.content(tx, row.id):
            held = ", ".join(f"{count} {what}" for what, count in content.items())
            raise NamespaceNotEmptyError(f"Namespace {namespace} is not empty. It holds {held}.")
        rows.delete(tx, row.id)
        idempotency.record(tx, call, {})


def require(tx: Transaction, call: Call, namespace: Namespace) -> rows.NamespaceRow:
    """Return the row of a namespace that must exist."""
    row = rows.find(tx, call.warehouse.id, namespace)
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
