"""Pages of warehouses and namespaces: what is in them."""

import falcon

from falcon_catalog.catalog import namespaces, tabulars
from falcon_catalog.catalog.call import Call
from falcon_catalog.catalog.tabulars import TABLE, VIEW
from falcon_catalog.identifiers import Namespace, Page
from falcon_catalog.web import paths
from falcon_catalog.web.rendering import send_page

_PAGE = Page(None, 100)


class WarehousePage:
    """``/ui/warehouses/{warehouse}``."""

    def on_get(self, req: falcon.Request, resp: falcon.Response, call: Call) -> None:
        """Show the namespaces of a warehouse."""
        send_page(
            req,
            resp,
            "namespace.html",
            title=call.warehouse.name,
            trail=trail(call),
            call=call,
            namespace=None,
            children=namespaces.list_(call, None, _PAGE),
            tables=[],
            views=[],
        )


class NamespacePage:
    """``/ui/warehouses/{warehouse}/namespaces/{namespace}``."""

    def on_get(
        self, req: falcon.Request, resp: falcon.Response, call: Call, namespace: Namespace
    ) -> None:
        """Show the namespaces, tables and views in a namespace."""
        send_page(
            req,
            resp,
            "namespace.html",
            title=str(namespace),
            trail=trail(call, namespace.parent),
            call=call,
            namespace=namespace,
            children=namespaces.list_(call, namespace, _PAGE),
            tables=tabulars.list_(call, TABLE, namespace, _PAGE),
            views=tabulars.list_(call, VIEW, namespace, _PAGE),
        )


def trail(call: Call, namespace: Namespace | None = None) -> list[tuple[str, str]]:
    """Return the links to a namespace and everything around it, as names and paths."""
    warehouse = call.warehouse.name
    links = [(warehouse, paths.to_warehouse(warehouse))]
    levels = () if namespace is None else namespace.levels
    for count, level in enumerate(levels, 1):
        links.append((level, paths.to_namespace(warehouse, Namespace(levels[:count]))))
    return links
