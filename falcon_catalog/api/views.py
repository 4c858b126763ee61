"""Views over HTTP."""

import falcon
from falcon import Request, Response

from falcon_catalog.api.request_log import note, note_rename
from falcon_catalog.api.requests import (
    read_metadata_location,
    read_object,
    read_objects,
    read_page,
)
from falcon_catalog.api.responses import send_page, send_view
from falcon_catalog.catalog import commits, tabulars, views
from falcon_catalog.catalog.call import Call
from falcon_catalog.catalog.commits import Change
from falcon_catalog.catalog.tabulars import VIEW
from falcon_catalog.identifiers import Namespace, TableIdentifier, check_name


class ViewsResource:
    """``/v1/{prefix}/namespaces/{namespace}/views``."""

    def on_get(self, req: Request, resp: Response, call: Call, namespace: Namespace) -> None:
        """List the views of a namespace."""
        page = read_page(req)
        send_page(
            resp,
            "identifiers",
            tabulars.list_(call, VIEW, namespace, page),
            page,
            name=str,
            show=lambda name: TableIdentifier(namespace, name).as_json(),
        )

    def on_post(self, req: Request, resp: Response, call: Call, namespace: Namespace) -> None:
        """Create a view."""
        body = read_object(req)
        note(req, table=body.get("name"))
        send_view(req, resp, views.create(call, namespace, body))


class ViewResource:
    """``/v1/{prefix}/namespaces/{namespace}/views/{view}``."""

    def on_get(self, req: Request, resp: Response, call: Call, identifier: TableIdentifier) -> None:
        """Load a view. ``referenced-by`` is ignored: it changes nothing here."""
        send_view(req, resp, tabulars.load(call, VIEW, identifier))

    def on_head(
        self, _req: Request, resp: Response, call: Call, identifier: TableIdentifier
    ) -> None:
        """Return whether a view exists."""
        tabulars.find(call, VIEW, identifier)
        resp.status = falcon.HTTP_204

    def on_post(
        self, req: Request, resp: Response, call: Call, identifier: TableIdentifier
    ) -> None:
        """Commit updates to a view."""
        body = read_object(req)
        requirements = read_objects(body, "requirements", required=False)
        updates = read_objects(body, "updates", required=True)
        change = Change(identifier, requirements, updates, VIEW)
        send_view(req, resp, commits.commit(call, [change])[0])

    def on_delete(
        self, _req: Request, resp: Response, call: Call, identifier: TableIdentifier
    ) -> None:
        """Drop a view; its files stay."""
        tabulars.drop(call, VIEW, identifier)
        resp.status = falcon.HTTP_204


class RenameViewResource:
    """``/v1/{prefix}/views/rename``."""

    def on_post(self, req: Request, resp: Response, call: Call) -> None:
        """Rename a view."""
        body = read_object(req)
        source = TableIdentifier.of(body.get("source"))
        destination = TableIdentifier.of(body.get("destination"))
        note_rename(req, source, destination)
        tabulars.rename(call, VIEW, source, destination)
        resp.status = falcon.HTTP_204


class RegisterViewResource:
    """``/v1/{prefix}/namespaces/{namespace}/register-view``."""

    def on_post(self, req: Request, resp: Response, call: Call, namespace: Namespace) -> None:
        """Add a view that exists as a file."""
        body = read_object(req)
        note(req, table=body.get("name"))
        identifier = TableIdentifier(namespace, check_name(body.get("name"), "view"))
        location = read_metadata_location(body)
        send_view(req, resp, tabulars.register(call, VIEW, identifier, location))
