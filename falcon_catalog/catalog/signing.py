"""Access to the files of a table by signatures: the server signs single requests of a client.

Local files need none; access is controlled by file permissions.
"""

from typing import NoReturn

from falcon_catalog.catalog import tabulars
from falcon_catalog.catalog.call import Call
from falcon_catalog.catalog.tabulars import TABLE
from falcon_catalog.errors import BadRequestError, show
from falcon_catalog.identifiers import TableIdentifier
from falcon_catalog.metadata.json_fields import (
    JSON,
    array_of,
    as_object,
    as_text,
    as_texts,
    optional,
    required,
)

_METHODS = ("PUT", "GET", "HEAD", "POST", "DELETE", "PATCH", "OPTIONS")


def sign(call: Call, identifier: TableIdentifier, request: JSON) -> NoReturn:
    """Reject a request to sign an object store's request, since all files are local.

    ``request`` is a RemoteSignRequest of the REST specification.

    Raises:
        NoSuchTableError: no table has this name.
        BadRequestError: in every other case.
    """
    _check_sign_request(request)
    tabulars.find(call, TABLE, identifier)
    raise BadRequestError(
        f"Cannot sign the request for {identifier}: the files of the warehouse "
        f"{call.warehouse.name} are local, read and write them without a signature"
    )


def _check_sign_request(request: JSON) -> None:
    where = "remote sign request"
    required(request, "region", as_text, where)
    required(request, "uri", as_text, where)
    method = required(request, "method", as_text, where)
    if method not in _METHODS:
        known = ", ".join(_METHODS)
        raise BadRequestError(f"Invalid {where}: method {show(method)} is none of {known}")
    for name, values in required(request, "headers", as_object, where).items():
        array_of(as_text)(values, f"{where}, headers, {show(name)}")
    optional(request, "properties", as_texts, where)
    optional(request, "body", as_text, where)
    optional(request, "provider", as_text, where)
