"""Request ids, the access log, and the metrics of each request."""

import logging
import random
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any

import falcon

from falcon_catalog.api.operations import Operation
from falcon_catalog.identifiers import Namespace, TableIdentifier
from falcon_catalog.metrics import OTHER, Metrics

_access = logging.getLogger("falcon_catalog.access")
_LONGEST = 300  # characters of a name: a namespace may have thousands
_MOST_TABLES = 10  # of a transaction
_REQUEST_ID = re.compile(r"^[A-Za-z0-9._:-]{1,64}$")


class RequestLog:
    """Give each request an id; count and log each response."""

    def __init__(
        self, operations: Mapping[tuple[str, str], Operation], metrics: Metrics, *, access: bool
    ) -> None:
        """Know the operation of each route's template and method, and whether there is a log."""
        self._operations = operations
        self._metrics = metrics
        self._logs = access

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Take the caller's X-Request-Id, or draw one."""
        given = req.get_header("X-Request-Id") or ""
        req.context.id = given if _REQUEST_ID.match(given) else f"{random.getrandbits(128):032x}"
        req.context.started = time.perf_counter()
        resp.set_header("X-Request-Id", req.context.id)

    def process_resource(
        self,
        req: falcon.Request,
        _resp: falcon.Response,
        _resource: object,
        params: dict[str, Any],
    ) -> None:
        """Keep the names in the URL for the log; later middleware adds to them."""
        req.context.params = params

    def process_response(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        _resource: object,
        _succeeded: bool,  # noqa: FBT001 - Falcon's signature
    ) -> None:
        """Count the response and write its log line."""
        seconds = time.perf_counter() - req.context.started
        found = self._operations.get((req.uri_template or "", req.method))
        operation = found.name if found else None
        size = len(resp.data or b"")
        self._metrics.answered(operation, resp.status_code, seconds, size)
        if self._logs and _access.isEnabledFor(logging.INFO):
            # Made by hand: Logger.info looks up its caller, which takes longer than the rest.
            line = logging.LogRecord(_access.name, logging.INFO, "", 0, "", None, None)
            line.msg = f"{req.method} {req.path}"
            line.pairs = {
                "id": req.context.id,
                "operation": operation or OTHER,
                "status": resp.status_code,
                "ms": round(seconds * 1000, 2),
                "bytes": size,
                **named(req),
            }
            _access.handle(line)


def note(req: falcon.Request, **named: object) -> None:
    """Log what a request's body names, if it is a string or a namespace."""
    noted = getattr(req.context, "noted", {})
    texts = {key: str(of) for key, of in named.items() if isinstance(of, str | Namespace)}
    req.context.noted = noted | {key: _bounded(text) for key, text in texts.items()}


def note_rename(req: falcon.Request, source: TableIdentifier, destination: TableIdentifier) -> None:
    """Log the old and the new name of a table or view."""
    note(req, namespace=source.namespace, table=source.name)
    note(req, to_namespace=destination.namespace, to_table=destination.name)


def note_tables(req: falcon.Request, identifiers: Sequence[TableIdentifier]) -> None:
    """Log the names of the tables that a request changes together, the first of them if many."""
    shown = [_bounded(str(identifier)) for identifier in identifiers[:_MOST_TABLES]]
    more = len(identifiers) - len(shown)
    req.context.noted = {"tables": ", ".join(shown) + (f" and {more} more" if more else "")}


def _bounded(name: str) -> str:
    return name if len(name) <= _LONGEST else f"{name[:_LONGEST]}…"


def named(req: falcon.Request) -> dict[str, object]:
    """Return what a request names and who sent it. Nothing else of a request is logged."""
    context, params = req.context, getattr(req.context, "params", {})
    pairs: dict[str, object] = {}
    if "call" in params:
        pairs["warehouse"] = params["call"].warehouse.name
    if "identifier" in params:
        pairs["namespace"] = _bounded(str(params["identifier"].namespace))
        pairs["table"] = params["identifier"].name
    elif "namespace" in params:
        pairs["namespace"] = _bounded(str(params["namespace"]))
    pairs |= getattr(context, "noted", {})
    if principal := getattr(context, "principal", None):
        pairs["principal"] = principal.name
    if error := getattr(context, "error", None):
        pairs["error"] = error
    return pairs
