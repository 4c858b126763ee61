"""The proxy does what it is told, and nothing else."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import requests

from tests.processes import wait_for
from tests.scenarios.cutting import LOST, Fault, Proxy, cutting, gateway_error

pytestmark = pytest.mark.serverless


class Echo(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    got: list[bytes]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append(body)  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Keep the tests' output clean."""


@pytest.fixture
def echo() -> Iterator[ThreadingHTTPServer]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Echo) as server:
        server.got = []  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def proxy(echo: ThreadingHTTPServer) -> Iterator[Proxy]:
    with cutting(f"http://127.0.0.1:{echo.server_port}") as one:
        yield one


def post(proxy: Proxy, body: bytes = b"hello") -> bytes:
    answer = requests.post(f"{proxy.url}/p/x", data=body, timeout=30)
    answer.raise_for_status()
    return answer.content


def test_it_passes_on_what_it_has_no_plan_for(proxy: Proxy) -> None:
    big = bytes(range(256)) * 10_000
    proxy.plan("POST", "/other", LOST)
    assert post(proxy, big) == big
    assert proxy.seen == ["POST /p/x"]
    assert proxy.planned == 1


@pytest.mark.parametrize(
    "fault", [LOST, Fault(response_bytes=0, reset=True), Fault(response_bytes=-1)]
)
def test_a_lost_answer_was_given(proxy: Proxy, echo: Any, fault: Fault) -> None:
    proxy.plan("POST", "/x", fault)
    with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        post(proxy)
    assert echo.got == [b"hello"]
    assert post(proxy, b"again") == b"again"  # once is once
    assert proxy.planned == 0


def test_a_cut_request_never_comes_whole(proxy: Proxy, echo: Any) -> None:
    proxy.plan("POST", "/x", Fault(request_bytes=-1))
    with pytest.raises(requests.ConnectionError):
        post(proxy)
    assert b"hello" not in echo.got


def test_a_gateway_speaks_for_the_server(proxy: Proxy, echo: Any) -> None:
    proxy.plan("POST", "/x", gateway_error(504))
    with pytest.raises(requests.HTTPError, match="504"):
        post(proxy)
    assert echo.got == [b"hello"]


def test_an_answer_is_held_until_it_may_go(proxy: Proxy, echo: Any) -> None:
    go = threading.Event()
    proxy.plan("POST", "/x", Fault(until=go))
    answers: list[bytes] = []
    asking = threading.Thread(target=lambda: answers.append(post(proxy)))
    asking.start()
    wait_for(lambda: proxy.planned == 0)  # that it is the first request's
    assert post(proxy, b"other") == b"other"  # others are not held up
    assert answers == []
    go.set()
    asking.join(30)
    assert answers == [b"hello"]
    assert sorted(echo.got) == [b"hello", b"other"]
