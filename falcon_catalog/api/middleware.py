"""What happens around every request: its raw path, who asks, its warehouse."""

import re
from collections.abc import Callable, Iterable
from typing import Any

import falcon

from falcon_catalog.api.http import Warehouses
from falcon_catalog.api.oauth import TOKENS_PATH
from falcon_catalog.catalog import principals
from falcon_catalog.catalog.principals import Realm
from falcon_catalog.errors import NotAuthenticatedError
from falcon_catalog.identifiers import TableIdentifier

_ABSOLUTE_FORM = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*")
# Told to anybody, also where tokens are required: there one gets a token, and is it alive?
_OPEN_PATHS = frozenset({TOKENS_PATH, "/health/live", "/health/ready"})
WSGIApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def with_raw_path(app: WSGIApp) -> WSGIApp:
    """Let ``app`` route on the path as it was sent, percent-encoding and all.

    WSGI decodes PATH_INFO before anybody can split it, so ``a%2Fb`` would become two
    segments and ``%1F`` would be lost. waitress keeps the raw target in REQUEST_URI,
    Falcon's test client in RAW_URI.
    """

    def raw_path_app(
        environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        target = environ.get("REQUEST_URI") or environ.get("RAW_URI")
        if target is not None:
            path = _ABSOLUTE_FORM.sub("", target).partition("?")[0].partition("#")[0]
            if path.startswith("//"):  # Falcon would route it as if there were one
                path = "/%2F" + path[2:]
            environ["PATH_INFO"] = path or "/"
        return app(environ, start_response)

    return raw_path_app


class Authentication:
    """Refuse who has no valid token, whatever they ask for."""

    def __init__(self, realm: Realm, public_metrics: bool) -> None:  # noqa: FBT001 - a setting
        self._realm = realm
        self._open = _OPEN_PATHS | ({"/metrics"} if public_metrics else set())

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Note the caller's principal; a route need not exist to be refused."""
        resp.set_header("WWW-Authenticate", 'Bearer realm="falcon-catalog"')
        principal = self.identify(req.path, req.auth)
        resp.delete_header("WWW-Authenticate")
        if principal is not None:
            req.context.principal = principal

    def identify(self, path: str, authorization: str | None) -> str | None:
        """Return the principal of an Authorization header; None on a path that needs none.

        Raises:
            NotAuthenticatedError: there is no valid token.
        """
        if path in self._open:
            return None
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer":
            raise NotAuthenticatedError(
                "Not authorized: this catalog needs a token, as Authorization: Bearer TOKEN"
            )
        return principals.identify(self._realm, token.strip())


class Names:
    """Resolve what a route names: its ``{prefix}`` to a catalog, a table or view to one name."""

    def __init__(self, warehouses: Warehouses) -> None:
        self._warehouses = warehouses

    def process_resource(
        self, _req: falcon.Request, _resp: falcon.Response, resource: object, params: dict[str, Any]
    ) -> None:
        """Give responders ``catalog`` (no prefix: the default one's) and ``identifier``."""
        if getattr(resource, "in_warehouse", False):
            params["catalog"] = self._warehouses.by_prefix(params.pop("prefix", None))
        for kind in ("table", "view"):
            if kind in params:
                params["identifier"] = TableIdentifier(params.pop("namespace"), params.pop(kind))
