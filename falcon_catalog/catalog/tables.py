"""Creation of tables. The other verbs of tables are in ``tabulars`` and ``commits``."""

import uuid
from typing import Any

from falcon_catalog.catalog import commits, policy, tabulars
from falcon_catalog.catalog.call import Call
from falcon_catalog.catalog.metadata_cache import Loaded
from falcon_catalog.catalog.tabulars import TABLE
from falcon_catalog.errors import BadRequestError, show
from falcon_catalog.identifiers import Namespace, TableIdentifier, check_name
from falcon_catalog.metadata import table as metadata_builder
from falcon_catalog.metadata.document import Document

JSON = dict[str, Any]


def create(call: Call, namespace: Namespace, request: JSON) -> Loaded:
    """Create a table; with ``stage-create`` return what it would be, and store nothing.

    Args:
        call: the request.
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
    location = tabulars.place(
        call, TABLE, identifier, requested=request.get("location"), uuid=table_uuid
    )
    metadata = metadata_builder.create(
        request, location=location, table_uuid=table_uuid, now_ms=call.now
    )
    if not staged:
        return commits.create(call, TABLE, identifier, metadata)
    policy.check_locations(call.warehouse, metadata)
    call.warehouse.files.prepare_table(location, staged=True)
    return Loaded(Document(metadata), None)


def read_flag(request: JSON, name: str) -> bool:
    """Return a boolean field of a request; absent and null are false.

    Raises:
        BadRequestError: it is not a boolean.
    """
    value = request.get(name)
    if value is not None and not isinstance(value, bool):
        raise BadRequestError(f"Invalid {name}: {show(value)} is not true or false")
    return bool(value)
