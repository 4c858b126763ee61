"""HTTP to the letter, where two readers of a request could otherwise disagree.

Source: RFC 9110 and RFC 9112.
"""

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from waitress import wasyncore

from falcon_catalog.server.channel import Channel
from falcon_catalog.server.loop import Loop
from falcon_catalog.settings import ServerSettings
from tests.catalog.serving import Server, serving
from tests.server.test_at_once import read_exactly
from tests.server.test_saturation import counted

HEAD = b"Host: localhost\r\n"


def converse(client: socket.socket, request: bytes) -> list[tuple[int, bytes]]:
    """Send bytes, read until the server closes; return status and body of each response."""
    client.sendall(request)
    rest = b"".join(iter(lambda: client.recv(65536), b""))
    responses = []
    while rest:
        head, _, rest = rest.partition(b"\r\n\r\n")
        size = int(head.lower().partition(b"content-length: ")[2].split()[0] or 0)
        responses.append((int(head.split()[1]), rest[:size]))
        rest = rest[size:]
    return responses


def test_expect_without_a_body_is_ignored(program: Any, connect: Any) -> None:
    client = connect(program().port())
    first = b"GET /big?1 HTTP/1.1\r\n" + HEAD + b"Expect: 100-continue\r\n\r\n"
    second = b"GET /big?2 HTTP/1.1\r\n" + HEAD + b"Connection: close\r\n\r\n"
    assert converse(client, first + second) == [(200, b"x"), (200, b"xx")]


def test_expect_without_a_body_is_answered_at_once(program: Any, connect: Any) -> None:
    client = connect(program().port())
    client.sendall(b"GET /quick/big?3 HTTP/1.1\r\n" + HEAD + b"Expect: 100-continue\r\n\r\n")
    assert read_exactly(client) == b"xxx"


def test_expect_with_a_body_is_told_to_continue(program: Any, connect: Any) -> None:
    client = connect(program().port())
    head = b"Content-Length: 4\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n"
    client.sendall(b"POST /echo HTTP/1.1\r\n" + HEAD + head)
    assert client.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert converse(client, b"abcd") == [(200, b"4")]


def test_a_body_that_is_too_large_is_not_asked_for(program: Any, connect: Any) -> None:
    client = connect(program("127.0.0.1:0", "max_body_bytes=1024").port())
    head = b"Content-Length: 2000\r\nExpect: 100-continue\r\n\r\n"
    ((status, _),) = converse(client, b"POST /echo HTTP/1.1\r\n" + HEAD + head)
    assert status == 413


