"""What maintenance a table needs, and when it last had some."""

import falcon

from falcon_catalog.catalog import authorization, contents
from falcon_catalog.catalog.call import Call
from falcon_catalog.errors import CatalogError
from falcon_catalog.identifiers import TableIdentifier
from falcon_catalog.metadata import history
from falcon_catalog.metadata.json_fields import JSON
from falcon_catalog.web.site import Site
from falcon_catalog.web.tables import view
from falcon_catalog.web.tables.advice import SMALL, Client, Manifests, advise, target_bytes
from falcon_catalog.web.tables.view import TableView

_RUNS = 20
_PERIOD_MS = 30 * 24 * 3600 * 1000


class MaintenancePage:
    """``…/tables/{table}/maintenance``."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def on_get(
        self, req: falcon.Request, resp: falcon.Response, call: Call, identifier: TableIdentifier
    ) -> None:
        """Show advice with commands, and the last runs."""
        table = view.open_(call, identifier)
        is_default = call.warehouse is self._site.warehouses[0]
        client = Client(req.prefix, call.warehouse.name, identifier, is_default)
        may_read = authorization.permits(call, "select", identifier)
        manifests, deferred = _manifests(req, table) if may_read else (None, False)
        rewrites = [
            each
            for each in history.newest_first(table.metadata)
            if history.operation(each) == "replace"
        ][:_RUNS]
        changes = table.changes(call.now - _PERIOD_MS, call.now + 1)
        view.send(
            req,
            resp,
            table,
            "maintenance",
            "maintenance",
            advice=list(advise(table.metadata, client, call.now, manifests)),
            deferred=deferred,
            may_read=may_read,
            orphans=client.operation("remove-orphans"),
            rewrites=[(each, history.numbers(table.metadata, each)) for each in rewrites],
            authors=table.authors(rewrites) or {},
            expiries=None if changes is None else [e for e in changes if _expires(e)][:_RUNS],
        )


def _manifests(req: falcon.Request, table: TableView) -> tuple[Manifests | None, bool]:
    """Return what manifests say, and whether a later request reads them."""
    if view.is_deferred(req):
        return None, True
    try:
        current = history.current(table.metadata)
        found = contents.manifests_of(table.call, table.metadata, current)
        if view.is_deferred(req, sum(each.length for each in found)):
            return None, True
        read = contents.read(table.call, table.metadata, found)
    except CatalogError:
        return None, False
    return Manifests.of(read, int(SMALL * target_bytes(table.metadata))), False


def _expires(change: JSON) -> bool:
    return "remove-snapshots" in change.get("detail", {}).get("updates", ())
