"""A client that keeps its connections and spends little itself: HTTP/1.1 over bare sockets."""

import selectors
import socket
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, NamedTuple, Self

import orjson

_PATIENCE_SECONDS = 120
_RECEIVE_BYTES = 1 << 20
_BODILESS = (204, 304)
_LAST_CHUNK = b"\r\n0\r\n\r\n"
Address = tuple[str, int]


class Request(NamedTuple):
    """What is asked."""

    path: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    """Of a POST; None is a GET."""
    method: str = ""
    """If it is another one."""

    def wire(self) -> bytes:
        """Return the bytes to send."""
        lines = [
            f"{self.method or ('GET' if self.body is None else 'POST')} {self.path} HTTP/1.1",
            "Host: localhost",
        ]
        lines += [f"{name}: {value}" for name, value in self.headers]
        if self.body is not None:
            lines += ["Content-Type: application/json", f"Content-Length: {len(self.body)}"]
        return "\r\n".join([*lines, "", ""]).encode() + (self.body or b"")


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, and how long that took."""

    status: int
    head: bytes
    body: bytes
    seconds: float

    def header(self, name: str) -> str | None:
        """Return a header's value, or None."""
        return _header(self.head, name)

    def json(self) -> Any:
        """Return the body, read."""
        return orjson.loads(self.body)


class Connection:
    """One connection, asked one request at a time; opened again when the server closed it."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._socket = self._open()
        self._sent_at = 0.0
        self._head: bytes | None = None
        self._pieces: list[bytes] = []
        self._tail = b""
        self._left: int | None = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _at: TracebackType | None,
    ) -> None:
        self._socket.close()

    def fileno(self) -> int:
        """Return the socket's number, for a selector."""
        return self._socket.fileno()

    def ask(self, request: Request, *statuses: int) -> Answer:
        """Send a request and return its answer, whose status must be one of these (or 200)."""
        self.send(request.wire())
        while (answer := self.receive()) is None:
            pass
        if answer.status not in (statuses or (200,)):
            raise UnexpectedAnswerError(request.path, answer)
        return answer

    def send(self, request: bytes) -> None:
        """Send a request; its answer must be received before the next."""
        self._head, self._pieces, self._tail, self._left = None, [], b"", 0
        self._sent_at = time.perf_counter()
        self._socket.sendall(request)

    def receive(self) -> Answer | None:
        """Wait for more of the answer, and return it once it is whole."""
        received = self._socket.recv(_RECEIVE_BYTES)
        if not received:
            raise ConnectionError("the server closed a connection in the middle of an answer")
        self._pieces.append(received)
        if self._head is None:
            together = b"".join(self._pieces)
            head, found, body = together.partition(b"\r\n\r\n")
            if not found:
                self._pieces = [together]
                return None
            self._head, self._pieces = head, [body]
            length = _length(head)
            self._left = None if length is None else length - len(body)
        elif self._left is not None:
            self._left -= len(received)
        if self._left is None:
            self._tail = (self._tail + received)[-len(_LAST_CHUNK) :]
            return self._whole(self._head) if self._tail == _LAST_CHUNK else None
        return self._whole(self._head) if self._left <= 0 else None

    def _whole(self, head: bytes) -> Answer:
        seconds = time.perf_counter() - self._sent_at
        if (_header(head, "connection") or "").lower() == "close":
            self._socket.close()
            self._socket = self._open()
        body = b"".join(self._pieces)
        return Answer(_status(head), head, _joined(body) if self._left is None else body, seconds)

    def _open(self) -> socket.socket:
        opened = socket.create_connection(self._address, timeout=_PATIENCE_SECONDS)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return opened


class UnexpectedAnswerError(Exception):
    """An answer with a status that was not expected: what was measured means nothing."""

    def __init__(self, path: str, answer: Answer) -> None:
        super().__init__(f"{path}: {answer.status} {answer.body[:500]!r}")


@dataclass(slots=True)
class Driven:
    """What came of requests over several connections at once."""

    seconds: float = 0.0
    latencies: list[list[float]] = field(default_factory=list)
    """Seconds of each answer that counts, by connection."""
    statuses: Counter[int] = field(default_factory=Counter)


def drive(
    address: Address,
    streams: Sequence[Iterable[Request]],
    seconds: float,
    *,
    passed_over: Sequence[int] = (),
) -> Driven:
    """Ask the requests of each stream one after the other, all streams at once.

    Args:
        address: who is asked.
        streams: one for each connection.
        seconds: after which no more requests are sent; what is under way is waited for. Streams
            that end do so before.
        passed_over: statuses besides those below 400 that are no trouble, but do not count.
    """
    driven = Driven(latencies=[[] for _ in streams])
    with ExitStack() as stack, selectors.DefaultSelector() as selector:
        started = time.perf_counter()
        for number, stream in enumerate(streams):
            connection = stack.enter_context(Connection(address))
            _ask_next(selector, _Asker(number, connection, iter(stream)))
        while selector.get_map():
            for key, _ in selector.select(_PATIENCE_SECONDS):
                asker: _Asker = key.data
                answer = asker.connection.receive()
                if answer is None:
                    continue
                selector.unregister(key.fd)  # its connection may have been opened again
                _note(driven, asker.number, answer, passed_over)
                if time.perf_counter() - started < seconds:
                    _ask_next(selector, asker)
        driven.seconds = time.perf_counter() - started
    return driven


class _Asker(NamedTuple):
    number: int
    connection: Connection
    requests: Iterator[Request]


def _ask_next(selector: selectors.BaseSelector, asker: _Asker) -> None:
    request = next(asker.requests, None)
    if request is not None:
        asker.connection.send(request.wire())
        selector.register(asker.connection, selectors.EVENT_READ, asker)


def _note(driven: Driven, number: int, answer: Answer, passed_over: Sequence[int]) -> None:
    driven.statuses[answer.status] += 1
    if answer.status < 400:  # noqa: PLR2004 - where HTTP's errors begin
        driven.latencies[number].append(answer.seconds)
    elif answer.status not in passed_over:
        raise UnexpectedAnswerError("while driven", answer)


def _status(head: bytes) -> int:
    return int(head[9:12])


def _length(head: bytes) -> int | None:
    """Return the length of an answer's body, or None if it comes in chunks."""
    if _status(head) in _BODILESS:
        return 0
    if (_header(head, "transfer-encoding") or "").lower() == "chunked":
        return None
    length = _header(head, "content-length")
    if length is None:
        raise ConnectionError(f"an answer without its length: {head!r}")
    return int(length)


def _joined(chunks: bytes) -> bytes:
    """Return the body that came in chunks (RFC 9112, section 7.1)."""
    pieces: list[bytes] = []
    start = 0
    while True:
        line_end = chunks.index(b"\r\n", start)
        size = int(chunks[start:line_end].partition(b";")[0], 16)
        if size == 0:
            return b"".join(pieces)
        pieces.append(chunks[line_end + 2 : line_end + 2 + size])
        start = line_end + 2 + size + 2


def _header(head: bytes, name: str) -> str | None:
    _, found, rest = head.lower().partition(f"\r\n{name}:".encode())
    if not found:
        return None
    value = rest.partition(b"\r\n")[0]
    start = len(head) - len(rest)
    return head[start : start + len(value)].decode("latin-1").strip()
