"""Views over HTTP."""

import falcon

from falcon_catalog.api.access import note, note_rename
from falcon_catalog.api.documents import send_view
from falcon_catalog.api.http import (
    read_metadata_location,
    read_object,
    read_objects,
    read_page,
    send_page,
)
from falcon_catalog.catalog import views
from falcon_catalog.catalog.base import Catalog
from falcon_catalog.identifiers import Namespace, TableIdentifier, check_name


class ViewsResource:
    """``/v1/{prefix}/namespaces/{namespace}/views``."""

    in_warehouse = True

    def on_get(
        self, req: falcon.Request, resp: falcon.Response, *, catalog: Catalog, namespace: Namespace
    ) -> None:
        """List the views of a namespace."""
        page = read_page(req)
        send_page(
            resp,
            "identifiers",
            views.list_(catalog, namespace, page),
            page,
            name=str,
            show=lambda name: TableIdentifier(namespace, name).as_json(),
        )

    def on_post(
        self, req: falcon.Request, resp: falcon.Response, *, catalog: Catalog, namespace: Namespace
    ) -> None:
        """Create a view."""
        body = read_object(req)
        note(req, table=body.get("name"))
        send_view(req, resp, views.create(catalog, namespace, body))


class ViewResource:
    """``/v1/{prefix}/namespaces/{namespace}/views/{view}``."""

    in_warehouse = True

    def on_get(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        *,
        catalog: Catalog,
        identifier: TableIdentifier,
    ) -> None:
        """Load a view. Through which views it is reached (``referenced-by``) changes nothing."""
        send_view(req, resp, views.load(catalog, identifier))

    def on_head(
        self,
        _req: falcon.Request,
        resp: falcon.Response,
        *,
        catalog: Catalog,
        identifier: TableIdentifier,
    ) -> None:
        """Tell whether a view exists."""
        views.locate(catalog, identifier)
        resp.status = falcon.HTTP_204

    def on_post(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        *,
        catalog: Catalog,
        identifier: TableIdentifier,
    ) -> None:
        """Commit updates to a view."""
        body = read_object(req)
        requirements = read_objects(body, "requirements", required=False)
        updates = read_objects(body, "updates", required=True)
        send_view(req, resp, views.replace(catalog, identifier, requirements, updates))

    def on_delete(
        self,
        _req: falcon.Request,
        resp: falcon.Response,
        *,
        catalog: Catalog,
        identifier: TableIdentifier,
    ) -> None:
        """Drop a view; its files stay."""
        views.drop(catalog, identifier)
        resp.status = falcon.HTTP_204


class RenameViewResource:
    """``/v1/{prefix}/views/rename``."""

    in_warehouse = True

    def on_post(self, req: falcon.Request, resp: falcon.Response, *, catalog: Catalog) -> None:
        """Give a view another name."""
        body = read_object(req)
        source = TableIdentifier.of(body.get("source"))
        destination = TableIdentifier.of(body.get("destination"))
        note_rename(req, source, destination)
        views.rename(catalog, source, destination)
        resp.status = falcon.HTTP_204


class RegisterViewResource:
    """``/v1/{prefix}/namespaces/{namespace}/register-view``."""

    in_warehouse = True

    def on_post(
        self, req: falcon.Request, resp: falcon.Response, *, catalog: Catalog, namespace: Namespace
    ) -> None:
        """Add a view that exists as a file."""
        body = read_object(req)
        note(req, table=body.get("name"))
        identifier = TableIdentifier(namespace, check_name(body.get("name"), "view"))
        send_view(req, resp, views.register(catalog, identifier, read_metadata_location(body)))
