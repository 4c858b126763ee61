"""Clients that are slow, silent or too many harm themselves only."""

import json
import select
import socket
import time
from typing import Any

import pytest
import requests

from tests.processes import DEADLINE
from tests.server.test_saturation import counted

TIMEOUT = 60


def trickle(client: socket.socket, first: bytes, drop: bytes) -> bytes:
    """Send ``first``, then ``drop`` again and again, until the server hangs up; return its words.

    Reading with a short timeout is what paces the drops.
    """
    client.sendall(first)
    client.settimeout(0.05)
    told, deadline = b"", time.monotonic() + DEADLINE
    while time.monotonic() < deadline:
        try:
            if not (more := client.recv(65536)):
                return told
            told += more
        except TimeoutError:
            try:
                client.sendall(drop)
            except OSError:
                return told
        except ConnectionResetError:
            return told
    raise AssertionError("never cut off")


@pytest.mark.parametrize(
    ("first", "drop"),
    [
        (b"GET /big?1 HTTP/1.1\r\nHost: x\r\nX-Slow: ", b"x"),
        (b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n", b"x"),
        (b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        (b"GET /big?1 HTTP/1.1\r\n", b""),
    ],
    ids=["headers", "body", "chunks", "silence"],
)
def test_a_request_that_trickles_in_is_cut_and_others_are_served(
    program: Any, connect: Any, first: bytes, drop: bytes
) -> None:
    server = program("127.0.0.1:0", "threads=1", "receive_timeout=1")
    url = server.url()
    slow = connect(int(url.rpartition(":")[2]))
    slow.sendall(first[:5])
    assert requests.get(f"{url}/big?3", timeout=TIMEOUT).text == "xxx"
    told = trickle(slow, first[5:], drop)
    head, _, body = told.partition(b"\r\n\r\n")
    assert head.split(b" ")[1] == b"408"
    error = json.loads(body)["error"]
    assert (error["code"], error["type"]) == (408, "RequestTimeoutException")
    assert "1 seconds to arrive" in error["message"]
    assert counted(url, "refusals_total") == 1
    assert requests.get(f"{url}/big?3", timeout=TIMEOUT).text == "xxx"
    assert server.stop() == 0


def test_a_keep_alive_connection_is_not_a_slow_request(program: Any) -> None:
    server = program("127.0.0.1:0", "threads=1", "receive_timeout=1")
    url = server.url()
    with requests.Session() as session:
        assert session.get(f"{url}/big?1", timeout=TIMEOUT).text == "x"
        other = time.monotonic() + 2.5
        while time.monotonic() < other:  # others keep the server awake
            requests.get(f"{url}/big?1", timeout=TIMEOUT)
        assert session.get(f"{url}/big?1", timeout=TIMEOUT).text == "x"
    assert counted(url, "refusals_total") == 0


def test_an_answer_that_nobody_reads_holds_no_thread(program: Any, connect: Any) -> None:
    server = program("127.0.0.1:0", "threads=1", "channel_timeout=1")
    url = server.url()
    deaf = connect(int(url.rpartition(":")[2]))
    # More than waitress keeps for one connection: its thread waits until some of it has left.
    deaf.sendall(b"GET /big?40000000 HTTP/1.1\r\nHost: x\r\n\r\n" * 2)
    assert requests.get(f"{url}/big?3", timeout=TIMEOUT).text == "xxx"
    assert server.stop() == 0


def test_who_does_not_read_keeps_no_server_from_stopping(program: Any, connect: Any) -> None:
    server = program("127.0.0.1:0", "channel_timeout=1")
    url = server.url()
    deaf = connect(int(url.rpartition(":")[2]))
    deaf.sendall(b"GET /big?40000000 HTTP/1.1\r\nHost: x\r\n\r\n")
    assert deaf.recv(1) == b"H"
    assert server.stop() == 0
    assert any("its client does not read" in line for line in server.errors)


def test_idle_connections_make_room(program: Any, connect: Any) -> None:
    server = program("127.0.0.1:0", "max_connections=5")
    url = server.url()
    port = int(url.rpartition(":")[2])
    idle = [connect(port) for _ in range(5)]
    answers = [requests.get(f"{url}/big?3", timeout=TIMEOUT).text for _ in range(3)]
    assert answers == ["xxx"] * 3
    closed = select.select(idle, [], [], TIMEOUT)[0]
    assert {one.recv(1) for one in closed} == {b""}
    assert idle[0] in closed  # the idlest
    assert server.stop() == 0
