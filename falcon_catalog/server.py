"""Serve a WSGI application with waitress until told to stop, and stop without loss.

Waitress's own shutdown drops responses that still wait in its buffers. Here its event loop
is driven by hand: told to stop, it accepts nothing new and turns until every request that
was in flight has been answered and every answer has left, or the time for it is over.
"""

import contextlib
import errno
import gc
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

from waitress import wasyncore
from waitress.server import BaseWSGIServer, create_server

from falcon_catalog import systemd
from falcon_catalog.admission import Admission
from falcon_catalog.connections import Connection
from falcon_catalog.rules import listen_address
from falcon_catalog.settings import ServerSettings
from falcon_catalog.telemetry.meters import Meters

_log = logging.getLogger(__name__)
_BACKLOG = 1024
_TURN_SECONDS = 1.0
_IDLE_SECONDS = 1.0


class Application(Protocol):
    """What is served: WSGI, and three more verbs."""

    def __call__(self, environ: dict[str, Any], start_response: Any, /) -> Iterable[bytes]:
        """Answer one request."""

    def ready(self) -> None:
        """Raise when requests cannot be served."""

    def failure(self) -> str | None:
        """Return why the process must end and start again, or None."""

    def close(self) -> None:
        """Let go of everything held open."""


class ServerError(Exception):
    """The server cannot start; the message is one line, fit for a terminal."""


def serve(
    app: Application,
    settings: ServerSettings,
    announce: Callable[[str], object],
    meters: Meters | None = None,
) -> bool:
    """Serve ``app`` until SIGTERM or SIGINT, then finish what is in flight and close ``app``.

    An ``app`` that fails ends it in the same way, with an error: its supervisor starts it again.

    Args:
        app: the application; closed before the function returns, unless a request that took
            too long is still at work in it.
        settings: where to listen and how long to wait.
        announce: told ``Listening on URL`` once requests are served.
        meters: counts what the application does not see.

    Returns:
        Whether everything in flight was answered. A second signal does not wait for that:
        it ends the process.

    Raises:
        ServerError: the address cannot be listened on, a socket handed over is unusable, or
            ``app`` failed.
    """
    unfinished = 0
    failure = None
    try:
        with _listening(settings.listen) as sockets:
            loop = Loop(app, settings, sockets, meters)
            where = " and ".join(_url(sock) for sock in sockets)
            with _stopping_on_signals(loop), _watched(loop, app):
                app.ready()
                gc.freeze()  # what lives now lives on: spare each collection the walk over it
                announce(f"Listening on {where}")
                systemd.notify(os.environ, READY="1", STATUS=f"Listening on {where}")
                loop.run(app.failure)
                if failure := app.failure():
                    _log.critical("stopping, to be started again: %s", failure)
                systemd.notify(os.environ, STOPPING="1", STATUS="Finishing what is in flight")
                unfinished = loop.drain(settings.shutdown_timeout)
    finally:
        if not unfinished:
            app.close()
    if unfinished:
        _log.error("stopped with requests unanswered", extra={"connections": unfinished})
    if failure:
        raise ServerError(failure)
    return not unfinished


class Loop:
    """Waitress's event loop over some listening sockets, driven by hand."""

    def __init__(
        self,
        app: Application,
        settings: ServerSettings,
        sockets: list[socket.socket],
        meters: Meters | None = None,
    ) -> None:
        # Waitress warns of each request that waits for a thread, which is no trouble.
        logging.getLogger("waitress.queue").setLevel(logging.ERROR)
        self._stopping = False
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
            backlog=_BACKLOG,
            connection_limit=settings.max_connections + 2 * len(sockets),  # a socket, its trigger
            max_request_header_size=settings.max_header_bytes,
            channel_timeout=settings.channel_timeout,
            max_request_body_size=settings.max_body_bytes + 1,  # waitress refuses at the limit
            ident="falcon-catalog",
        )
        self._listeners = [one for one in self._map.values() if isinstance(one, BaseWSGIServer)]
        for listener in self._listeners:
            listener.channel_class = Connection
        self._meters.poll(self._meters.queued, lambda: admission.waiting)
        self._meters.poll(self._meters.connections, lambda: len(self._connections()))

    def run(self, failure: Callable[[], str | None] = lambda: None) -> None:
        """Serve until ``stop`` is called, or ``failure`` returns one."""
        while not self._stopping and failure() is None:
            wasyncore.poll2(_TURN_SECONDS, self._map)
            self._tend()

    def stop(self) -> None:
        """Make ``run`` return; safe in a signal handler."""
        self._stopping = True
        self.wake()

    def wake(self, then: Callable[[], object] | None = None) -> None:
        """Turn the loop once more, and call ``then`` from it."""
        self._listeners[0].trigger.pull_trigger(then)

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
        # The loop's own pipe stays open: a thread that is still at work may yet write to it.
        self._listeners[0].task_dispatcher.shutdown(timeout=0 if busy else 5)
        return busy

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