@pytest.mark.parametrize(
    ("line", "headers"),
    [
        (b"POST /echo", HEAD + b"Content-Length: " + b"1" * 5000),
        (b"GET http://[::1/big?1", HEAD.rstrip()),
        (b"POST /echo", HEAD + b"Content-Length: 3\r\nTransfer-Encoding: chunked"),
        (b"POST /echo", HEAD + b"Transfer-Encoding: chunked, chunked"),
        (b"POST /echo", HEAD + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
        (b"GET /big?1", b"X: no Host"),
        (b"GET /big?1", b"Host: a\r\nHost: b"),
        (b"GET /big?1", b"Host:"),
    ],
    ids=["digits", "address", "both", "twice", "two lines", "hostless", "hosts", "empty host"],
)
def test_what_is_ambiguous_is_rejected_and_the_connection_closed(
    program: Any, connect: Any, line: bytes, headers: bytes
) -> None:
    client = connect(program().port())
    following = b"GET /big?9 HTTP/1.1\r\n" + HEAD + b"\r\n"
    ((status, body),) = converse(
        client, line + b" HTTP/1.1\r\n" + headers + b"\r\n\r\n" + following
    )
    assert status == 400
    assert json.loads(body)["error"]["type"] == "BadRequestException"


@pytest.mark.parametrize("value", [b"close, te", b"TE, Close", b"close"])
def test_close_among_other_options_closes(program: Any, connect: Any, value: bytes) -> None:
    client = connect(program().port())
    request = b"GET /big?1 HTTP/1.1\r\n" + HEAD + b"Connection: " + value + b"\r\n\r\n"
    assert converse(client, request) == [(200, b"x")]


def test_http_1_0_needs_no_host(program: Any, connect: Any) -> None:
    client = connect(program().port())
    assert converse(client, b"GET /big?1 HTTP/1.0\r\n\r\n") == [(200, b"x")]


def test_a_close_does_not_reset_the_connection_though_more_was_sent(
    program: Any, connect: Any
) -> None:
    """What the client sent after its last request waits unread in the server's socket."""
    client = connect(program().port())
    first = b"GET /big?300000 HTTP/1.1\r\n" + HEAD + b"Connection: close\r\n\r\n"
    assert converse(client, first + b"x" * 3_000_000) == [(200, b"x" * 300_000)]


def test_half_sent_requests_lock_nobody_out(program: Any, connect: Any, get: Any) -> None:
    server = program("127.0.0.1:0", "max_connections=20", "max_connections_per_address=15")
    port = server.port()
    half = []
    for _ in range(60):
        half.append(connect(port))
        half[-1].sendall(b"GET /big?1 HTTP/1.1\r\nHost")
    assert get(port, "/big?3").getresponse().read() == b"xxx"
    assert server.stop() == 0


def test_the_head_of_a_request_has_a_deadline_of_its_own(program: Any, connect: Any) -> None:
    server = program("127.0.0.1:0", "header_timeout=1", "receive_timeout=60")
    url = server.url()
    slow = connect(int(url.rpartition(":")[2]))
    ((status, body),) = converse(slow, b"GET /big?1 HTTP/1.1\r\nX: ")
    assert status == 408
    assert "1 seconds to arrive" in json.loads(body)["error"]["message"]
    assert counted(url, "refusals_total") == 1


@pytest.fixture
def closed(tmp_path: Any) -> Any:
    with serving(tmp_path, auth__required=True) as server:
        yield server


def test_a_body_is_not_read_before_the_token_is_checked(closed: Server, connect: Any) -> None:
    client = connect(int(closed.url.rpartition(":")[2]))
    head = b"Content-Type: application/json\r\nContent-Length: 20000000\r\n"
    head += b"Expect: 100-continue\r\n\r\n"
    ((status, body),) = converse(client, b"POST /v1/namespaces HTTP/1.1\r\n" + HEAD + head)
    assert status == 401
    assert json.loads(body)["error"]["type"] == "NotAuthorizedException"


def test_what_is_rejected_by_its_head_has_a_whole_status_line(closed: Server, connect: Any) -> None:
    client = connect(int(closed.url.rpartition(":")[2]))
    head = b"Content-Type: application/json\r\nContent-Length: 9\r\n\r\n"
    client.sendall(b"POST /v1/namespaces HTTP/1.1\r\n" + HEAD + head)
    with client.makefile("rb") as told:
        assert told.readline() == b"HTTP/1.1 401 Unauthorized\r\n"


def test_two_slashes_are_not_one(tmp_path: Any) -> None:
    with serving(tmp_path) as server:
        assert server.call("GET", "/v1/namespaces").status_code == 200
        for path in ("//v1/namespaces", "/v1//namespaces", "//management/v1/dropped"):
            assert server.fails("GET", path)[0] == 404


def test_the_tag_s_header_is_spelled_as_java_looks_it_up(tmp_path: Any, connect: Any) -> None:
    """Header names are case-insensitive, but not in the map that Java's client reads them from."""
    with serving(tmp_path) as server:
        server.namespace("ns")
        server.table("t")
        tag = server.call("GET", "/v1/namespaces/ns/tables/t").headers["ETag"]
        client = connect(int(server.url.rpartition(":")[2]))
        with client.makefile("rb") as told:
            for known, status in ((b"", b"200 OK"), (tag.encode(), b"304 Not Modified")):
                client.sendall(
                    b"GET /v1/namespaces/ns/tables/t HTTP/1.1\r\n"
                    + HEAD
                    + b"If-None-Match: "
                    + known
                    + b"\r\n\r\n"
                )
                head = [told.readline()]
                while head[-1] != b"\r\n":
                    head.append(told.readline())
                names = [line.partition(b":")[0] for line in head[1:-1]]
                assert status in head[0]
                assert b"ETag: " + tag.encode() + b"\r\n" in head
                assert b"Etag" not in names
                length = next((n for n in head if n.startswith(b"Content-Length")), b":0")
                told.read(int(length.partition(b":")[2]))


@contextlib.contextmanager
def running(app: Any) -> Iterator[int]:
    """Run a loop of this process, whose parts a test may replace; yield its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        loop = Loop(app, ServerSettings(), [listener])
        thread = threading.Thread(target=loop.run)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            loop.stop()
            thread.join()
            loop.drain(5)
            wasyncore.close_all(loop._map)


def test_a_last_response_that_ends_while_the_loop_sends_does_not_reset_the_connection(
    monkeypatch: pytest.MonkeyPatch, connect: Any
) -> None:
    """A thread ends it between the loop's first and last look at what is to be sent."""
    send = Channel._flush_exception

    def send_and_end(self: Channel, *arguments: Any, **options: Any) -> Any:
        result = send(self, *arguments, **options)
        self.close_when_flushed = not self.total_outbufs_len
        return result

    def app(_environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Length", "9000000")])
        return [b"x" * 9_000_000]  # more than a socket takes at once

    monkeypatch.setattr(Channel, "_flush_exception", send_and_end)
    with running(app) as port:
        client = connect(port)
        client.sendall(b"GET /big HTTP/1.1\r\n" + HEAD + b"\r\n")
        with client.makefile("rb") as stream:
            assert len(stream.read()) > 9_000_000
        for _ in range(3):  # had the server closed, it would answer the first with a reset
            client.sendall(b"more")
        assert client.recv(1) == b""


def test_the_loop_does_not_send_what_a_thread_is_sending(
    monkeypatch: pytest.MonkeyPatch, connect: Any
) -> None:
    """A thread invites the body of the next request just when the loop looks what to send."""
    send = Channel.send
    looked: list[Channel] = []

    def send_while_the_loop_looks(self: Channel, data: Any, **options: Any) -> Any:
        if bytes(data).startswith(b"HTTP/1.1 100") and not looked:
            looked.append(self)
            loop = threading.Thread(target=self.handle_write)
            loop.start()
            loop.join()
        return send(self, data, **options)

    def app(environ: Any, start_response: Any) -> list[bytes]:
        body = environ["wsgi.input"].read() or b"none"
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]

    monkeypatch.setattr(Channel, "send", send_while_the_loop_looks)
    with running(app) as port:
        client = connect(port)
        expecting = b"Expect: 100-continue\r\nContent-Length: 4\r\nConnection: close\r\n\r\n"
        first = b"GET / HTTP/1.1\r\n" + HEAD + b"\r\n"
        client.sendall(first + b"POST / HTTP/1.1\r\n" + HEAD + expecting)
        with client.makefile("rb") as stream:
            received = b""
            while not received.endswith(b"HTTP/1.1 100 Continue\r\n\r\n"):
                line = stream.readline()
                assert line, received
                received += line
            client.sendall(b"body")
            received += stream.read()
    assert looked
    assert received.count(b"HTTP/1.1 100") == 1
    assert received.count(b"HTTP/1.1 200") == 2
    assert received.endswith(b"body")


@pytest.mark.parametrize(
    ("request_head", "fields", "body", "stays_open"),
    [
        (b"GET /whole HTTP/1.1\r\n", {b"Content-Length: 5"}, b"whole", True),
        (b"HEAD /whole HTTP/1.1\r\n", {b"Content-Length: 5"}, b"", True),
        (b"GET /none HTTP/1.1\r\n", set(), b"", True),
        (
            b"GET /whole HTTP/1.1\r\nConnection: Close\r\n",
            {b"Content-Length: 5", b"Connection: close"},
            b"whole",
            False,
        ),
        (
            b"GET /parts HTTP/1.1\r\n",
            {b"Transfer-Encoding: chunked", b"Connection: close"},
            b"2\r\npa\r\n3\r\nrts\r\n0\r\n\r\n",
            False,
        ),
        (
            b"GET /whole HTTP/1.0\r\n",
            {b"Content-Length: 5", b"Connection: close"},
            b"whole",
            False,
        ),
        (
            b"GET /whole HTTP/1.0\r\nConnection: keep-alive\r\n",
            {b"Content-Length: 5", b"Connection: Keep-Alive"},
            b"whole",
            True,
        ),
        (
            b"GET /parts HTTP/1.0\r\nConnection: keep-alive\r\n",
            {b"Connection: close"},
            b"parts",
            False,
        ),
    ],
)
def test_a_head_says_where_the_body_ends_and_whether_the_connection_does(
    connect: Any, request_head: bytes, fields: set[bytes], body: bytes, *, stays_open: bool
) -> None:
    def app(environ: Any, start_response: Any) -> Any:
        path, method = environ["PATH_INFO"], environ["REQUEST_METHOD"]
        if path == "/none":
            start_response("204 No Content", [])
            return []
        if path == "/parts":
            start_response("200 OK", [])
            return iter([b"pa", b"rts"])
        start_response("200 OK", [("content-length", "5"), ("x-frame-options", "none")])
        return [] if method == "HEAD" else [b"whole"]

    with running(app) as port:
        client = connect(port)
        client.sendall(request_head + HEAD + b"\r\n")
        with client.makefile("rb") as stream:
            head = list(iter(lambda: stream.readline().rstrip(b"\r\n"), b""))
            assert head[0] in (b"HTTP/1.1 200 OK", b"HTTP/1.0 200 OK", b"HTTP/1.1 204 No Content")
            assert head[0][:8] in request_head
            about = (b"Content-Length", b"Transfer-Encoding", b"Connection")
            assert {line for line in head if line.startswith(about)} == fields
            assert b"Server: falcon-catalog" in head
            if b"/whole" in request_head:
                assert b"X-Frame-Options: none" in head
            assert stream.read(len(body)) == body
            if stays_open:  # the next response follows
                client.sendall(b"GET /none HTTP/1.1\r\n" + HEAD + b"\r\n")
                assert stream.readline() == b"HTTP/1.1 204 No Content\r\n"
            else:
                assert stream.read() == b""
