"""What the event loop answers itself, and that nothing is different for it."""

import socket
import threading
import time
from typing import Any

import pytest
import requests
from waitress.channel import HTTPChannel

from falcon_catalog.api.routes import MANAGEMENT_ROUTES, ROUTES, inline_paths
from falcon_catalog.server.channel import Channel
from falcon_catalog.server.dispatcher import Dispatcher
from falcon_catalog.server.inline import INLINE, WouldBlock
from falcon_catalog.settings import ServerSettings
from tests.catalog.serving import looping
from tests.server.test_saturation import TIMEOUT, Gates, read_answer

EXAMPLES = {
    "prefix": "main",
    "warehouse": "main",
    "namespace": "a%1Fb",
    "table": "t",
    "view": "v",
    "function": "f",
    "plan-id": "p",
    "dropped": "1",
}


@pytest.fixture
def gates(tmp_path: Any, program: Any) -> Gates:
    """A server with one thread, and a request that it waits for."""
    return Gates(tmp_path, program("127.0.0.1:0", "threads=1"))


def ask(client: socket.socket, *paths: str, close: bool = False) -> None:
    """Send requests, all at once."""
    more = "Connection: close\r\n" if close else ""
    heads = [f"GET {path} HTTP/1.1\r\nHost: x\r\n{more}\r\n" for path in paths]
    client.sendall("".join(heads).encode())


def test_what_is_quick_is_answered_while_every_thread_is_busy(gates: Gates, connect: Any) -> None:
    busy, other = connect(gates.port), connect(gates.port)
    busy.sendall(gates.request())
    assert gates.server.line() == "entered"
    for _ in range(3):
        ask(other, "/quick/thread")
        assert read_answer(other)[1] == b"the loop"
    gates.open(1)
    assert read_answer(busy)[1] == b"done"
    assert requests.get(f"{gates.url}/thread", timeout=TIMEOUT).text == "a thread"
    # Only an application that says what is quick is ever asked by the loop.
    assert requests.head(f"{gates.url}/quick/thread", timeout=TIMEOUT).status_code == 200


def test_what_would_wait_after_all_is_answered_by_a_thread(gates: Gates, connect: Any) -> None:
    slow, other = connect(gates.port), connect(gates.port)
    ask(slow, f"/quick/gate?{gates.gate}")
    assert gates.server.line() == "entered"
    ask(other, "/quick/thread")
    assert read_answer(other)[1] == b"the loop"
    gates.open(1)
    assert read_answer(slow)[1] == b"done"


def test_requests_that_come_together_are_answered_in_their_order(
    gates: Gates, connect: Any
) -> None:
    client = connect(gates.port)
    gate = f"/quick/gate?{gates.gate}"
    ask(client, "/quick/thread", "/big?3", gate, "/quick/echo", "/quick/big?5")
    assert gates.server.line() == "entered"
    gates.open(1)
    bodies = [read_exactly(client) for _ in range(5)]
    assert bodies == [b"the loop", b"xxx", b"done", b"0", b"xxxxx"]


def test_a_failure_is_told_as_that_of_a_thread_is(gates: Gates) -> None:
    answers = [
        requests.get(f"{gates.url}{path}", timeout=TIMEOUT) for path in ("/quick/fail", "/fail")
    ]
    assert [one.status_code for one in answers] == [500, 500]
    assert answers[0].json() == answers[1].json()
    assert "secret" not in answers[0].text
    assert gates.server.stop() == 0
    assert sum("a secret that belongs in the log" in line for line in gates.server.errors) == 2


def test_a_connection_is_closed_when_its_client_says_so(gates: Gates, connect: Any) -> None:
    client = connect(gates.port)
    ask(client, "/quick/thread", close=True)
    head, body = read_answer(client)
    assert b"\r\nConnection: close\r\n" in head
    assert body == b"the loop"
    assert client.recv(1) == b""


