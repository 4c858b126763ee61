"""Namespaces over HTTP."""

import falcon
from falcon import Request, Response

from falcon_catalog.api.request_log import note
from falcon_catalog.api.requests import decode_again, read_namespace, read_object, read_page
from falcon_catalog.api.responses import send, send_page
from falcon_catalog.catalog import namespaces
from falcon_catalog.catalog.call import Call
from falcon_catalog.errors import NoSuchNamespaceError
from falcon_catalog.identifiers import Namespace


class NamespacesResource:
    """``/v1/{prefix}/namespaces``."""

    def on_get(self, req: Request, resp: Response, call: Call) -> None:
        """List the namespaces directly below ``parent``."""
        parent = read_namespace(req, "parent")
        page = read_page(req, call, "namespaces", parent)
        try:
            found = namespaces.list_(call, parent, page)
        except NoSuchNamespaceError:
            found = namespaces.list_(call, decode_again(parent), page)
        send_page(
            resp,
            "namespaces",
            found,
            page,
            name=lambda namespace: namespace.levels[-1],
            show=lambda namespace: namespace.levels,
        )

    def on_post(self, req: Request, resp: Response, call: Call) -> None:
        """Create a namespace."""
        body = read_object(req)
        namespace = Namespace.of(body.get("namespace"))
        note(req, namespace=namespace)
        send(resp, namespaces.create(call, namespace, body.get("properties")))


class NamespaceResource:
    """``/v1/{prefix}/namespaces/{namespace}``."""

    def on_get(self, _req: Request, resp: Response, call: Call, namespace: Namespace) -> None:
        """Load a namespace's properties."""
        properties = namespaces.load(call, namespace)
        send(resp, {"namespace": namespace.levels, "properties": properties})

    def on_head(self, _req: Request, resp: Response, call: Call, namespace: Namespace) -> None:
        """Return whether a namespace exists."""
        namespaces.load(call, namespace)
        resp.status = falcon.HTTP_204

    def on_delete(self, _req: Request, resp: Response, call: Call, namespace: Namespace) -> None:
        """Drop an empty namespace."""
        namespaces.drop(call, namespace)
        resp.status = falcon.HTTP_204


class NamespacePropertiesResource:
    """``/v1/{prefix}/namespaces/{namespace}/properties``."""

    def on_post(self, req: Request, resp: Response, call: Call, namespace: Namespace) -> None:
        """Remove and set properties."""
        send(resp, namespaces.update(call, namespace, read_object(req)))
