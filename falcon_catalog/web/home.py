"""The home page: the server and its warehouses."""

import falcon

from falcon_catalog.web.rendering import send_page
from falcon_catalog.web.site import Site


class HomeResource:
    """``/``."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Show the server's health and the warehouses that the visitor can see."""
        names = [call.warehouse.name for call in self._site.calls(req)]
        send_page(req, resp, "home.html", title="Home", warehouses=names)