def test_a_long_answer_to_who_does_not_read_keeps_nobody_waiting(
    gates: Gates, connect: Any
) -> None:
    idle, other = connect(gates.port), connect(gates.port)
    ask(idle, "/quick/big?20000000", "/quick/thread")
    for _ in range(3):
        ask(other, "/quick/thread")
        assert read_answer(other)[1] == b"the loop"
    assert read_exactly(idle) == b"x" * 20_000_000
    assert read_exactly(idle) in (b"the loop", b"a thread")


def test_one_who_leaves_before_the_answer_harms_nobody(gates: Gates, connect: Any) -> None:
    for size in (1, 20_000_000):
        leaver = connect(gates.port)
        ask(leaver, f"/quick/big?{size}")
        leaver.close()
    assert requests.get(f"{gates.url}/quick/thread", timeout=TIMEOUT).text == "the loop"
    assert gates.server.stop() == 0


def test_only_looks_are_quick() -> None:
    quick, paths = [], inline_paths()
    for template, (_, verbs) in {**ROUTES, **MANAGEMENT_ROUTES}.items():
        path = template
        for name, value in EXAMPLES.items():
            path = path.replace(f"{{{name}}}", value)
        for verb, operation in verbs.items():
            if verb in paths and paths[verb].fullmatch(path):
                assert paths[verb].fullmatch(path.replace("/main/", "/"))
                quick.append(operation)
    assert sorted(quick) == ["loadTable", "namespaceExists", "tableExists", "viewExists"]
    assert paths["GET"].fullmatch("/v1/config")
    assert set(paths) == {"GET", "HEAD"}


def read_exactly(client: socket.socket) -> bytes:
    """Read one answer of several that may come together; return its body."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += client.recv(1)
    size = int(head.lower().partition(b"content-length: ")[2].split()[0])
    body = b""
    while len(body) < size:
        body += client.recv(min(65536, size - len(body)))
    return body


def test_only_the_loop_leaves_a_request_to_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that did so might come when the loop has looked for the last time."""

    def receive_slowly(channel: HTTPChannel) -> None:
        receive(channel)
        time.sleep(0.3)  # by now a thread is done with the first request

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        asked.append(INLINE in environ)
        start_response("200 OK", [("Content-Length", "0")])
        return [b""]

    receive, asked = HTTPChannel.handle_read, list[bool]()
    app.may_respond_inline = lambda _method, path: path == "/quick"  # type: ignore[attr-defined]
    monkeypatch.setattr(HTTPChannel, "handle_read", receive_slowly)
    with looping(app, ServerSettings()) as url:
        port = int(url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT) as client:
            ask(client, "/thread", "/quick")
            told = b""
            while told.count(b"200 OK") < 2:
                told += client.recv(65536)
    assert asked == [False, False]


@pytest.mark.parametrize("paths", [("/quick/gate",), ("/quick", "/gate")], ids=["one", "two"])
def test_a_thread_may_begin_before_the_loop_has_returned(
    monkeypatch: pytest.MonkeyPatch, paths: tuple[str, ...]
) -> None:
    """Whether it leaves a request to a thread, or goes on to the next one, which needs a thread."""

    def enqueue_slowly(dispatcher: Dispatcher, channel: Channel) -> None:
        enqueue(dispatcher, channel)
        assert called.wait(TIMEOUT)

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        asked.append((environ["PATH_INFO"], INLINE in environ))
        if asked[-1] == ("/quick/gate", True) and len(asked) == 1:
            raise WouldBlock
        if environ["PATH_INFO"].endswith("/gate"):
            called.set()
        start_response("200 OK", [("Content-Length", "0")])
        return [b""]

    enqueue, called, asked = Dispatcher.enqueue, threading.Event(), list[tuple[str, bool]]()
    app.may_respond_inline = lambda _method, path: path.startswith("/quick")  # type: ignore[attr-defined]
    monkeypatch.setattr(Dispatcher, "enqueue", enqueue_slowly)
    with looping(app, ServerSettings()) as url:
        port = int(url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT) as client:
            ask(client, *paths)
            told = b""
            while told.count(b"200 OK") < len(paths):
                told += client.recv(65536)
    assert asked == [(paths[0], True), (paths[-1], False)]
