"""The search for tables and views, in all warehouses that the visitor can see."""

import falcon

from falcon_catalog.catalog import browsing
from falcon_catalog.identifiers import Namespace
from falcon_catalog.web import paths
from falcon_catalog.web.namespaces import read_query
from falcon_catalog.web.rendering import send_page
from falcon_catalog.web.site import Site

_SIZE = 100


class SearchPage:
    """``/ui/search?q=``."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """List tables and views whose names contain a text."""
        query = read_query(req)
        found = []
        for call in self._site.calls(req) if query else ():
            warehouse = call.warehouse.name
            for each in browsing.search(call, query, _SIZE + 1):
                namespace = Namespace.from_path(each.namespace_path)
                found.append((each.name, str(namespace), warehouse, each.kind, namespace))
        # Names that begin with the text first.
        found.sort(key=lambda each: (not each[0].lower().startswith(query.lower()), each[:3]))
        send_page(
            req,
            resp,
            "search.html",
            title="Search",
            trail=[("Search", paths.SEARCH)],
            query=query,
            found=found[:_SIZE],
            more=len(found) > _SIZE,
        )