def _make_room(connections: list[Connection]) -> None:
    """Close some connections that nobody asks anything on, the idlest first."""
    before = time.time() - _IDLE_SECONDS
    idle = [one for one in connections if not one.busy and one.last_activity < before]
    idle.sort(key=lambda one: float(one.last_activity))
    for connection in idle[: 1 + len(connections) // 10]:
        connection.handle_close()


@contextlib.contextmanager
def _listening(listen: str) -> Iterator[list[socket.socket]]:
    """Yield the sockets systemd handed over, else one bound to ``listen``."""
    try:
        sockets = systemd.inherited_sockets(os.environ)
    except (OSError, ValueError) as error:
        raise ServerError(f"A socket handed over by LISTEN_FDS is unusable: {error}") from None
    if sockets:
        yield sockets
        return
    address = listen_address(listen)
    try:
        sock = _bind_path(address) if isinstance(address, Path) else _bind(*address)
    except OSError as error:
        raise ServerError(f"Cannot listen on {listen}: {_reason(error)}") from None
    try:
        yield [sock]
    finally:
        if isinstance(address, Path):
            address.unlink(missing_ok=True)


def _bind(host: str, port: int) -> socket.socket:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    # A name with both kinds of address: the older kind is the one every client tries.
    family, _, _, _, address = min(found, key=lambda one: one[0] != socket.AF_INET)
    return socket.create_server(address[:2], family=family, backlog=_BACKLOG)


def _bind_path(path: Path) -> socket.socket:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()  # left behind by a process that was killed
        except FileNotFoundError:
            pass
        else:
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.bind(str(path))
    sock.listen(_BACKLOG)
    return sock


def _reason(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "another process listens there; stop it, or choose another address (port 0: any)"
    if error.errno == errno.EACCES:
        return "permission denied; ports below 1024 and foreign directories need more rights"
    # Python adds the address to the text of some of these: ours names it already.
    number = error.errno or 0
    return os.strerror(number) if number > 0 else error.strerror or str(error)


def _url(sock: socket.socket) -> str:
    if sock.family == socket.AF_UNIX:
        return f"unix:{sock.getsockname()}"
    host, port = sock.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@contextlib.contextmanager
def _stopping_on_signals(loop: Loop) -> Iterator[None]:
    """Stop ``loop`` on the first SIGTERM or SIGINT; the second has its usual, deadly effect."""
    signals = (signal.SIGTERM, signal.SIGINT)

    def stop(_number: int, _frame: object) -> None:
        for each in signals:
            signal.signal(each, signal.SIG_DFL)
        loop.stop()

    before = {each: signal.signal(each, stop) for each in signals}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


@contextlib.contextmanager
def _watched(loop: Loop, app: Application) -> Iterator[None]:
    """Give systemd's watchdog a sign of life while the loop turns and ``app`` is ready."""
    stopped = threading.Event()
    seconds = systemd.watchdog_seconds(os.environ)

    def watch(interval: float) -> None:
        while not stopped.wait(interval):
            turned = threading.Event()
            loop.wake(turned.set)
            try:
                app.ready()
            except Exception as error:  # noqa: BLE001 - whatever it is, it is not ready
                _log.exception("not ready, the watchdog goes hungry")
                systemd.notify(os.environ, STATUS=f"Not ready: {error}")
            else:
                if turned.wait(interval):
                    systemd.notify(os.environ, WATCHDOG="1")

    if seconds is not None:
        threading.Thread(target=watch, args=(seconds / 2,), name="watchdog", daemon=True).start()
    try:
        yield
    finally:
        stopped.set()
