"""Signatures for requests to a table's files over HTTP."""

from falcon import Request, Response

from falcon_catalog.api.requests import read_object
from falcon_catalog.catalog import signing
from falcon_catalog.catalog.call import Call
from falcon_catalog.identifiers import TableIdentifier


class SignResource:
    """``/v1/{prefix}/namespaces/{namespace}/tables/{table}/sign``."""

    def on_post(
        self, req: Request, _resp: Response, call: Call, identifier: TableIdentifier
    ) -> None:
        """Sign a request to an object store; always an error, since warehouses are local."""
        signing.sign(call, identifier, read_object(req))
