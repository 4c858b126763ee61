"""Middleware: the principal that visits a page."""

import falcon

from falcon_catalog.api.middleware import Authentication
from falcon_catalog.catalog import sessions
from falcon_catalog.errors import NotAuthenticatedError
from falcon_catalog.server.inline import PEER_UID
from falcon_catalog.web import cookies, forms, paths
from falcon_catalog.web.rendering import HEADERS, send_page
from falcon_catalog.web.site import Site

_STATIC = paths.STATIC.partition("{")[0]
_READS = ("GET", "HEAD")


class Visitors:
    """Find out which principal visits a page; without one it needs a login.

    Cookies count here only: the API is another application, which does not read them.
    """

    def __init__(self, site: Site) -> None:
        self._site = site
        self._required = site.settings.auth.required
        self._tokens = Authentication(site.realm, public_metrics=False)

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Note the visitor's principal.

        Raises:
            NotAuthenticatedError: there must be one, and there is none.
            ForbiddenError: no page of this server has sent the form.
        """
        req.context.authenticates = self._required
        req.context.sql = self._site.settings.web.sql
        if req.path.startswith(_STATIC):
            return
        resp.set_headers(HEADERS)
        if req.method not in _READS and not req.auth:  # no page of others can send that header
            forms.own_origin(req)
        if self._required:
            self._identify(req, resp)
        principal = getattr(req.context, "principal", None)
        req.context.administers = (
            not self._required if principal is None else self._site.administers(principal)
        )

    def _identify(self, req: falcon.Request, resp: falcon.Response) -> None:
        cookie, settings = cookies.read(req, "session"), self._site.settings.web
        session = cookie and sessions.identify(self._site.realm, settings, cookie)
        if session:
            req.context.session, req.context.principal = session, session.principal
            if req.method not in _READS:
                forms.require_token(req, session)
        elif req.auth or PEER_UID in req.env:
            peer = req.env.get(PEER_UID)
            req.context.principal = self._tokens.identify(req.path, req.auth, peer)
        elif req.path != paths.LOGIN and not req.path.startswith(f"{paths.LOGIN}/"):
            if req.method in _READS and req.get_header("Sec-Fetch-Site") == "cross-site":
                # The link of another site: the browser keeps the cookie back (SameSite=Strict),
                # but not when this page opens the same address again.
                send_on(req, resp, req.relative_uri)
                resp.complete = True
                return
            raise NotAuthenticatedError("This page needs a login")


def send_on(req: falcon.Request, resp: falcon.Response, target: str) -> None:
    """Respond with a page that opens another one, which the browser takes for a page of ours."""
    send_page(req, resp, "continue.html", title="One moment", target=target)
