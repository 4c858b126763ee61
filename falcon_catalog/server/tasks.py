"""Responses: the application's, and errors that the server itself responds with, as JSON.

While the server is stopping, each response says ``Connection: close``.
"""

import functools
import http.client
import json
import logging
from typing import Any

from waitress.task import WSGITask
from waitress.utilities import Error, build_http_date

from falcon_catalog.errors import (
    BadRequestError,
    CatalogError,
    InternalServerError,
    PayloadTooLargeError,
    RequestTimeoutError,
    ServiceUnavailableError,
    UnsupportedOperationError,
)
from falcon_catalog.server.inline import INLINE, PEER_UID

_log = logging.getLogger(__name__)
_KINDS: dict[int, type[CatalogError]] = {
    400: BadRequestError,
    408: RequestTimeoutError,
    413: PayloadTooLargeError,
    431: BadRequestError,
    501: UnsupportedOperationError,
    503: ServiceUnavailableError,
}
_REFUSALS = {401: "unauthorized", 408: "too slow", 413: "too large", 503: "saturated"}
_RETRY_AFTER_SECONDS = 1
_UNAUTHORIZED = 401

IDENT = "falcon-catalog"
# Formatted once a second instead of once a response.
_date = functools.lru_cache(maxsize=2)(build_http_date)


@functools.lru_cache(maxsize=256)
def _spelled(name: str) -> str:
    """Return the name of a header as RFC 9110 spells it; Java's client looks ``ETag`` up so."""
    return "ETag" if name.lower() == "etag" else name.title()


class RejectedError(Error):  # type: ignore[misc] # waitress has no types
    """A request that is answered with an error, and never reaches the application."""

    def __init__(self, error: CatalogError) -> None:
        super().__init__(error.message)
        self.code = error.status
        self.reason = http.client.responses.get(error.status, "")
        self.error = error


class SaturatedError(Error):  # type: ignore[misc]
    """No thread is free: too many requests wait, or this one has waited for too long."""

    code = 503
    reason = "Service Unavailable"

    def __init__(self, why: str = "The server is busy") -> None:
        super().__init__(f"{why}: nothing was done, try again in a moment")


class TooSlowError(Error):  # type: ignore[misc]
    """A request that did not arrive in time."""

    code = 408
    reason = "Request Timeout"


class Response(WSGITask):  # type: ignore[misc]
    """The application's response to one request."""

    wrote_header: bool
    close_on_finish: bool
    content_length: int | None

    def start(self) -> None:
        """Begin; while the server is stopping, tell the client to come back elsewhere."""
        super().start()
        if self.channel.server.stopping:
            self.set_close_on_finish()

    def get_environment(self) -> Any:
        """Return the WSGI environment."""
        environment = super().get_environment()
        if self.channel.is_inline:
            environment[INLINE] = True
        if self.channel.peer_uid is not None:
            environment[PEER_UID] = self.channel.peer_uid
        return environment

    def write(self, data: bytes) -> None:
        """Write a part of the body; if it is all of it, head and body leave in one call."""
        if self.wrote_header or self.content_length != len(data):
            super().write(data)
        else:
            head = self.build_response_header()
            # Before it is sent: whatever fails from here on, no second response may follow.
            self.wrote_header = True
            self.channel.write_together(head, data if self.has_body else b"")
            self.content_bytes_written = len(data)

    def build_response_header(self) -> bytes:
        """Return the head, and decide whether the connection stays open after the response.

        Waitress's own closes the connection after a response that has no body, and spells and sorts
        the names anew each time, which takes a tenth of the CPU time of a load (goal 1).
        """
        wish = self.request.headers.get("CONNECTION", "").lower()
        has_body = self.has_body
        has_length = has_body and self.content_length is not None
        if self.version == "1.0":
            stays_open = wish == "keep-alive" and has_length
        else:
            stays_open = wish != "close" and (has_length or not has_body)
            self.chunked_response = has_body and not has_length
        if not stays_open:
            self.set_close_on_finish()
        lines = [f"HTTP/{self.version} {self.status}"]
        for given, value in self.response_headers:
            if (name := _spelled(given)) != "Content-Length":
                lines.append(f"{name}: {value}")
        if has_length:
            lines.append(f"Content-Length: {self.content_length}")
        elif self.chunked_response:
            lines.append("Transfer-Encoding: chunked")
        if self.version == "1.0" and not self.close_on_finish:
            lines.append("Connection: Keep-Alive")
        lines += [f"Server: {IDENT}", f"Date: {_date(int(self.start_time))}", "\r\n"]
        return "\r\n".join(lines).encode("latin-1")


class ErrorResponse(Response):
    """An error in the specification's shape, to a request that the application never sees."""

    complete = True

    def execute(self) -> None:
        """Log and send ``{"error": {"message", "type", "code"}}``."""
        error = _error_of(self.request.error, self.channel.adj.max_request_body_size - 1)
        code = self.request.error.code
        self.channel.server.task_dispatcher.metrics.refusals[_REFUSALS.get(code, "malformed")].inc()
        _log.info("request refused", extra={"status": code, "reason": error.message})
        body = error.as_json()
        body["error"]["code"] = code
        text = json.dumps(body).encode()
        self.status = f"{code} {self.request.error.reason}"
        more = self.channel.server.error_headers(getattr(self.request, "headers", {}))
        self.response_headers = [("Content-Type", "application/json"), *more.items()]
        if code == _UNAUTHORIZED:
            self.response_headers.append(("WWW-Authenticate", "Bearer"))
        if code == SaturatedError.code and not self.channel.server.stopping:
            self.response_headers.append(("Retry-After", str(_RETRY_AFTER_SECONDS)))
        else:
            self.set_close_on_finish()  # what follows may be the rest of a body
        self.content_length = len(text)
        self.write(text if getattr(self.request, "command", "") != "HEAD" else b"")


def _error_of(error: Any, max_body_bytes: int) -> CatalogError:
    if isinstance(error, RejectedError):
        return error.error
    kind = _KINDS.get(error.code, InternalServerError)
    if kind is PayloadTooLargeError:
        return kind(f"The request body is larger than the {max_body_bytes} bytes this server takes")
    if kind is ServiceUnavailableError:
        return kind(error.body)
    return kind(f"{error.reason}: {error.body}")
