"""Access to a table's files over HTTP."""

from falcon import Request, Response

from falcon_catalog.api.requests import read_object
from falcon_catalog.api.responses import send
from falcon_catalog.catalog import credentials
from falcon_catalog.catalog.call import Call
from falcon_catalog.identifiers import TableIdentifier


class CredentialsResource:
    """``/v1/{prefix}/namespaces/{namespace}/tables/{table}/credentials``."""

    def on_get(
        self, _req: Request, resp: Response, call: Call, identifier: TableIdentifier
    ) -> None:
        """Load credentials. The plan and the views that a client names are ignored."""
        vended = credentials.vend(call, identifier)
        send(resp, {"storage-credentials": vended})


class SignResource:
    """``/v1/{prefix}/namespaces/{namespace}/tables/{table}/sign``."""

    def on_post(
        self, req: Request, _resp: Response, call: Call, identifier: TableIdentifier
    ) -> None:
        """Sign a request to an object store; always an error, since warehouses are local."""
        credentials.sign(call, identifier, read_object(req))
