"""What happens before a responder: raw path, authentication, the Call, authorization."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import falcon

from falcon_catalog.api.oauth import TOKENS_PATH
from falcon_catalog.api.operations import Operation
from falcon_catalog.api.requests import digest
from falcon_catalog.api.whoami import LOGIN_PATH
from falcon_catalog.catalog import authorization, identity, marks
from falcon_catalog.catalog.access import parse_delegation
from falcon_catalog.catalog.authorization import Need
from falcon_catalog.catalog.call import Call, IdempotencyKey, Principal
from falcon_catalog.catalog.identity import Realm
from falcon_catalog.catalog.warehouse import Warehouse
from falcon_catalog.errors import (
    BadRequestError,
    CatalogError,
    NoSuchWarehouseError,
    NotAuthenticatedError,
    WouldWaitError,
    show,
)
from falcon_catalog.identifiers import TableIdentifier
from falcon_catalog.server.inline import INLINE, PEER_UID, WouldBlock
from falcon_catalog.settings import LimitSettings

_ABSOLUTE_FORM = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*")
# Open to anyone even where tokens are required: how to get a token, and whether the server lives.
_OPEN_PATHS = frozenset({TOKENS_PATH, LOGIN_PATH, "/health/live", "/health/ready"})
_UUID = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_KINDS: tuple[authorization.Kind, ...] = ("table", "view", "function")
WSGIApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def with_raw_path(app: WSGIApp) -> WSGIApp:
    """Let ``app`` route on the path as it was sent, with its percent-encoding.

    WSGI decodes PATH_INFO before it can be split, so ``a%2Fb`` would become two segments and
    ``%1F`` would be lost. waitress keeps the raw target in REQUEST_URI, Falcon's test client in
    RAW_URI.
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
    """Reject requests without a valid token."""

    def __init__(self, realm: Realm, public_metrics: bool) -> None:  # noqa: FBT001 - a setting
        self._realm = realm
        self._open = _OPEN_PATHS | ({"/metrics"} if public_metrics else set())

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Note the caller's principal; a route need not exist to be refused."""
        error = ', error="invalid_token"' if req.auth else ""
        resp.set_header("WWW-Authenticate", f'Bearer realm="falcon-catalog"{error}')
        try:
            principal = self.identify(
                req.path, req.auth, req.env.get(PEER_UID), wait=INLINE not in req.env
            )
        except WouldWaitError:
            raise WouldBlock from None
        resp.delete_header("WWW-Authenticate")
        if principal is not None:
            req.context.principal = principal

    def identify(
        self, path: str, authorization: str | None, peer: int | None = None, *, wait: bool = True
    ) -> Principal | None:
        """Return the principal of an Authorization header; None on a path that needs none.

        Args:
            path: of the request.
            authorization: the header.
            peer: id of the user of this machine, if the client connected to a Unix socket.
            wait: whether to wait for keys of an identity provider, and to add users.

        Raises:
            NotAuthenticatedError: there is no valid token.
            ServiceUnavailableError: it cannot be judged now.
            WouldWaitError: it must be waited for, and ``wait`` is false.
        """
        if path in self._open:
            return None
        if authorization is None and peer is not None:
            return identity.identify_peer(self._realm, peer, wait=wait)
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer":
            raise NotAuthenticatedError(
                "Not authorized: this catalog needs a token, as Authorization: Bearer TOKEN"
            )
        return identity.identify(self._realm, token.strip(), wait=wait)


