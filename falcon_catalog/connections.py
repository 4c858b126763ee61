"""Waitress's connections, taught to answer at once what needs no waiting, and to part politely.

Some things differ from waitress's own. What can be answered without waiting is answered by the
event loop itself. After a refusal the rest of the body is read and thrown away: closing with
unread bytes resets the connection, and the client would never see why. A request has a time to
arrive in, whatever trickles, and an answer must make progress.
"""

import contextlib
import io
import logging
import socket
import time
from collections.abc import Sequence
from typing import Any

from waitress.buffers import ReadOnlyFileBasedBuffer
from waitress.channel import ClientDisconnected, HTTPChannel
from waitress.task import Task
from waitress.utilities import Error

from falcon_catalog.answers import Answer, Overload, Refusal
from falcon_catalog.at_once import WouldWait
from falcon_catalog.telemetry.meters import Meters

_log = logging.getLogger(__name__)
_LONG = 64 * 1024


class _TooSlowError(Error):  # type: ignore[misc] # waitress has no types
    code = 408
    reason = "Request Timeout"


def _task(connection: "Connection", request: Any) -> Task:
    """Return what to do about a request whose turn it is: who waited too long may have left."""
    if connection.end_wait() > connection.server.task_dispatcher.longest_wait:
        return Overload(connection, request)
    return Answer(connection, request)


class Connection(HTTPChannel):  # type: ignore[misc]
    """One client's connection."""

    task_class = staticmethod(_task)
    error_task_class = Refusal
    current_outbuf_count: int
    request: Any = None  # the one that is arriving
    close_when_flushed: bool = False
    waits_since: float | None = None  # monotonic seconds, of the request whose turn is next
    refused_at: float | None = None  # monotonic seconds
    _arriving_since = 0.0  # monotonic seconds, while a part of a request is here
    _receiving = False
    _at_once = False  # whether the loop tries to answer the request that is here
    _parting = False

    @property
    def busy(self) -> bool:
        """Say whether a request is arriving, being worked on, or not yet fully answered."""
        if self.refused_at is not None and not self.requests:
            return bool(self.total_outbufs_len)
        return bool(self.requests or self.request is not None or self.total_outbufs_len)

    def write_soon(self, data: Any) -> Any:
        """Send; only what the socket does not take goes to a buffer."""
        if not isinstance(data, bytes):
            return super().write_soon(data)
        self.write_together(data)
        return len(data)

    def write_together(self, *parts: bytes) -> None:
        """Send several texts as one, each from where it is."""
        sent = self._send_now(parts)
        for part in parts:
            rest: Any = part[sent:]
            sent = max(0, sent - len(part))
            if len(rest) >= _LONG:
                rest = ReadOnlyFileBasedBuffer(io.BytesIO(rest))
                rest.prepare()
            super().write_soon(rest)

    def _send_now(self, parts: Sequence[bytes]) -> int:
        """Send what the socket takes at once, if nothing waits to be sent before it."""
        with self.outbuf_lock:
            if self.total_outbufs_len or not self.connected:
                return 0
            try:
                sent: int = self.socket.sendmsg(parts)
            except OSError:
                return 0  # it is full; or else waitress meets with the same, and closes
        self.last_activity = time.time()
        return sent

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
            self._receiving = True
            try:
                taken = super().received(data)
            finally:
                self._receiving = False
            if self.request is not before:
                self._arriving_since = time.monotonic()
            return taken
        if time.monotonic() > self.refused_at + self.adj.channel_timeout:
            self.will_close = True
        return True

    def handle_read(self) -> None:
        """Receive, and answer what arrived if that needs no waiting."""
        super().handle_read()
        if self._at_once:
            self._at_once = False
            if not self._answer():
                with self.requests_lock:
                    self.server.add_task(self)

    def takes_at_once(self) -> bool:
        """Say whether the loop looks after the request that is here, which may be quick."""
        request = self.requests[0]
        self._at_once = (
            self._receiving  # else a thread asks, or the loop has tried already
            and not request.content_length
            and not request.chunked
            and not self.total_outbufs_len  # writing never waits for the client, then
            and self.server.may_be_quick(request.command, request.path)
        )
        return self._at_once

    def _answer(self) -> bool:
        """Answer the request that is here, unless that takes a thread: then nothing was done."""
        task = Answer(self, self.requests[0])
        task.at_once = True
        try:
            task.service()
        except WouldWait:
            return False
        except ClientDisconnected:
            task.close_on_finish = True
        except Exception:  # noqa: BLE001 - logged, here or there
            if not task.wrote_header:
                return False  # a thread meets with the same, and knows what to do about it
            _log.exception("an answer broke off")
            task.close_on_finish = True
        self._conclude(closes=task.close_on_finish)
        return True

    def _conclude(self, *, closes: bool) -> None:
        """Be done with the request that was answered, and begin with the next that is here."""
        # As waitress does: the next answer begins a new buffer, so that this one's is let go.
        if self.current_outbuf_count > 0:
            self.current_outbuf_count = self.adj.outbuf_high_watermark
        with self.requests_lock:
            self.requests.pop(0).close()
            self.close_when_flushed = self.close_when_flushed or closes
            while closes and self.requests:
                self.requests.pop(0).close()
            if self.connected and self.requests:
                self.server.add_task(self)

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
