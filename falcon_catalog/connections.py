"""Waitress's connections, taught Iceberg's error shape and to part politely.

Some things differ from waitress's own. What it refuses itself (a body too large, a request
that is not HTTP) is answered with the catalog's JSON. After a refusal the rest of the body
is read and thrown away: closing with unread bytes resets the connection, and the client
would never see why. A request has a time to arrive in, whatever trickles, and an answer must
make progress. An answer without a body (204, 304) leaves the connection open. While the server
is stopping, each answer says ``Connection: close``.
"""

import contextlib
import io
import json
import logging
import socket
import time
from typing import Any

from waitress.buffers import ReadOnlyFileBasedBuffer
from waitress.channel import ClientDisconnected, HTTPChannel
from waitress.task import ErrorTask, Task, WSGITask
from waitress.utilities import Error

from falcon_catalog.errors import (
    BadRequestError,
    CatalogError,
    InternalServerError,
    PayloadTooLargeError,
    RequestTimeoutError,
    ServiceUnavailableError,
    UnsupportedOperationError,
)
from falcon_catalog.telemetry.meters import Meters

_log = logging.getLogger(__name__)
_LONG = 64 * 1024
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


class _TooSlowError(Error):  # type: ignore[misc] # waitress has no types
    code = 408
    reason = "Request Timeout"


class Answer(WSGITask):  # type: ignore[misc]
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


def _task(connection: "Connection", request: Any) -> Task:
    """Return what to do about a request whose turn it is: who waited too long may have left."""
    if connection.end_wait() > connection.server.task_dispatcher.longest_wait:
        return Overload(connection, request)
    return Answer(connection, request)


class Connection(HTTPChannel):  # type: ignore[misc]
    """One client's connection."""

    task_class = staticmethod(_task)
    error_task_class = Refusal
    request: Any = None  # the one that is arriving
    close_when_flushed: bool = False
    waits_since: float | None = None  # monotonic seconds, of the request whose turn is next
    refused_at: float | None = None  # monotonic seconds
    _arriving_since = 0.0  # monotonic seconds, while a part of a request is here
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
            before = self.request
            taken = super().received(data)
            if self.request is not before:
                self._arriving_since = time.monotonic()
            return taken
        if time.monotonic() > self.refused_at + self.adj.channel_timeout:
            self.will_close = True
        return True

    @property
    def meters(self) -> Meters:
        """The server's metrics."""
        return self.server.task_dispatcher.meters  # type: ignore[no-any-return]

    def end_wait(self) -> float:
        """Return for how many seconds the request whose turn it is has waited for a thread."""
        since, self.waits_since = self.waits_since, None
        return time.monotonic() - since if since is not None else 0.0

    def turn_away(self) -> None:
        """Answer 503 to every request that is here; the caller holds ``requests_lock``."""
        while self.requests:
            task = Overload(self, self.requests[0])
            try:
                task.service()
            except ClientDisconnected:
                task.close_on_finish = True
            self.close_when_flushed = self.close_when_flushed or task.close_on_finish
            self.requests.pop(0).close()

    def check_pace(self, arrival: float) -> None:
        """End what takes too long: a request's arrival (``arrival`` seconds), or an answer's way.

        An idle connection is closed by waitress. Called from the loop.
        """
        if self._is_stuck():
            _log.info("connection cut", extra={"reason": "its client does not read the answer"})
            self.handle_close()
        elif self.requests:
            self._arriving_since = time.monotonic()  # what follows is not read meanwhile
        elif self.request is not None and time.monotonic() > self._arriving_since + arrival:
            self._refuse_slow(arrival)

    def _is_stuck(self) -> bool:
        # While a thread has the lock, it is sending.
        if not self.total_outbufs_len or not self.outbuf_lock.acquire(blocking=False):
            return False
        try:
            still = time.time() - self.last_activity
            return bool(self.total_outbufs_len and still > self.adj.channel_timeout)
        finally:
            self.outbuf_lock.release()

    def _refuse_slow(self, arrival: float) -> None:
        with self.requests_lock:
            slow, self.request = self.request, None
            slow.error = _TooSlowError(f"a request has {arrival:g} seconds to arrive in full")
            self.requests.append(slow)
            self.server.add_task(self)

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
