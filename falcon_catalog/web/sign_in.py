"""Middleware: the principal that visits a page."""

import falcon

from falcon_catalog.errors import NotAuthenticatedError
from falcon_catalog.web import paths
from falcon_catalog.web.site import Site

_OPEN = (paths.STATIC.partition("{")[0], paths.LOGIN)


class Visitors:
    """Find out which principal visits a page; without one it needs a login."""

    def __init__(self, site: Site) -> None:
        self._required = site.settings.auth.required

    def process_request(self, req: falcon.Request, _resp: falcon.Response) -> None:
        """Note the visitor's principal; raise NotAuthenticatedError if there must be one."""
        req.context.authenticates = self._required
        if self._required and not req.path.startswith(_OPEN):
            raise NotAuthenticatedError("This page needs a login")
