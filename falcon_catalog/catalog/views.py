"""Creation of views. The other verbs of views are in ``tabulars`` and ``commits``."""

import uuid
from typing import Any

from falcon_catalog.catalog import commits, tabulars
from falcon_catalog.catalog.call import Call
from falcon_catalog.catalog.metadata_cache import Loaded
from falcon_catalog.catalog.tabulars import VIEW
from falcon_catalog.identifiers import Namespace, TableIdentifier, check_name
from falcon_catalog.metadata import view as metadata_builder

JSON = dict[str, Any]


def create(call: Call, namespace: Namespace, request: JSON) -> Loaded:
    """Create a view.

    Args:
        call: the request.
        namespace: the view's namespace.
        request: a CreateViewRequest of the REST specification.

    Raises:
        NoSuchNamespaceError: the namespace does not exist.
        AlreadyExistsError: a table or view has the name.
        BadRequestError, ForbiddenError: the request or its location breaks a rule.
    """
    identifier = TableIdentifier(namespace, check_name(request.get("name"), "view"))
    view_uuid = str(uuid.uuid4())
    location = tabulars.place(
        call, VIEW, identifier, requested=request.get("location"), uuid=view_uuid
    )
    metadata = metadata_builder.create(
        request, location=location, view_uuid=view_uuid, now_ms=call.now
    )
    return commits.create(call, VIEW, identifier, metadata)
