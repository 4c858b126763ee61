"""Random requests, many on one connection, whole and in pieces: each gets its own response.

``python -m tests.fuzz.pipelining SECONDS [PROCESSES]`` goes on for that long; the seed is printed.
"""

import itertools
import json
import random
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

from tests.catalog.serving import Server, serving

T = "/v1/namespaces/ns/tables/t"
COMMIT = {"updates": [{"action": "set-properties", "updates": {"a": "b"}}]}
_MOST_REQUESTS = 12
_TIMEOUT = 60.0


@dataclass(frozen=True)
class Kind:
    """One kind of request."""

    name: str
    render: Callable[[str], bytes]
    """Return the request that carries this id."""
    statuses: tuple[int, ...]
    has_body: bool = True
    """Whether its response has a body; those to HEAD, 204 and 304 have none."""
    closes: bool = False
    """Whether the server closes the connection after the response."""
    is_known: bool = True
    """Whether the response carries the request's id; malformed requests are refused without."""


def _request(
    line: str,
    *headers: str,
    body: bytes | None = None,
    version: str = "1.1",
    host: str = "Host: localhost",
) -> Callable[[str], bytes]:
    length = [] if body is None else [f"Content-Length: {len(body)}"]

    def render(name: str) -> bytes:
        given = [f"{line} HTTP/{version}", host, f"X-Request-Id: {name}", *length, *headers]
        return "\r\n".join([*filter(None, given), "", ""]).encode() + (body or b"")

    return render


def _chunked(line: str, body: bytes, *, trailer: str = "") -> Callable[[str], bytes]:
    half = len(body) // 2
    parts = b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in (body[:half], body[half:]) if p)
    end = b"0\r\n" + trailer.encode() + b"\r\n"
    head = _request(line, "Transfer-Encoding: chunked", "Content-Type: application/json")
    return lambda name: head(name) + parts + end


