"""Idempotency-Key: answer a retry as its first try was answered, without doing it again."""

import re
from dataclasses import replace
from typing import Any

import falcon
import orjson

from falcon_catalog.api.documents import body_text, send_table
from falcon_catalog.api.http import send
from falcon_catalog.catalog import idempotency
from falcon_catalog.catalog.base import Catalog, RetryKey
from falcon_catalog.errors import BadRequestError, show
from falcon_catalog.metrics import Metrics

_UUID = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
# Answers without an effect are kept only while they are small: doing such a request again
# costs nothing and changes nothing.
_MAX_KEPT_BYTES = 64 * 1024
# A client may mend these by itself and try again; they are no outcome of the request.
_NOT_FINAL = {401, 403, 408, 413, 419, 429}

JSON = dict[str, Any]


class Retries:
    """Middleware: give the verbs the request's key, and recall what it was answered before."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def process_resource(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        _resource: object,
        params: dict[str, Any],
    ) -> None:
        """Answer at once when the request was concluded before."""
        catalog: Catalog | None = params.get("catalog")
        key = req.get_header("Idempotency-Key")
        if catalog is None or key is None or req.method not in ("POST", "DELETE"):
            return
        if not _UUID.fullmatch(key):
            raise BadRequestError(f"Invalid Idempotency-Key {show(key)}: it is not a UUID")
        caller = getattr(req.context, "principal", None)
        request = f"{req.method} {req.path}" + (f" by {caller}" if caller else "")
        retry = RetryKey(key.lower(), request)
        answer = idempotency.recall(catalog, retry)
        if answer is not None:
            self._metrics.replays.inc()
            _answer_again(req, resp, catalog, answer)
            resp.complete = True
            return
        req.context.retry = (catalog, retry)
        params["catalog"] = replace(catalog, retry_key=retry)

    def process_response(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        _resource: object,
        _succeeded: bool,  # noqa: FBT001 - Falcon's signature
    ) -> None:
        """Store what no transaction has stored: refusals, and successes without effect."""
        catalog, retry = getattr(req.context, "retry", (None, None))
        if catalog is None or retry is None:
            return
        body = resp.data or b""
        if not _is_final(resp.status_code, retry) or len(body) > _MAX_KEPT_BYTES:
            return
        answer: JSON = {"status": resp.status_code}
        if body:
            answer["body"] = orjson.loads(body_text(resp))
        earlier = idempotency.conclude_alone(catalog, retry, answer)
        if earlier is not None:
            self._metrics.replays.inc()
            _answer_again(req, resp, catalog, earlier)


def _is_final(status: int, retry: RetryKey) -> bool:
    """Tell whether an answer is the request's last word, and is not stored with its effect."""
    if status in (200, 204):
        return not retry.concluded
    return 400 <= status < 500 and status not in _NOT_FINAL  # noqa: PLR2004


def _answer_again(
    req: falcon.Request, resp: falcon.Response, catalog: Catalog, answer: JSON
) -> None:
    """Answer as before; a table or view as its metadata was then."""
    resp.status = answer.get("status", 200 if answer else 204)
    if location := answer.get("metadata-location"):
        send_table(req, resp, idempotency.state_then(catalog, location))
    elif "body" in answer:
        send(resp, answer["body"])
    else:
        resp.data = None
