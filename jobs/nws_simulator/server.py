"""The simulator on a listening socket."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from wsgiref.types import WSGIApplication

from waitress import create_server, wasyncore

POLL_SECONDS = 0.1
THREADS = 8


class Server:
    """The simulator on a listening socket.

    Raises:
        OSError: the address cannot be listened on.
    """

    def __init__(self, app: WSGIApplication, host: str, port: int) -> None:
        self._sockets: dict[int, Any] = {}
        self._stopping = threading.Event()
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family)
        # Looking ahead is what tells a hanging request that its caller has gone.
        self._server = create_server(
            app,
            sockets=[listener],
            map=self._sockets,
            threads=THREADS,
            channel_request_lookahead=1,
            ident="nws-simulator",
        )
        shown = f"[{host}]" if ":" in host else host
        self.url = f"http://{shown}:{listener.getsockname()[1]}"

    def run(self) -> None:
        """Serve until `stop` is called, then close every connection."""
        while not self._stopping.is_set():
            wasyncore.loop(timeout=POLL_SECONDS, map=self._sockets, count=1)
        for channel in list(self._sockets.values()):
            channel.connected = False  # ends a request that hangs
        self._server.task_dispatcher.shutdown()
        wasyncore.close_all(self._sockets, ignore_all=True)

    def stop(self) -> None:
        """Make `run` return; safe in a signal handler and from any thread."""
        self._stopping.set()


@contextmanager
def running(app: WSGIApplication) -> Iterator[str]:
    """Serve the app on a free port of 127.0.0.1 in a thread; return its base URL."""
    server = Server(app, "127.0.0.1", 0)
    thread = threading.Thread(target=server.run, name="nws-simulator", daemon=True)
    thread.start()
    try:
        yield server.url
    finally:
        server.stop()
        thread.join()