_BODY = json.dumps(COMMIT).encode()
_JSON = "Content-Type: application/json"
KINDS = (
    Kind("config", _request("GET /v1/config"), (200,)),
    Kind("load", _request(f"GET {T}"), (200,)),
    Kind("load refs", _request(f"GET {T}?snapshots=refs"), (200,)),
    Kind("load gzip", _request(f"GET {T}", "Accept-Encoding: gzip"), (200,)),
    Kind("load missing", _request(f"GET {T}x"), (404,)),
    Kind("unchanged", _request(f"GET {T}", "If-None-Match: *"), (304,), has_body=False),
    Kind("exists", _request(f"HEAD {T}"), (204,), has_body=False),
    Kind("does not exist", _request(f"HEAD {T}x"), (404,), has_body=False),
    Kind("namespace exists", _request("HEAD /v1/namespaces/ns"), (204,), has_body=False),
    Kind("list", _request("GET /v1/namespaces"), (200,)),
    Kind("list tables", _request("GET /v1/namespaces/ns/tables?pageSize=1"), (200,)),
    Kind("encoded", _request("GET /v1/namespaces/n%73/tables/%74"), (200,)),
    Kind("absolute", _request(f"GET http://localhost{T}"), (200,)),
    Kind("two slashes", _request("GET //v1/config"), (404,)),
    Kind("no route", _request("GET /nowhere"), (404,)),
    Kind("wrong method", _request(f"PUT {T}", _JSON, body=b"{}"), (405,)),
    Kind("commit", _request(f"POST {T}", _JSON, body=_BODY), (200,)),
    Kind("commit in chunks", _chunked(f"POST {T}", _BODY), (200,)),
    Kind("chunks and a trailer", _chunked(f"POST {T}", _BODY, trailer="X-A: b\r\n"), (200,)),
    Kind("no chunks", _chunked(f"POST {T}", b""), (400,)),
    Kind(
        "commit, expecting",
        _request(f"POST {T}", _JSON, "Expect: 100-continue", body=_BODY),
        (200,),
    ),
    Kind("expecting without a body", _request(f"GET {T}", "Expect: 100-continue"), (200,)),
    Kind("expecting, of length 0", _request(f"GET {T}", "Expect: 100-continue", body=b""), (200,)),
    Kind("no JSON", _request(f"POST {T}", _JSON, body=b"{" * 9), (400,)),
    Kind("no body", _request(f"POST {T}"), (400,)),
    Kind("drop of nothing", _request(f"DELETE {T}x"), (404,)),
    Kind("live", _request("GET /health/live"), (200,)),
    Kind("metrics", _request("GET /metrics"), (200,)),
    Kind("old version", _request("GET /v1/config", version="1.0"), (200,), closes=True),
    Kind("farewell", _request("GET /v1/config", "Connection: close"), (200,), closes=True),
    Kind(
        "two lengths",
        _request(f"POST {T}", "Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
        (400,),
        closes=True,
        is_known=False,
    ),
    Kind("no host", _request(f"GET {T}", host=""), (400,), closes=True, is_known=False),
    Kind(
        "a long length",
        _request(f"POST {T}", f"Content-Length: {'9' * 5000}"),
        (400, 413),
        closes=True,
        is_known=False,
    ),
    Kind("no request line", lambda _: b"NONSENSE\r\n\r\n", (400,), closes=True, is_known=False),
)


def prepare(server: Server) -> None:
    """Create the table that the requests are about."""
    server.namespace("ns")
    server.table("t", properties={"long": "x" * 5000})


def connections(url: str, seed: int, until: float) -> Iterator[list[Kind]]:
    """Send requests over one connection after another; yield what each has sent.

    Raises:
        AssertionError: a response was missing, another's, or wrong.
    """
    draw = random.Random(seed)  # noqa: S311
    numbers = itertools.count()
    while time.monotonic() < until:
        kinds = draw.choices(KINDS, k=draw.randint(1, _MOST_REQUESTS))
        closing = next((at for at, kind in enumerate(kinds) if kind.closes), len(kinds))
        kinds = kinds[: closing + 1]
        names = [f"{seed}-{next(numbers)}" for _ in kinds]
        sent = b"".join(kind.render(name) for kind, name in zip(kinds, names, strict=True))
        host, port = urlsplit(url).netloc.split(":")
        with socket.create_connection((host, int(port)), _TIMEOUT) as client:
            for piece in _pieces(sent, draw):
                client.sendall(piece)
            with client.makefile("rb") as stream:
                for at, (kind, name) in enumerate(zip(kinds, names, strict=True)):
                    among = [each.name for each in kinds]
                    try:
                        _check(stream, kind, name, among)
                    except ConnectionError as error:
                        raise AssertionError(f"{error} before response {at} to {among}") from error
                if kinds[-1].closes:
                    assert stream.read() == b"", f"more after the last response to {kinds}"
        yield kinds


def _pieces(sent: bytes, draw: random.Random) -> Iterator[bytes]:
    """Cut what is sent: not at all, at some places, or into single bytes."""
    size = draw.choice((len(sent), len(sent), 100, 7, 1))
    while sent:
        length = draw.randint(1, max(1, size))
        yield sent[:length]
        sent = sent[length:]


def _check(stream: BinaryIO, kind: Kind, name: str, among: Sequence[str]) -> None:
    status, headers = _head(stream)
    while status == 100:
        status, headers = _head(stream)
    where = f"{kind.name!r}, one of {among}"
    assert status in kind.statuses, f"{status} for {where}"
    if kind.is_known:
        assert headers.get("x-request-id") == name, f"another's response for {where}"
    length = int(headers.get("content-length", "0"))
    if kind.has_body:
        assert length, f"no body for {where}"
        body = stream.read(length)
        assert len(body) == length, f"a torn body for {where}"


def _head(stream: BinaryIO) -> tuple[int, dict[str, str]]:
    line = stream.readline().decode()
    assert line.startswith("HTTP/1."), f"no response: {line!r}"
    headers: dict[str, str] = {}
    while (pair := stream.readline().decode().strip()) != "":
        field, _, value = pair.partition(":")
        assert field.lower() not in headers or field.lower() == "vary", f"{field} is there twice"
        headers[field.lower()] = value.strip()
    return int(line.split()[1]), headers


def main() -> None:
    """Go on for some seconds, and print what was sent."""
    seconds = float(sys.argv[1])
    processes = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    seed = time.time_ns() % 1_000_000
    counted: Counter[str] = Counter()
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(Path(folder), apart=True, processes=processes) as server,
    ):
        prepare(server)
        for kinds in connections(server.url, seed, time.monotonic() + seconds):
            counted.update(kind.name for kind in kinds)
    sys.stdout.write(f"seed {seed}: {sum(counted.values())} requests of {len(counted)} kinds\n")


if __name__ == "__main__":
    main()
