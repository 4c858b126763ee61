"""Middleware: record requests that were refused for who sent them."""

from collections.abc import Mapping

import falcon

from falcon_catalog.api.operations import Operation
from falcon_catalog.catalog import events
from falcon_catalog.catalog.audit import Audit
from falcon_catalog.catalog.events import Origin
from falcon_catalog.errors import NotAuthenticatedError, Refusal


class Refusals:
    """Record answers with 401, and errors that say that the caller lacks a privilege."""

    def __init__(self, operations: Mapping[tuple[str, str], Operation], audit: Audit) -> None:
        """Know the operation of each route's template and method."""
        self._operations = operations
        self._audit = audit

    def process_response(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        _resource: object,
        _succeeded: bool,  # noqa: FBT001 - Falcon's signature
    ) -> None:
        """Record the refusal, if the answer is one."""
        refusal: Refusal | None = getattr(req.context, "refusal", None)
        if refusal is None and resp.status_code != NotAuthenticatedError.status:
            return
        found = self._operations.get((req.uri_template or "", req.method))
        self._audit.refused(
            _origin(req),
            found.name if found else None,
            refusal.privilege if refusal else None,
            refusal.entity if refusal else getattr(req.context, "claimed", None),
            refusal.outcome if refusal else "unauthenticated",
        )


def _origin(req: falcon.Request) -> Origin:
    if (call := getattr(req.context, "call", None)) is not None:
        return events.origin(call)
    principal = getattr(req.context, "principal", None)
    return Origin(
        None if principal is None else principal.id,
        "anonymous" if principal is None else principal.name,
        "anonymous" if principal is None else principal.via,
        req.remote_addr or "",
        req.user_agent or "",
        req.context.id,
    )
