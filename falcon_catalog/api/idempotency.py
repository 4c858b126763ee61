"""Idempotency-Key: answer a retry as its first attempt was answered, without doing it again."""

import logging
from typing import Any

import falcon
import orjson

from falcon_catalog.api.requests import read_object
from falcon_catalog.api.responses import body_text, send, send_table
from falcon_catalog.catalog import access, idempotency
from falcon_catalog.catalog.call import Call
from falcon_catalog.errors import CommitStateUnknownError, ServiceUnavailableError
from falcon_catalog.identifiers import TableIdentifier, check_name
from falcon_catalog.metrics import Metrics

# Answers without an effect are stored only while they are small: repeating such a request costs
# nothing and changes nothing.
_MAX_STORED_BYTES = 64 * 1024
# A client may correct these and try again; they are no outcome of the request.
_NOT_FINAL = {401, 403, 408, 413, 415, 419, 429}

JSON = dict[str, Any]
_log = logging.getLogger(__name__)


class Idempotency:
    """Middleware: replay the recorded answers, and record those that no transaction has."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def process_resource(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        _resource: object,
        params: dict[str, Any],
    ) -> None:
        """Replay the answer if the request was completed before."""
        call: Call | None = params.get("call")
        if call is None or call.idempotency_key is None:
            return
        answer = idempotency.recall(call, call.idempotency_key)
        if answer is not None:
            self._replay(req, resp, call, answer)
            resp.complete = True
        else:
            req.context.to_record = call

    def process_response(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        _resource: object,
        _succeeded: bool,  # noqa: FBT001 - Falcon's signature
    ) -> None:
        """Record refusals, and successes without an effect."""
        call: Call | None = getattr(req.context, "to_record", None)
        if call is None or call.idempotency_key is None:
            return
        if getattr(req.context, "has_credentials", False):
            return  # they are stored nowhere; what had an effect has a record without them
        body = resp.data or b""
        success = resp.status_code in (200, 204)
        refusal = 400 <= resp.status_code < 500 and resp.status_code not in _NOT_FINAL  # noqa: PLR2004
        if not (success or refusal) or len(body) > _MAX_STORED_BYTES:
            return
        answer: JSON = {"status": resp.status_code}
        if body:
            answer["body"] = orjson.loads(body_text(resp))
        try:
            earlier = idempotency.record_answer(call, call.idempotency_key, answer)
        except (ServiceUnavailableError, CommitStateUnknownError):
            if not success:
                raise
            # What had an effect has its record, and must not be denied. What had none needs none.
            _log.warning("%s %s id=%s: not recorded", req.method, req.path, req.context.id)
            return
        # A success that its own transaction has recorded stands as it is.
        if earlier is not None and (refusal or "status" in earlier):
            self._replay(req, resp, call, earlier)

    def _replay(self, req: falcon.Request, resp: falcon.Response, call: Call, answer: JSON) -> None:
        """Answer as before; a table or view as its metadata was then."""
        self._metrics.replays.inc()
        resp.status = answer.get("status", 200 if answer else 204)
        if location := answer.get("metadata-location"):
            state = idempotency.state_then(call, location)
            namespace = req.context.params.get("namespace")
            if namespace is not None and state.is_table:
                # It was created or registered: the client needs credentials, those of now.
                name = check_name(read_object(req).get("name"), "table")
                state = access.renew(call, TableIdentifier(namespace, name), state)
            send_table(req, resp, state)
        elif "body" in answer:
            send(resp, answer["body"])
        else:
            resp.data = None
