"""Namespaces over HTTP."""

from typing import Any
from urllib.parse import unquote

import falcon

from falcon_catalog.api.access import note
from falcon_catalog.api.http import read_namespace, read_object, read_page, send, send_page
from falcon_catalog.catalog import namespaces
from falcon_catalog.catalog.base import Catalog
from falcon_catalog.errors import BadRequestError, NoSuchNamespaceError
from falcon_catalog.identifiers import SEPARATOR, Namespace


class NamespacesResource:
    """``/v1/{prefix}/namespaces``."""

    in_warehouse = True

    def on_get(self, req: falcon.Request, resp: falcon.Response, *, catalog: Catalog) -> None:
        """List the namespaces directly below ``parent``."""
        page = read_page(req)
        parent = read_namespace(req, "parent")
        try:
            found = namespaces.list_(catalog, parent, page)
        except NoSuchNamespaceError:
            found = namespaces.list_(catalog, _decode_again(parent), page)
        send_page(
            resp,
            "namespaces",
            found,
            page,
            name=lambda namespace: namespace.levels[-1],
            show=lambda namespace: namespace.levels,
        )

    def on_post(self, req: falcon.Request, resp: falcon.Response, *, catalog: Catalog) -> None:
        """Create a namespace."""
        body = read_object(req)
        namespace = Namespace.of(body.get("namespace"))
        note(req, namespace=namespace)
        properties = _read_properties(body, "properties")
        namespaces.create(catalog, namespace, properties)
        send(resp, {"namespace": namespace.levels, "properties": properties})


class NamespaceResource:
    """``/v1/{prefix}/namespaces/{namespace}``."""

    in_warehouse = True

    def on_get(
        self, _req: falcon.Request, resp: falcon.Response, *, catalog: Catalog, namespace: Namespace
    ) -> None:
        """Load a namespace's properties."""
        properties = namespaces.load(catalog, namespace)
        send(resp, {"namespace": namespace.levels, "properties": properties})

    def on_head(
        self, _req: falcon.Request, resp: falcon.Response, *, catalog: Catalog, namespace: Namespace
    ) -> None:
        """Tell whether a namespace exists."""
        namespaces.load(catalog, namespace)
        resp.status = falcon.HTTP_204

    def on_delete(
        self, _req: falcon.Request, resp: falcon.Response, *, catalog: Catalog, namespace: Namespace
    ) -> None:
        """Drop an empty namespace."""
        namespaces.drop(catalog, namespace)
        resp.status = falcon.HTTP_204


class NamespacePropertiesResource:
    """``/v1/{prefix}/namespaces/{namespace}/properties``."""

    in_warehouse = True

    def on_post(
        self, req: falcon.Request, resp: falcon.Response, *, catalog: Catalog, namespace: Namespace
    ) -> None:
        """Remove and set properties."""
        body = read_object(req)
        removals = body.get("removals") or []
        if not isinstance(removals, list) or not all(isinstance(key, str) for key in removals):
            raise BadRequestError("Invalid removals: they are not a list of strings")
        updates = _read_properties(body, "updates")
        send(resp, namespaces.update(catalog, namespace, removals, updates))


def _read_properties(body: dict[str, Any], field: str) -> dict[str, str]:
    return namespaces.check_properties(body.get(field) or {}, field)


def _decode_again(parent: Namespace | None) -> Namespace | None:
    # PyIceberg 0.12 encodes the levels of a parent twice; those of a path it encodes once.
    # Others encode the separator twice as well.
    return parent and Namespace.of(unquote(parent.path).split(SEPARATOR))
