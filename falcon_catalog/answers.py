"""What waitress does about one request: ask the application, or refuse it in Iceberg's error shape.

What waitress refuses itself (a body too large, a request that is not HTTP) is answered with the
catalog's JSON. An answer without a body (204, 304) leaves the connection open. While the server
is stopping, each answer says ``Connection: close``.
"""

import functools
import json
import logging
from typing import Any

from waitress.task import ErrorTask, Task, WSGITask
from waitress.utilities import build_http_date

from falcon_catalog.at_once import AT_ONCE
from falcon_catalog.errors import (
    BadRequestError,
    CatalogError,
    InternalServerError,
    PayloadTooLargeError,
    RequestTimeoutError,
    ServiceUnavailableError,
    UnsupportedOperationError,
)

_log = logging.getLogger(__name__)
_KINDS: dict[int, type[CatalogError]] = {
    400: BadRequestError,
    408: RequestTimeoutError,
    413: PayloadTooLargeError,
    431: BadRequestError,
    501: UnsupportedOperationError,
}
_REASONS: dict[type[CatalogError], str] = {
    PayloadTooLargeError: "too large",
    RequestTimeoutError: "too slow",
}

# Seconds after which a client that was turned away may come again.
_RETRY_AFTER = 1


# Made once a second instead of once an answer.
_date = functools.lru_cache(maxsize=2)(build_http_date)


class Answer(WSGITask):  # type: ignore[misc]
    """Run the application for one request."""

    at_once = False
    """Whether the event loop itself asks."""
    wrote_header: bool = False
    _stays = False

    def start(self) -> None:
        """Begin; while the server is stopping, tell the client to come back elsewhere."""
        super().start()
        if getattr(self.channel.server, "stopping", False):
            self.set_close_on_finish()

    def get_environment(self) -> Any:
        """Return the WSGI environment, which says whether the loop itself asks."""
        environment = super().get_environment()
        if self.at_once:
            environment[AT_ONCE] = True
        return environment

    def write(self, data: bytes) -> None:
        """Write a part of the body; if it is all, the header leaves together with it."""
        if self.wrote_header or self.content_length != len(data):
            super().write(data)
        else:
            header = self.build_response_header()
            # Before it is sent: whatever fails from here on, no second answer may follow.
            self.wrote_header = True
            self.channel.write_together(header, data if self.has_body else b"")
            self.content_bytes_written = len(data)

    def build_response_header(self) -> Any:
        """Return the header; an answer that has no body needs no end of the connection."""
        asked = self.request.headers.get("CONNECTION", "").lower()
        self.response_headers.append(("Date", _date(int(self.start_time))))
        self._stays = self.version == "1.1" and asked != "close" and not self.has_body
        try:
            return super().build_response_header()
        finally:
            self._stays = False

    def set_close_on_finish(self) -> None:
        """Close after this answer, but not for the mere lack of a Content-Length."""
        if not self._stays:
            super().set_close_on_finish()


class _JsonTask(Task):  # type: ignore[misc]
    """Write an answer of Iceberg's error shape, without the application."""

    complete = True

    def tell(self, error: CatalogError, status: str, *headers: tuple[str, str]) -> None:
        """Log and write ``{"error": {"message", "type", "code"}}``."""
        code = int(status.split(" ", 1)[0])
        _log.info("request refused", extra={"status": code, "reason": error.message})
        body = error.as_json()
        body["error"]["code"] = code
        text = json.dumps(body).encode()
        self.status = status
        self.response_headers = [("Content-Type", "application/json"), *headers]
        self.content_length = len(text)
        self.write(text if getattr(self.request, "command", "") != "HEAD" else b"")


class Refusal(_JsonTask, ErrorTask):  # type: ignore[misc]
    """Answer a request that the application never sees."""

    def execute(self) -> None:
        """Say what is wrong with it, and let the connection run dry."""
        self.channel.refuse()
        error = self.request.error
        kind = _KINDS.get(error.code, InternalServerError)
        if kind is PayloadTooLargeError:
            most = self.channel.adj.max_request_body_size - 1
            message = f"The request body is larger than the {most} bytes this server takes"
        else:
            message = f"{error.reason}: {error.body}"
        self.channel.meters.refusals.add(_REASONS.get(kind, "malformed"))
        self.tell(kind(message), f"{error.code} {error.reason}", ("Connection", "close"))
        # As a rule the channel closes when the client has; for one who is slow, nobody waits.
        self.close_on_finish = kind is RequestTimeoutError


class Overload(_JsonTask):
    """Tell a client to come again: too many requests are waiting already."""

    def execute(self) -> None:
        """Answer 503; nothing was done, so that trying again is safe."""
        error = ServiceUnavailableError(
            "The server is busy: nothing was done, try again in a moment"
        )
        self.channel.meters.refusals.add("saturated")
        self.tell(error, "503 Service Unavailable", ("Retry-After", str(_RETRY_AFTER)))
