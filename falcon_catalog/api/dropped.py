"""Dropped tables and views over HTTP, in the management API."""

from falcon import HTTP_200, HTTP_202, Request, Response

from falcon_catalog.api.request_log import note
from falcon_catalog.api.requests import read_optional_object, read_page
from falcon_catalog.api.responses import send, send_page
from falcon_catalog.catalog import dropped as drops
from falcon_catalog.catalog.call import Call
from falcon_catalog.catalog.purge import purge_now
from falcon_catalog.identifiers import TableIdentifier


class DroppedResource:
    """``/management/v1/warehouses/{warehouse}/dropped``."""

    def on_get(self, req: Request, resp: Response, call: Call) -> None:
        """List the dropped tables and views."""
        page = read_page(req, call, "dropped")
        found = drops.list_(call, page)
        send_page(
            resp,
            "dropped",
            found,
            page,
            name=lambda one: str(one.row.id),
            show=drops.Dropped.as_json,
        )


class DroppedOneResource:
    """``/management/v1/warehouses/{warehouse}/dropped/{dropped}``."""

    def on_delete(self, _req: Request, resp: Response, call: Call, dropped: int) -> None:
        """Purge one now: 200 if everything was deleted, 202 if the rest will be."""
        outcome, complete = purge_now(call, dropped)
        resp.status = HTTP_200 if complete else HTTP_202
        send(resp, {"outcome": outcome})


class UndropResource:
    """``/management/v1/warehouses/{warehouse}/dropped/{dropped}/undrop``."""

    def on_post(self, req: Request, resp: Response, call: Call, dropped: int) -> None:
        """Undrop one; ``identifier`` in the body gives it another name."""
        name = read_optional_object(req).get("identifier")
        to = None if name is None else TableIdentifier.of(name)
        restored = drops.undrop(call, dropped, to)
        back = to or restored.row.identifier
        note(req, namespace=back.namespace, table=back.name)
        send(resp, restored.as_json())
