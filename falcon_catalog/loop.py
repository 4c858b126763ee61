"""Waitress's event loop, driven by hand so that it stops without loss.

Waitress's own shutdown drops responses that still wait in its buffers. This loop, told to
stop, accepts nothing new and turns until every request that was in flight has been answered
and every answer has left, or the time for it is over.
"""

import logging
import socket
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from waitress import wasyncore
from waitress.server import BaseWSGIServer, create_server

from falcon_catalog.admission import Admission
from falcon_catalog.connections import Connection
from falcon_catalog.listening import BACKLOG
from falcon_catalog.settings import ServerSettings
from falcon_catalog.telemetry.meters import Meters

_TURN_SECONDS = 1.0
_REST_SECONDS = 0.001
_IDLE_SECONDS = 1.0


class Application(Protocol):
    """What is served: WSGI, and some more verbs."""

    def __call__(self, environ: dict[str, Any], start_response: Any, /) -> Iterable[bytes]:
        """Answer one request."""

    def ready(self) -> None:
        """Raise when requests cannot be served."""

    def lost(self) -> bool:
        """Say whether it must be closed and opened again before it serves on; cheap."""

    def close(self) -> None:
        """Let go of everything held open."""


class Loop:
    """Waitress's event loop over some listening sockets."""

    def __init__(
        self,
        app: Callable[..., Iterable[bytes]],
        settings: ServerSettings,
        sockets: list[socket.socket],
        meters: Meters | None = None,
    ) -> None:
        # Waitress warns of each request that waits for a thread, which is no trouble.
        logging.getLogger("waitress.queue").setLevel(logging.ERROR)
        self._stopping = False
        self._resting = False
        self._settings = settings
        self._map: dict[int, Any] = {}
        self._meters = meters or Meters()
        self._tended = time.monotonic()
        admission = Admission(settings, self._meters)
        create_server(
            app,
            map=self._map,
            _dispatcher=admission,
            sockets=sockets,
            backlog=BACKLOG,
            connection_limit=settings.max_connections + 2 * len(sockets),  # a socket, its trigger
            max_request_header_size=settings.max_header_bytes,
            channel_timeout=settings.channel_timeout,
            max_request_body_size=settings.max_body_bytes + 1,  # waitress refuses at the limit
            ident="falcon-catalog",
            clear_untrusted_proxy_headers=False,  # nothing here reads them
        )
        self._listeners = [one for one in self._map.values() if isinstance(one, BaseWSGIServer)]
        for listener in self._listeners:
            listener.channel_class = self._welcome
            listener.may_be_quick = getattr(app, "may_be_quick", _never)
        self._meters.poll(self._meters.queued, lambda: admission.waiting)
        self._meters.poll(self._meters.connections, lambda: len(self._connections()))

    def run(self, lost: Callable[[], bool] = lambda: False) -> None:
        """Serve until ``stop`` is called, or until ``lost`` says so after a turn."""
        while not self._stopping and not lost():
            resting = self._resting
            wasyncore.poll2(_REST_SECONDS if resting else _TURN_SECONDS, self._map)
            if resting:
                self._rest(rest=False)
            self._tend()

    def stop(self) -> None:
        """Make ``run`` return; safe in a signal handler."""
        self._stopping = True
        self.wake()

    def wake(self, then: Callable[[], object] | None = None) -> None:
        """Turn the loop once more, and call ``then`` from it."""
        self._listeners[0].trigger.pull_trigger(then)

    def turns_within(self, seconds: float) -> bool:
        """Say whether the loop turns in this time. Waits for it: not to be called from the loop."""
        turned = threading.Event()
        self.wake(turned.set)
        return turned.wait(seconds)

    def drain(self, seconds: float) -> int:
        """Finish what is in flight; return the number of connections that were cut off."""
        for listener in self._listeners:
            listener.stopping = True
            listener.accepting = False
            listener.del_channel()
            listener.socket.close()
        deadline = time.monotonic() + seconds
        wasyncore.poll2(0, self._map)  # what has arrived already is in flight, too
        while (busy := self._close_idle()) and (left := deadline - time.monotonic()) > 0:
            wasyncore.poll2(min(left, 1.0), self._map)
            self._tend()  # who does not read is cut off as at any time
        # The loop's own pipe stays open: a thread that is still at work may yet write to it.
        self._listeners[0].task_dispatcher.shutdown(timeout=0 if busy else 5)
        return busy

    def _welcome(self, *arguments: Any, **options: Any) -> Connection:
        """Take a client in. Where other processes serve the same sockets, the next is theirs.

        Of clients that come together, who wakes up first would get them all, for as long as
        they stay.
        """
        if self._settings.processes > 1:
            self._rest(rest=True)
        return Connection(*arguments, **options)

    def _rest(self, *, rest: bool) -> None:
        self._resting = rest
        for listener in self._listeners:
            listener.accepting = not rest

    def _tend(self) -> None:
        """Each second, look after the connections; when there are too many, more often."""
        full = any(listener.in_connection_overflow for listener in self._listeners)
        now = time.monotonic()
        if not full and now < self._tended + _TURN_SECONDS:
            return
        self._tended = now
        self._meters.refresh()
        connections = self._connections()
        for connection in connections:
            connection.check_pace(self._settings.receive_timeout)
        if full:
            _make_room(connections)

    def _connections(self) -> list[Connection]:
        return [one for one in list(self._map.values()) if isinstance(one, Connection)]

    def _close_idle(self) -> int:
        connections = self._connections()
        for connection in connections:
            if not connection.busy:
                connection.handle_close()
        return sum(connection.busy for connection in connections)


def _never(_method: str, _path: str) -> bool:
    """Say of an application that knows nothing of it that it is never asked at once."""
    return False


def _make_room(connections: list[Connection]) -> None:
    """Close some connections that nobody asks anything on, the idlest first."""
    before = time.time() - _IDLE_SECONDS
    idle = [one for one in connections if not one.busy and one.last_activity < before]
    idle.sort(key=lambda one: float(one.last_activity))
    for connection in idle[: 1 + len(connections) // 10]:
        connection.handle_close()
