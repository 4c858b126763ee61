"""The page for SQL queries on DuckDB."""

from dataclasses import dataclass

import falcon

from falcon_catalog.catalog import namespaces, queries, tabulars
from falcon_catalog.catalog.authorization import Need, authorized
from falcon_catalog.catalog.call import Call
from falcon_catalog.catalog.queries import SQL_ROWS, Rows
from falcon_catalog.catalog.tabulars import TABLE
from falcon_catalog.errors import CatalogError, NoSuchRouteError, NoSuchWarehouseError
from falcon_catalog.identifiers import Namespace, Page
from falcon_catalog.web.rendering import send_page
from falcon_catalog.web.results import send_csv
from falcon_catalog.web.site import Site

_NAMESPACES, _TABLES = 30, 100


@dataclass(frozen=True, slots=True)
class _Listed:
    namespace: Namespace
    names: list[str]


class SqlPage:
    """``/ui/sql``."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Show the form, and the result of a query; or respond with that as CSV."""
        if not self._site.settings.web.sql:
            raise NoSuchRouteError(
                "There is no SQL page: it is turned off, and web.sql = true turns it on"
            )
        calls = {call.warehouse.name: call for call in self._site.calls(req)}
        wanted = req.get_param("warehouse") or next(iter(calls), "")
        if wanted not in calls:
            raise NoSuchWarehouseError(f"Warehouse does not exist: {wanted}")
        call, text = calls[wanted], (req.get_param("q") or "").strip()
        rows: Rows | None = None
        problem = ""
        if text:
            try:
                rows = queries.sql(call, self._site.queries, text)
            except CatalogError as error:
                problem = error.message
                resp.status = falcon.code_to_http_status(error.status)
        if rows is not None and req.get_param("format") == "csv":
            send_csv(resp, rows, "query")
            return
        send_page(
            req,
            resp,
            "sql.html",
            title="SQL",
            warehouses=list(calls),
            warehouse=wanted,
            query=text,
            most=SQL_ROWS,
            listed=_listed(call),
            rows=rows,
            problem=problem,
            csv=f"?{req.query_string}&format=csv",
        )


def _listed(call: Call) -> list[_Listed]:
    """Return tables that the visitor can see, by namespace; the first ones of many."""
    found: list[_Listed] = []
    left = _TABLES
    around = authorized(call, Need("list", None))
    for namespace in namespaces.list_(around, None, Page(None, _NAMESPACES)):
        try:
            inside = authorized(call, Need("list", namespace))
        except CatalogError:
            continue  # it was dropped meanwhile
        names = tabulars.list_(inside, TABLE, namespace, Page(None, left)) if left else []
        left -= len(names)
        if names:
            found.append(_Listed(namespace, names))
    return found
