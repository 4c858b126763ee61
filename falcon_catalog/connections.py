"""Waitress's connections, taught Iceberg's error shape and to part politely.

Four things differ from waitress's own. What it refuses itself (a body too large, a request
that is not HTTP) is answered with the catalog's JSON. After a refusal the rest of the body
is read and thrown away: closing with unread bytes resets the connection, and the client
would never see why. An answer without a body (204, 304) leaves the connection open. While the
server is stopping, each answer says ``Connection: close``.
"""

import contextlib
import io
import json
import logging
import socket
import time
from typing import Any

from waitress.buffers import ReadOnlyFileBasedBuffer
from waitress.channel import HTTPChannel
from waitress.task import ErrorTask, WSGITask

from falcon_catalog.errors import (
    BadRequestError,
    CatalogError,
    InternalServerError,
    PayloadTooLargeError,
    UnsupportedOperationError,
)

_log = logging.getLogger(__name__)
_LONG = 64 * 1024
_KINDS: dict[int, type[CatalogError]] = {
    400: BadRequestError,
    413: PayloadTooLargeError,
    431: BadRequestError,
    501: UnsupportedOperationError,
}


class Answer(WSGITask):  # type: ignore[misc] # waitress has no types
    """Run the application for one request."""

    _stays = False

    def start(self) -> None:
        """Begin; while the server is stopping, tell the client to come back elsewhere."""
        super().start()
        if getattr(self.channel.server, "stopping", False):
            self.set_close_on_finish()

    def build_response_header(self) -> Any:
        """Return the header; an answer that has no body needs no end of the connection."""
        asked = self.request.headers.get("CONNECTION", "").lower()
        self._stays = self.version == "1.1" and asked != "close" and not self.has_body
        try:
            return super().build_response_header()
        finally:
            self._stays = False

    def set_close_on_finish(self) -> None:
        """Close after this answer, but not for the mere lack of a Content-Length."""
        if not self._stays:
            super().set_close_on_finish()


class Refusal(ErrorTask):  # type: ignore[misc]
    """Answer a request that the application never sees, in Iceberg's error shape."""

    def execute(self) -> None:
        """Write ``{"error": {"message", "type", "code"}}`` and let the connection run dry."""
        self.channel.refuse()
        error = self.request.error
        kind = _KINDS.get(error.code, InternalServerError)
        if kind is PayloadTooLargeError:
            most = self.channel.adj.max_request_body_size - 1
            message = f"The request body is larger than the {most} bytes this server takes"
        else:
            message = f"{error.reason}: {error.body}"
        _log.info("request refused", extra={"status": error.code, "reason": message})
        body = json.dumps({"error": {"message": message, "type": kind.type, "code": error.code}})
        self.status = f"{error.code} {error.reason}"
        self.response_headers = [("Connection", "close"), ("Content-Type", "application/json")]
        self.content_length = len(body)
        self.write(body.encode())
        self.close_on_finish = False  # the channel closes when the client has


class Connection(HTTPChannel):  # type: ignore[misc]
    """One client's connection."""

    task_class = Answer
    error_task_class = Refusal
    refused_at: float | None = None  # monotonic seconds
    _parting = False

    @property
    def busy(self) -> bool:
        """Say whether a request is arriving, being worked on, or not yet fully answered."""
        if self.refused_at is not None and not self.requests:
            return bool(self.total_outbufs_len)
        return bool(self.requests or self.request is not None or self.total_outbufs_len)

    def write_soon(self, data: Any) -> Any:
        """Send; what is long goes out from where it is, and is not copied to a buffer first."""
        if isinstance(data, bytes) and len(data) >= _LONG:
            data = ReadOnlyFileBasedBuffer(io.BytesIO(data))
            data.prepare()
        return super().write_soon(data)

    def refuse(self) -> None:
        """Take no more requests: what follows is the body of the one being refused."""
        with self.requests_lock:
            self.refused_at = time.monotonic()
            self._parting = True
            self.request = None
            del self.requests[1:]

    def received(self, data: bytes) -> Any:
        """Parse what arrived, or throw it away after a refusal."""
        if self.refused_at is None:
            return super().received(data)
        if time.monotonic() > self.refused_at + self.adj.channel_timeout:
            self.will_close = True
        return True

    def writable(self) -> Any:
        """Say whether there is something to send, a goodbye included."""
        return super().writable() or (self._parting and not self.requests)

    def handle_write(self) -> None:
        """Send; say goodbye once a refusal has been sent in full."""
        super().handle_write()
        if self._parting and self.connected and not self.busy:
            self._parting = False
            with contextlib.suppress(OSError):  # the client may be gone
                self.socket.shutdown(socket.SHUT_WR)
