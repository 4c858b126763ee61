"""Functions over HTTP. They are put and dropped in the management API."""

import falcon

from falcon_catalog.api.http import read_page, send_page, send_text
from falcon_catalog.catalog import functions
from falcon_catalog.catalog.base import Catalog
from falcon_catalog.identifiers import Namespace, TableIdentifier


class FunctionsResource:
    """``/v1/{prefix}/namespaces/{namespace}/functions``."""

    in_warehouse = True

    def on_get(
        self, req: falcon.Request, resp: falcon.Response, *, catalog: Catalog, namespace: Namespace
    ) -> None:
        """List the functions of a namespace."""
        page = read_page(req)
        found = functions.list_(catalog, namespace, page)
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

    in_warehouse = True

    def on_get(
        self,
        _req: falcon.Request,
        resp: falcon.Response,
        *,
        catalog: Catalog,
        namespace: Namespace,
        function: str,
    ) -> None:
        """Load a function, all its definitions."""
        send_function(resp, functions.load(catalog, TableIdentifier(namespace, function)))


def send_function(resp: falcon.Response, metadata: bytes) -> None:
    """Answer a LoadFunctionResult; without a file there is no ``metadata-location``."""
    send_text(resp, b'{"metadata":' + metadata + b"}")
