"""Creation of tables and views. Their other verbs are in ``tabulars`` and ``commits``."""

import uuid
from dataclasses import replace

from falcon_catalog.catalog import access, authorization, commits, namespaces, policy, tabulars
from falcon_catalog.catalog.call import Call
from falcon_catalog.catalog.metadata_cache import Loaded
from falcon_catalog.catalog.tabulars import TABLE, VIEW, Kind
from falcon_catalog.identifiers import Namespace, TableIdentifier, check_name
from falcon_catalog.metadata import table, view
from falcon_catalog.metadata.document import Document
from falcon_catalog.metadata.json_fields import JSON, as_boolean, optional
from falcon_catalog.store.database import again


def create_table(call: Call, namespace: Namespace, request: JSON) -> Loaded:
    """Create a table; with ``stage-create`` return what it would be.

    Of a staged one nothing is stored but that its folders are its creator's.

    ``request`` is a CreateTableRequest of the REST specification.

    Raises:
        NoSuchNamespaceError: the namespace does not exist.
        AlreadyExistsError: a table or view has the name.
        BadRequestError, ForbiddenError: the request or its location breaks a rule.
    """
    is_staged = optional(request, "stage-create", as_boolean, "create table request")
    identifier, location, table_uuid = _place(call, TABLE, namespace, request)
    metadata = table.create(request, location=location, table_uuid=table_uuid, now_ms=call.now)
    _check(call, TABLE, identifier, metadata)
    # Before anything is stored: a token service may refuse.
    granted = access.provide(call, identifier, metadata)
    if not is_staged:
        created = commits.create(call, TABLE, identifier, metadata)
        return replace(created, access=granted)
    _reserve(call, namespace, metadata)
    call.warehouse.files.prepare_table(location, staged=True)
    return Loaded(Document(metadata), None, granted)


def create_view(call: Call, namespace: Namespace, request: JSON) -> Loaded:
    """Create a view from a CreateViewRequest. Raises as ``create_table``."""
    identifier, location, view_uuid = _place(call, VIEW, namespace, request)
    metadata = view.create(request, location=location, view_uuid=view_uuid, now_ms=call.now)
    _check(call, VIEW, identifier, metadata)
    return commits.create(call, VIEW, identifier, metadata)


@again
def _reserve(call: Call, namespace: Namespace, metadata: JSON) -> None:
    """Keep the folders of a staged table from others, before its creator may write to them."""
    with call.warehouse.store.write() as tx:
        namespace_id = namespaces.require(tx, call, namespace).id
        policy.reserve(tx, call, namespace_id, metadata)


def _check(call: Call, kind: Kind, identifier: TableIdentifier, metadata: JSON) -> None:
    """Check the metadata of a new table or view before anything is issued or written."""
    policy.check_metadata(call, f"{kind.name} {identifier}", None, metadata)
    tx = call.warehouse.store.autocommit()
    policy.check_free_paths(tx, call, kind.name, None, metadata, besides=None)
    authorization.check_dropped_files(call, policy.locations_of(metadata))


def _place(
    call: Call, kind: Kind, namespace: Namespace, request: JSON
) -> tuple[TableIdentifier, str, str]:
    """Return the identifier, the location and the uuid of a new table or view."""
    identifier = TableIdentifier(namespace, check_name(request.get("name"), kind.name))
    new_uuid = str(uuid.uuid4())
    requested = request.get("location")
    location = tabulars.place(call, kind, identifier, requested=requested, uuid=new_uuid)
    return identifier, location, new_uuid
