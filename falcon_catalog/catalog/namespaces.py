"""The verbs of namespaces."""

from falcon_catalog.catalog import idempotency, policy
from falcon_catalog.catalog.call import Call
from falcon_catalog.errors import (
    AlreadyExistsError,
    NamespaceNotEmptyError,
    NoSuchNamespaceError,
    UnprocessableEntityError,
)
from falcon_catalog.identifiers import Namespace, Page
from falcon_catalog.metadata.json_fields import JSON, array_of, as_text, as_texts
from falcon_catalog.store import namespaces as rows
from falcon_catalog.store.database import Lock, Transaction, again

Properties = dict[str, str]


def list_(call: Call, parent: Namespace | None, page: Page) -> list[Namespace]:
    """Return the namespaces directly below ``parent`` (None: the top), ordered by name.

    Raises:
        NoSuchNamespaceError: there is no such parent.
    """
    with call.warehouse.store.read() as tx:
        parent_id = None if parent is None else require(tx, call, parent).id
        return rows.children(tx, call.warehouse.id, parent_id, page)


@again
def create(call: Call, namespace: Namespace, given: object) -> JSON:
    """Add a namespace inside its parent; return its CreateNamespaceResponse.

    Raises:
        NoSuchNamespaceError: its parent does not exist.
        AlreadyExistsError: it exists.
        BadRequestError: the given properties are malformed or too long, or their location is none.
        ForbiddenError: its location is not for its tables.
    """
    properties = as_texts(given or {}, "properties")
    policy.check_properties(call.warehouse, f"namespace {namespace}", None, properties)
    with call.warehouse.store.write() as tx:
        parent = namespace.parent
        parent_id = None if parent is None else require(tx, call, parent).id
        if not rows.insert(
            tx, call.warehouse.id, namespace, parent_id=parent_id, properties=properties
        ):
            raise AlreadyExistsError(f"Namespace already exists: {namespace}")
        _check_location(tx, call, {}, properties)
        created = {"namespace": namespace.levels, "properties": properties}
        idempotency.record(tx, call, {"body": created})
    return created


def load(call: Call, namespace: Namespace) -> Properties:
    """Return the properties of a namespace."""
    with call.warehouse.store.read() as tx:
        return require(tx, call, namespace).properties


@again
def update(call: Call, namespace: Namespace, request: JSON) -> JSON:
    """Apply an UpdateNamespacePropertiesRequest; return its response.

    That names the keys that were ``removed``, ``updated``, and to be removed but ``missing``.

    Raises:
        UnprocessableEntityError: a key is both removed and updated.
        NoSuchNamespaceError: there is no such namespace.
        BadRequestError: the request is malformed, all properties would be too long, or the new
            location is none.
        ForbiddenError: the new location is not for its tables.
    """
    removals = array_of(as_text)(request.get("removals") or [], "removals")
    updates = as_texts(request.get("updates") or {}, "updates")
    if both := sorted(set(removals) & set(updates)):
        raise UnprocessableEntityError(
            f"Invalid properties update: {', '.join(both)} cannot be both removed and updated"
        )
    with call.warehouse.store.write() as tx:
        row = require(tx, call, namespace, "change")
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


@again
def drop(call: Call, namespace: Namespace) -> None:
    """Remove an empty namespace.

    Raises:
        NamespaceNotEmptyError: it still holds tables, views, functions or namespaces.
        NoSuchNamespaceError: there is no such namespace.
    """
    with call.warehouse.store.write() as tx:
        row = require(tx, call, namespace, "change")
        if content := rows.content(tx, row.id):
            held = ", ".join(f"{count} {what}" for what, count in content.items())
            raise NamespaceNotEmptyError(f"Namespace {namespace} is not empty. It holds {held}.")
        rows.delete(tx, row.id)
        idempotency.record(tx, call, {})


def require(
    tx: Transaction, call: Call, namespace: Namespace, lock: Lock = "share"
) -> rows.NamespaceRow:
    """Return the row of a namespace that must exist; as ``store.namespaces.find``."""
    row = rows.find(tx, call.warehouse.id, namespace, lock)
    if row is None:
        raise NoSuchNamespaceError(f"Namespace does not exist: {namespace}")
    return row
