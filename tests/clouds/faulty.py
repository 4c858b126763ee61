"""A proxy in front of an object store that loses answers, delays, throttles and cuts connections.

A fault ``lost-…`` comes after the store did what was asked: the client gets something else than
the store's answer. All others keep the request from the store, but for ``late``, which does it
when nobody waits any more, and ``cut``, which spoils the answer only.
"""

import contextlib
import http.client
import random
import select
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

LOST = ("lost-500", "lost-503", "lost-close", "lost-reset", "lost-hang")
KEPT_AWAY = ("500", "503", "429", "close", "reset", "hang")
REFUSED = ("403", "400")
SECRET = "the-store-s-own-words"  # noqa: S105 - what no client and no log may show
_CODES = {
    "500": "InternalError",
    "503": "SlowDown",
    "429": "TooManyRequests",
    "403": "AccessDenied",
    "400": "ExpiredToken",
    "404": "NoSuchBucket",
    "409": "ConditionalRequestConflict",
}
_HANG_SECONDS = 300.0

Match = Callable[[str, str], bool]
"""Whether a fault is meant for a request of this method and path."""


def anything(_method: str, _path: str) -> bool:
    return True


def only(method: str, inside: str = "/") -> Match:
    """Match one method, and paths in which a text occurs."""
    return lambda asked, path: asked == method and inside in path


class Faulty:
    """The proxy. Requests pass unspoiled until it is told otherwise."""

    def __init__(self, upstream: str) -> None:
        self._upstream = urlsplit(upstream)
        self._guard = threading.Lock()
        self._planned: list[tuple[str, Match]] = []
        self._rain: Callable[[str, str], str | None] = lambda _method, _path: None
        self.released = threading.Event()
        """Set: nothing hangs any more."""
        self.requests: list[tuple[str, str]] = []
        self.held: list[float] = []
        """Seconds for which requests hung."""
        """All that came, as method and path."""
        self.spoiled: Counter[str] = Counter()
        self.hanging = 0
        """Requests that hang now."""
        self._server = _Server(self)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def spoil(self, fault: str, times: int = 1, match: Match = anything) -> None:
        """Spoil the next ``times`` requests that match."""
        with self._guard:
            self._planned += [(fault, match)] * times

    def always(self, fault: str, match: Match = anything) -> None:
        """Spoil all requests that match, until ``clear``."""
        self._rain = lambda method, path: fault if match(method, path) else None

    def rain(self, seed: object, rate: float, faults: Sequence[str]) -> None:
        """Spoil a share of all requests, drawn by a seed."""
        chance = random.Random(str(seed))  # noqa: S311 - chance that can be repeated
        self._rain = lambda _method, _path: (
            chance.choice(faults) if chance.random() < rate else None
        )

    def clear(self) -> None:
        """Let all requests pass; what hangs is released."""
        with self._guard:
            self._planned.clear()
            self._rain = lambda _method, _path: None
        self.released.set()
        self.released = threading.Event()

    def count(self, method: str) -> int:
        """Return how many requests of a method came."""
        return sum(asked == method for asked, _ in self.requests)

    def fault(self, method: str, path: str) -> str | None:
        """Return how this request is to be spoiled."""
        with self._guard:
            self.requests.append((method, path))
            planned = next((each for each in self._planned if each[1](method, path)), None)
            if planned is not None:
                self._planned.remove(planned)
            fault = planned[0] if planned else self._rain(method, path)
            if fault is not None:
                self.spoiled[fault] += 1
            return fault

    def hang(self, connection: socket.socket | None = None) -> None:
        """Hold a request until it is released, or its client is gone."""
        with self._guard:
            released = self.released
            self.hanging += 1
        began = time.monotonic()
        until = began + _HANG_SECONDS
        while not released.wait(0.05) and time.monotonic() < until:
            if connection and select.select([connection], [], [], 0)[0]:
                break
        with self._guard:
            self.hanging -= 1
            self.held.append(time.monotonic() - began)

    def forward(self, method: str, path: str, headers: Any, body: bytes) -> tuple[int, Any, bytes]:
        """Return the store's answer."""
        connection = http.client.HTTPConnection(
            self._upstream.hostname or "", self._upstream.port, timeout=60
        )
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in headers.items():
                connection.putheader(name, value)
            connection.endheaders(body)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def close(self) -> None:
        """End it; what hangs is cut off."""
        self.clear()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, faulty: Faulty) -> None:
        self.faulty = faulty
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that went away."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: _Server

    def log_message(self, *_: Any) -> None:
        pass

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        faulty = self.server.faulty
        forward = lambda: faulty.forward(self.command, self.path, self.headers, body)  # noqa: E731
        fault = faulty.fault(self.command, self.path)
        if fault is None:
            self._answer(*forward())
        elif fault == "cut":
            self._answer(*forward(), cut=True)
        elif fault == "slow":
            time.sleep(0.2)
            self._answer(*forward())
        elif fault == "late":
            faulty.hang()
            forward()
            self.close_connection = True
        else:
            lost, _, spoilt = fault.rpartition("-")
            if lost:
                forward()
            self._spoil(spoilt)

    do_GET = do_HEAD = do_PUT = do_DELETE = do_POST = _handle  # noqa: N815 - http.server's names

    def _spoil(self, fault: str) -> None:
        if fault in _CODES:
            code = _CODES[fault]
            text = f"<Error><Code>{code}</Code><Message>{SECRET}</Message></Error>"
            self._answer(int(fault), {"Content-Type": "application/xml"}, text.encode())
            return
        self.close_connection = True
        if fault == "hang":
            self.server.faulty.hang(self.connection)
        elif fault == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
        else:
            assert fault == "close", fault

    def _answer(self, status: int, headers: Any, content: bytes, *, cut: bool = False) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                self.send_header(name, value)
        length = headers.get("Content-Length") if self.command == "HEAD" else len(content)
        self.send_header("Content-Length", str(length or 0))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content[: len(content) // 2] if cut else content)
        self.wfile.flush()
        self.close_connection = self.close_connection or cut


@contextlib.contextmanager
def before(upstream: str) -> Iterator[Faulty]:
    """Start a proxy before a store, and end it."""
    proxy = Faulty(upstream)
    try:
        yield proxy
    finally:
        proxy.close()