class Warehouses:
    """The warehouses of this server, by name and by location."""

    def __init__(self, warehouses: Sequence[Warehouse], *, hide: bool = False) -> None:
        """Know all warehouses; with ``hide`` an error does not name those that there are."""
        self._all = tuple(warehouses)
        self._hide = hide

    def by_prefix(self, prefix: str | None) -> Warehouse:
        """Return the warehouse of a URL prefix; None is the default one."""
        if prefix is None:
            return self._all[0]
        return self._find(prefix, lambda warehouse: warehouse.name == prefix)

    def by_selector(self, selector: str) -> Warehouse:
        """Return the warehouse that ``?warehouse=`` names by name or location; "": the default."""
        if not selector:
            return self._all[0]
        location = selector.rstrip("/")
        return self._find(selector, lambda each: location in (each.name, each.location))

    def _find(self, wanted: str, matches: Callable[[Warehouse], bool]) -> Warehouse:
        for warehouse in self._all:
            if matches(warehouse):
                return warehouse
        known = ", ".join(warehouse.name for warehouse in self._all)
        there_is = "" if self._hide else f" (there is: {known})"
        raise NoSuchWarehouseError(f"Warehouse does not exist: {wanted}{there_is}")


class Calls:
    """Create the Call of each request, resolve the names in its URL, and authorize it."""

    def __init__(
        self,
        warehouses: Warehouses,
        operations: Mapping[tuple[str, str], Operation],
        limits: LimitSettings,
    ) -> None:
        """Know the operation of each route's template and method."""
        self._warehouses = warehouses
        self._operations = operations
        self._limits = limits

    def process_resource(
        self,
        req: falcon.Request,
        _resp: falcon.Response,
        _resource: object,
        params: dict[str, Any],
    ) -> None:
        """Give responders ``call`` and ``identifier``. No prefix means the default warehouse."""
        req.context.limits = self._limits
        operation = self._operations.get((req.uri_template or "", req.method))
        if operation is None or operation.needs is None:
            return
        principal = getattr(req.context, "principal", None)
        prefix = params.pop("prefix", None)
        warehouse = self._warehouses.by_prefix(prefix)
        delegation = req.get_header("X-Iceberg-Access-Delegation")
        call = Call(
            warehouse,
            principal,
            None,
            req.context.id,
            parse_delegation(delegation or ""),
            req.user_agent or "",
            req.remote_addr or "",
        )
        req.context.call = call
        try:
            key = _read_key(req, principal)
            needs = _needs(operation, req, params)
        except CatalogError:
            if operation.by_verb:
                raise
            # In a hidden warehouse a malformed request is answered as in one that does not exist.
            authorization.require(call, [], asked=prefix)
            raise
        if needs or not operation.by_verb:
            # Without a check before it nothing is replayed: such verbs check, and may be repeated.
            call.idempotency_key = key
            call.decision = authorization.require(call, needs, asked=prefix)
        params["call"] = call


def _needs(operation: Operation, req: falcon.Request, params: dict[str, Any]) -> list[Need]:
    """Return what an operation needs; the name in its URL becomes an identifier."""
    kind: authorization.Kind = "table"
    for each in _KINDS:
        if each in params:
            kind = each
            params["identifier"] = TableIdentifier(params.pop("namespace"), params.pop(each))
    needs = operation.needs
    if isinstance(needs, str):
        return [Need(needs, params.get("identifier") or params.get("namespace"), kind)]
    return [] if needs is None else needs(req, params)


class ReadOnly:
    """Refuse changes of what is read-only. Replays come before: what was done stays done."""

    def __init__(self, operations: Mapping[tuple[str, str], Operation]) -> None:
        self._operations = operations

    def process_resource(
        self,
        req: falcon.Request,
        _resp: falcon.Response,
        _resource: object,
        params: dict[str, Any],
    ) -> None:
        """Raise ForbiddenError if the operation changes something that is read-only."""
        operation = self._operations.get((req.uri_template or "", req.method))
        if operation is not None and operation.changes:
            marks.require_writable(params["call"])


def _read_key(req: falcon.Request, principal: Principal | None) -> IdempotencyKey | None:
    """Return the Idempotency-Key of a request that changes something."""
    key = req.get_header("Idempotency-Key")
    if key is None or req.method not in ("POST", "DELETE"):
        return None
    if not _UUID.fullmatch(key):
        raise BadRequestError(f"Invalid Idempotency-Key {show(key)}: it is not a UUID")
    caller = None if principal is None else principal.id
    return IdempotencyKey(key.lower(), caller, f"{req.method} {req.path}", digest(req))
