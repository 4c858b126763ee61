"""A proxy between a client and the catalog that loses answers, cuts requests, and holds both up."""

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

DEADLINE = 30.0  # seconds
_END = b"\r\n\r\n"


@dataclass(frozen=True)
class Fault:
    """What goes wrong with one exchange. The server's answer is awaited before its part is cut."""

    request_bytes: int | None = None
    """So many bytes of the request reach the server; then both are cut off."""
    response_bytes: int | None = None
    """So many bytes of the answer reach the client; then it is cut off. None of them: 0."""
    reset: bool = False
    """The client's connection is reset, not ended."""
    until: threading.Event | None = None
    """The answer is held back so long."""
    instead: bytes | None = None
    """What the client gets in place of the answer, as from a gateway."""


LOST = Fault(response_bytes=0)


def gateway_error(status: int) -> Fault:
    """Answer as a gateway does that gave up waiting, though the server did not."""
    return Fault(instead=f"HTTP/1.1 {status} Gateway\r\nContent-Length: 0\r\n\r\n".encode())


class Proxy:
    """Passes HTTP on, one request a connection, and does to it what it was told."""

    def __init__(self, upstream: str) -> None:
        parts = urlsplit(upstream)
        self._upstream = (str(parts.hostname), int(parts.port or 80))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.seen: list[str] = []
        """Verb and path of each request that came whole."""
        self._guard = threading.Lock()
        self._faults: list[tuple[str, str, Fault]] = []
        self._exchanges: list[threading.Thread] = []
        self._accepting = threading.Thread(target=self._accept)
        self._accepting.start()

    def plan(self, verb: str, path: str, fault: Fault) -> None:
        """Do this to the next request with that verb and a path that ends like this, once."""
        with self._guard:
            self._faults.append((verb, path, fault))

    @property
    def planned(self) -> int:
        """How many faults have not happened yet."""
        return len(self._faults)

    def close(self) -> None:
        """Accept nothing more, and wait until what runs has ended."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._accepting.join(DEADLINE)
        self._listener.close()
        for thread in self._exchanges:
            thread.join(DEADLINE)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            client.settimeout(DEADLINE)
            thread = threading.Thread(target=self._exchange, args=(client,))
            self._exchanges.append(thread)
            thread.start()

    def _exchange(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            request = _read_request(client)
            if not request:
                return
            fault = self._fault_of(request)
            answer = self._ask(request, fault)
            if fault.until is not None:
                fault.until.wait(DEADLINE)
            if fault.instead is not None:
                answer = fault.instead
            client.sendall(answer[: fault.response_bytes])
            if fault.reset:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def _fault_of(self, request: bytes) -> Fault:
        verb, target, _ = request.split(b" ", 2)
        asked = (verb.decode(), target.decode().partition("?")[0])
        with self._guard:
            self.seen.append(" ".join(asked))
            for entry in self._faults:
                if asked[0] == entry[0] and asked[1].endswith(entry[1]):
                    self._faults.remove(entry)
                    return entry[2]
        return Fault()

    def _ask(self, request: bytes, fault: Fault) -> bytes:
        """Return the whole answer; nothing, when the request was cut."""
        with socket.create_connection(self._upstream, timeout=DEADLINE) as server:
            server.sendall(request[: fault.request_bytes])
            if fault.request_bytes is not None:
                return b""
            return b"".join(iter(lambda: server.recv(65536), b""))


def _read_request(client: socket.socket) -> bytes:
    """Read one request; make it the last one of its connection."""
    data = b""
    while _END not in data:
        if not (more := client.recv(65536)):
            return b""
        data += more
    head, _, body = data.partition(_END)
    lines = head.split(b"\r\n")
    length = 0
    for line in lines:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    while len(body) < length:
        body += client.recv(65536)
    kept = [line for line in lines if not line.lower().startswith(b"connection:")]
    return b"\r\n".join([*kept, b"Connection: close"]) + _END + body


@contextlib.contextmanager
def cutting(upstream: str) -> Iterator[Proxy]:
    """Run a proxy before a server."""
    proxy = Proxy(upstream)
    try:
        yield proxy
    finally:
        proxy.close()
