"""Views over HTTP."""

import falcon
from falcon import Request, Response

from falcon_catalog.api.requests import read_object, read_objects
from falcon_catalog.api.responses import send_view
from falcon_catalog.api.tabulars import TabularResource
from falcon_catalog.catalog import commits, tabulars
from falcon_catalog.catalog.call import Call
from falcon_catalog.catalog.commits import Change
from falcon_catalog.catalog.tabulars import VIEW
from falcon_catalog.identifiers import TableIdentifier


class ViewResource(TabularResource):
    """``/v1/{prefix}/namespaces/{namespace}/views/{view}``."""

    kind = VIEW

    def on_get(self, req: Request, resp: Response, call: Call, identifier: TableIdentifier) -> None:
        """Load a view. ``referenced-by`` is ignored: it changes nothing here."""
        send_view(req, resp, tabulars.load(call, VIEW, identifier))

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
