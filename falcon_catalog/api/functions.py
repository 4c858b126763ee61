"""Functions over HTTP. The management API adds and drops them."""

from falcon import Request, Response

from falcon_catalog.api.requests import read_page
from falcon_catalog.api.responses import send_page, send_text
from falcon_catalog.catalog import functions
from falcon_catalog.catalog.call import Call
from falcon_catalog.identifiers import Namespace, TableIdentifier


class FunctionsResource:
    """``/v1/{prefix}/namespaces/{namespace}/functions``."""

    def on_get(self, req: Request, resp: Response, call: Call, namespace: Namespace) -> None:
        """List the functions of a namespace."""
        page = read_page(req, call, "functions", namespace)
        found = functions.list_(call, namespace, page)
        send_page(
            resp,
            "identifiers",
            found,
            page,
            name=str,
            show=lambda name: [*namespace.levels, name],
        )


class FunctionResource:
    """``/v1/{prefix}/namespaces/{namespace}/functions/{function}``."""

    def on_get(
        self, _req: Request, resp: Response, call: Call, identifier: TableIdentifier
    ) -> None:
        """Load a function with all its definitions."""
        send_function(resp, functions.load(call, identifier))


def send_function(resp: Response, metadata: bytes) -> None:
    """Respond with a LoadFunctionResult. Functions have no metadata file, so no location."""
    send_text(resp, b'{"metadata":' + metadata + b"}")
