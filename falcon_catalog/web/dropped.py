"""The page of dropped tables and views: until when they can be undropped, and doing so."""

import falcon

from falcon_catalog.catalog import authorization
from falcon_catalog.catalog import dropped as drops
from falcon_catalog.catalog.call import Call
from falcon_catalog.catalog.privileges import Privilege
from falcon_catalog.catalog.purge import purge_now
from falcon_catalog.decimals import read_decimal
from falcon_catalog.errors import BadRequestError, CatalogError, show
from falcon_catalog.identifiers import Page, TableIdentifier, check_name
from falcon_catalog.web import forms, paths
from falcon_catalog.web.errors import note
from falcon_catalog.web.namespaces import trail
from falcon_catalog.web.rendering import send_page

_SIZE = 100
_LARGEST_ID = 2**63 - 1


class DroppedPage:
    """``/ui/warehouses/{warehouse}/dropped``."""

    def on_get(self, req: falcon.Request, resp: falcon.Response, call: Call) -> None:
        """List dropped tables and views, the oldest drop first."""
        _show(req, resp, call)


class UndropForm:
    """``/ui/warehouses/{warehouse}/dropped/{dropped}/undrop``: a form of that page."""

    def on_post(self, req: falcon.Request, resp: falcon.Response, call: Call, dropped: int) -> None:
        """Undrop a table or view, under the name in the form, and show it."""
        try:
            to = _renamed(call, dropped, forms.read(req).get("name", ""))
            row = drops.undrop(call, dropped, to).row
        except CatalogError as error:
            note(req, resp, error)
            _show(req, resp, call, problem=error.message)
            return
        to_page = paths.to_table if row.kind == "table" else paths.to_view
        resp.status = falcon.HTTP_303
        resp.location = to_page(call.warehouse.name, to or row.identifier)


class PurgeForm:
    """``/ui/warehouses/{warehouse}/dropped/{dropped}/purge``: a form of that page."""

    def on_post(self, req: falcon.Request, resp: falcon.Response, call: Call, dropped: int) -> None:
        """Delete a dropped table or view with its files, and show what is left."""
        try:
            forms.require_confirmation(req)
            purge_now(call, dropped)
        except CatalogError as error:
            note(req, resp, error)
            _show(req, resp, call, problem=error.message)
            return
        resp.status = falcon.HTTP_303
        resp.location = paths.to_warehouse(call.warehouse.name, "dropped")


def _renamed(call: Call, dropped_id: int, name: str) -> TableIdentifier | None:
    """Return the identifier of a drop with another name; None if it keeps its own."""
    rows = [each.row for each in drops.list_(call, Page(str(dropped_id - 1), 1))]
    if not name or not rows or rows[0].id != dropped_id or rows[0].name == name:
        return None
    return TableIdentifier(rows[0].identifier.namespace, check_name(name, rows[0].kind))


def _show(
    req: falcon.Request, resp: falcon.Response, call: Call, *, problem: str | None = None
) -> None:
    after = req.get_param("after") or "0"
    if read_decimal(after, most=_LARGEST_ID) is None:
        raise BadRequestError(f"Invalid after: {show(after)} is not an id")
    rows = drops.list_(call, Page(after, _SIZE + 1))
    shown = rows[:_SIZE]
    ids = [each.row.id for each in shown]
    here = paths.to_warehouse(call.warehouse.name, "dropped")
    send_page(
        req,
        resp,
        "dropped.html",
        title="Dropped tables and views",
        trail=[*trail(call), ("Dropped", here)],
        here=here,
        rows=shown,
        may_undrop={each for each in ids if _permits(call, each, "drop")},
        may_purge={each for each in ids if _permits(call, each, "drop", "write")},
        next=ids[-1] if len(rows) > _SIZE else None,
        is_first=after == "0",
        problem=problem,
    )


def _permits(call: Call, dropped_id: int, *privileges: Privilege) -> bool:
    return all(authorization.permits(call, each, dropped_id, "dropped") for each in privileges)
