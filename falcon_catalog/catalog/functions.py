"""The verbs of functions, whose metadata is stored in the database."""

import uuid

from falcon_catalog.catalog import idempotency, namespaces
from falcon_catalog.catalog.call import Call
from falcon_catalog.errors import BadRequestError, CommitFailedError, NoSuchFunctionError
from falcon_catalog.identifiers import Namespace, Page, TableIdentifier, check_name
from falcon_catalog.metadata import function as metadata_builder
from falcon_catalog.metadata.json_fields import JSON, text_of
from falcon_catalog.store import functions as rows
from falcon_catalog.store.database import Transaction, again
from falcon_catalog.store.functions import FunctionRow


def list_(call: Call, namespace: Namespace, page: Page) -> list[str]:
    """Return the names of the functions in a namespace, ordered."""
    with call.warehouse.store.read() as tx:
        return rows.names(tx, namespaces.require(tx, call, namespace).id, page)


def load(call: Call, identifier: TableIdentifier) -> bytes:
    """Return a function's metadata as JSON text.

    Raises:
        NoSuchNamespaceError, NoSuchFunctionError: it does not exist.
    """
    with call.warehouse.store.read() as tx:
        return _require(tx, call, identifier).metadata.encode()


@again
def put(call: Call, identifier: TableIdentifier, request: JSON) -> bytes:
    """Add a function, or replace one; return its metadata as JSON text.

    ``request`` is a FunctionMetadata of the REST specification. Without ``function-uuid`` the
    function gets one, or keeps the one it has.

    Raises:
        NoSuchNamespaceError: its namespace does not exist.
        BadRequestError: the metadata is invalid, or has the uuid of another function.
        CommitFailedError: another request added the function meanwhile.
    """
    check_name(identifier.name, "function")
    with call.warehouse.store.write() as tx:
        namespace = namespaces.require(tx, call, identifier.namespace)
        old = rows.find(tx, namespace.id, identifier.name)
        known_uuid = old.uuid if old else str(uuid.uuid4())
        metadata = metadata_builder.parse(request, drawn_uuid=known_uuid)
        given_uuid = metadata["function-uuid"].lower()
        if old is not None and given_uuid != old.uuid:
            raise BadRequestError(
                f"Invalid function-uuid {given_uuid}: {identifier} has {old.uuid}, for good"
            )
        text = text_of(metadata, metadata_builder.WHERE)
        if not rows.put(tx, namespace.id, identifier.name, uuid=given_uuid, metadata=text.decode()):
            raise CommitFailedError(f"Cannot put {identifier}: it was added meanwhile")
    return text


@again
def drop(call: Call, identifier: TableIdentifier) -> None:
    """Remove a function.

    Raises:
        NoSuchNamespaceError, NoSuchFunctionError: it does not exist.
    """
    with call.warehouse.store.write() as tx:
        rows.delete(tx, _require(tx, call, identifier).id)
        idempotency.record(tx, call, {})


def _require(tx: Transaction, call: Call, identifier: TableIdentifier) -> FunctionRow:
    namespace = namespaces.require(tx, call, identifier.namespace)
    row = rows.find(tx, namespace.id, identifier.name)
    if row is None:
        raise NoSuchFunctionError(f"Function does not exist: {identifier}")
    return row
