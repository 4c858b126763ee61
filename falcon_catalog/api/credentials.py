"""Credentials for a table's files over HTTP."""

from falcon import Request, Response

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
