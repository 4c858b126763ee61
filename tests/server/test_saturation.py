"""A server that has too much to do says so at once, loses nothing, and goes on."""

import contextlib
import json
import os
import socket
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.exceptions import ServiceUnavailableError

from tests.catalog.serving import Server, serving
from tests.processes import wait_for

TIMEOUT = 60


def counted(url: str, name: str) -> float:
    """Return the sum of a metric."""
    text = requests.get(f"{url}/metrics", timeout=TIMEOUT).text
    samples = [one for family in text_string_to_metric_families(text) for one in family.samples]
    return sum(one.value for one in samples if one.name == f"falcon_catalog_{name}")


class Gates:
    """Requests that last until they are let go."""

    def __init__(self, folder: Path, server: Any) -> None:
        self.server = server
        self.url = server.url()
        self.port = int(self.url.rpartition(":")[2])
        self.gate = folder / "gate"
        os.mkfifo(self.gate)

    def request(self, head: bytes = b"GET") -> bytes:
        return head + f" /gate?{self.gate} HTTP/1.1\r\nHost: x\r\n\r\n".encode()

    def open(self, count: int) -> None:
        """Let ``count`` requests go, one after the other."""
        for _ in range(count):
            self.gate.write_text("done")
            # The next reader opens the gate only once it is closed.


@pytest.fixture
def gates(tmp_path: Path, program: Any) -> Gates:
    """One thread, and room for two requests to wait."""
    return Gates(tmp_path, program("127.0.0.1:0", "threads=1", "max_queue=2"))


def read_answer(client: socket.socket) -> tuple[bytes, bytes]:
    """Read one answer with a Content-Length; return its head and body."""
    told = b""
    while b"\r\n\r\n" not in told:
        told += client.recv(65536)
    head, _, body = told.partition(b"\r\n\r\n")
    if b"content-length: " in head.lower():
        size = int(head.lower().partition(b"content-length: ")[2].split()[0])
        while len(body) < size:
            body += client.recv(65536)
    return head, body


def saturate(gates: Gates, connect: Any) -> list[socket.socket]:
    """Fill the thread and the queue; return the connections that wait for an answer."""
    clients = []
    for queued in (0, 1, 2):
        clients.append(connect(gates.port))
        clients[-1].sendall(gates.request())
        if not queued:
            assert gates.server.line() == "entered"
        wait_for(lambda: counted(gates.url, "requests_queued") == queued)  # noqa: B023
    return clients


def test_one_request_too_many_is_told_to_come_again(gates: Gates, connect: Any) -> None:
    waiting = saturate(gates, connect)
    refused = requests.post(f"{gates.url}/echo", data=b"x" * 100_000, timeout=TIMEOUT)
    assert refused.status_code == 503
    assert refused.headers["Retry-After"] == "1"
    assert refused.headers["Content-Type"] == "application/json"
    assert refused.json()["error"]["type"] == "SlowDownException"
    assert refused.json()["error"]["code"] == 503
    # The server's health is told all the same.
    assert requests.get(f"{gates.url}/health/live", timeout=TIMEOUT).text == "live"
    assert counted(gates.url, "refusals_total") == 1

    for client in waiting:  # nobody who waited was forgotten
        gates.open(1)
        assert read_answer(client)[1] == b"done"
    assert requests.post(f"{gates.url}/echo", data=b"xy", timeout=TIMEOUT).text == "2"
    assert gates.server.stop() == 0


def test_a_connection_that_was_turned_away_can_ask_again(gates: Gates, connect: Any) -> None:
    waiting = saturate(gates, connect)
    client = connect(gates.port)
    client.sendall(b"HEAD /big?1 HTTP/1.1\r\nHost: x\r\n\r\n")
    head, body = read_answer_to_head(client)
    assert head.startswith(b"HTTP/1.1 503 ")
    assert body == b""
    client.sendall(b"GET /big?1 HTTP/1.1\r\nHost: x\r\n\r\n")
    head, body = read_answer(client)
    assert head.startswith(b"HTTP/1.1 503 ")
    assert json.loads(body)["error"]["code"] == 503
    for one in waiting:
        gates.open(1)
        read_answer(one)
    client.sendall(b"GET /big?1 HTTP/1.1\r\nHost: x\r\n\r\n")
    assert read_answer(client)[1] == b"x"
    assert gates.server.stop() == 0


def read_answer_to_head(client: socket.socket) -> tuple[bytes, bytes]:
    told = b""
    while not told.endswith(b"\r\n\r\n"):
        told += client.recv(65536)
    head, _, body = told.partition(b"\r\n\r\n")
    return head, body


def test_who_wants_to_part_is_let_go(gates: Gates, connect: Any) -> None:
    waiting = saturate(gates, connect)
    client = connect(gates.port)
    client.sendall(b"GET /big?1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    told = b"".join(iter(lambda: client.recv(65536), b""))
    assert told.startswith(b"HTTP/1.1 503 ")
    for one in waiting:
        gates.open(1)
        read_answer(one)
    assert gates.server.stop() == 0


def test_requests_in_one_breath_are_each_answered(gates: Gates, connect: Any) -> None:
    waiting = saturate(gates, connect)
    client = connect(gates.port)
    client.sendall(b"GET /big?1 HTTP/1.1\r\nHost: x\r\n\r\n" * 3)
    told = b""
    while told.count(b"HTTP/1.1 503 ") < 3:
        told += client.recv(65536)
    for one in waiting:
        gates.open(1)
        read_answer(one)
    assert gates.server.stop() == 0


def test_who_waited_too_long_is_not_kept_at_work_for(
    tmp_path: Path, program: Any, connect: Any
) -> None:
    gates = Gates(tmp_path, program("127.0.0.1:0", "threads=1", "max_wait=1"))
    first, second = connect(gates.port), connect(gates.port)
    first.sendall(gates.request())
    assert gates.server.line() == "entered"
    second.sendall(gates.request())
    wait_for(lambda: counted(gates.url, "requests_queued") == 1)
    late = time.monotonic() + 1.5
    wait_for(lambda: counted(gates.url, "requests_queued") == 1 and time.monotonic() > late)
    gates.open(1)
    assert read_answer(first)[1] == b"done"
    head, body = read_answer(second)
    assert head.startswith(b"HTTP/1.1 503 ")
    assert b"\r\nRetry-After: 1\r\n" in head
    assert json.loads(body)["error"]["type"] == "SlowDownException"
    assert gates.server.stop() == 0  # and nobody waits at the gate


def test_what_is_slow_keeps_no_thread_from_others(gates: Gates, connect: Any) -> None:
    slow = [connect(gates.port) for _ in range(4)]
    for number, client in enumerate(slow):  # one is worked on, two wait, and one is too many
        client.sendall(f"GET /slow/gate?{gates.gate} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        if number == 0:
            assert gates.server.line() == "entered"
        if number < 3:
            wait_for(lambda: counted(gates.url, "requests_queued") == number)  # noqa: B023
    assert read_answer(slow[3])[0].startswith(b"HTTP/1.1 503 ")
    assert requests.get(f"{gates.url}/thread", timeout=TIMEOUT).text == "a thread"
    for client in slow[:3]:
        gates.open(1)
        assert read_answer(client)[1] == b"done"
    assert gates.server.stop() == 0


def test_requests_in_one_breath_keep_count_of_the_busy_threads(
    tmp_path: Path, program: Any, connect: Any
) -> None:
    gates = Gates(tmp_path, program("127.0.0.1:0", "threads=4"))
    client = connect(gates.port)
    told = b""
    for round_ in range(1, 51):  # one thread is not done with a response when another begins
        client.sendall(b"GET /thread HTTP/1.1\r\nHost: x\r\n\r\n" * 8)
        while told.count(b"a thread") < 8 * round_:
            told += client.recv(65536)
    assert gates.server.stop() == 0
    assert not [line for line in gates.server.errors if "Exception" in line]


def test_a_server_whose_threads_are_all_stalled_is_not_ready(
    tmp_path: Path, program: Any, connect: Any
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
        supervisor.bind(str(tmp_path / "notify"))
        supervisor.settimeout(TIMEOUT)
        environ = {"NOTIFY_SOCKET": supervisor.getsockname(), "WATCHDOG_USEC": "400000"}
        server = program("127.0.0.1:0", "threads=1", "stall_timeout=1", environ=environ)
        gates = Gates(tmp_path, server)
        ready = f"{gates.url}/health/ready"
        assert requests.get(ready, timeout=TIMEOUT).status_code == 200
        stuck = connect(gates.port)
        stuck.sendall(gates.request())
        assert server.line() == "entered"
        wait_for(lambda: requests.get(ready, timeout=TIMEOUT).status_code == 503)
        assert requests.get(f"{gates.url}/health/live", timeout=TIMEOUT).text == "live"
        wait_for(lambda: any("every thread is stalled" in line for line in server.errors))
        supervisor.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                supervisor.recv(65536)  # sent before
        already = sum("every thread is stalled" in line for line in server.errors)
        wait_for(lambda: sum("is stalled" in line for line in server.errors) > already + 1)
        with pytest.raises(BlockingIOError):
            supervisor.recv(65536)
        gates.open(1)
        assert read_answer(stuck)[1] == b"done"
        wait_for(lambda: requests.get(ready, timeout=TIMEOUT).status_code == 200)
        assert server.stop() == 0


@pytest.fixture
def small(tmp_path: Path) -> Any:
    with serving(tmp_path, processes=1, server__threads=2, server__max_queue=3) as server:
        yield server


def create(server: Server, name: str) -> requests.Response:
    return server.call("POST", "/v1/namespaces", {"namespace": [name]})


def test_what_was_refused_was_not_done_and_what_was_not_is_kept(small: Server) -> None:
    with (
        ThreadPoolExecutor(5) as pool,
        closing(sqlite3.connect(small.folder / "catalog.db", isolation_level=None)) as other,
    ):
        other.execute("BEGIN IMMEDIATE")  # nobody else can change anything
        taken = [pool.submit(create, small, f"n{number}") for number in range(5)]
        wait_for(lambda: counted(small.url, "requests_queued") == 3)
        refused = create(small, "refused")
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
        assert requests.get(f"{small.url}/health/ready", timeout=TIMEOUT).status_code == 200
        other.execute("COMMIT")
        assert [one.result().status_code for one in taken] == [200] * 5
    names = [levels[0] for levels in small.ok("GET", "/v1/namespaces")["namespaces"]]
    assert sorted(names) == [f"n{number}" for number in range(5)]
    assert create(small, "refused").status_code == 200


def test_pyiceberg_is_told_and_its_commit_was_not_done(small: Server) -> None:
    small.namespace("ns")
    small.table("t")
    table = RestCatalog("test", uri=small.url).load_table("ns.t")
    with (
        ThreadPoolExecutor(5) as pool,
        closing(sqlite3.connect(small.folder / "catalog.db", isolation_level=None)) as other,
    ):
        other.execute("BEGIN IMMEDIATE")
        taken = [pool.submit(create, small, f"n{number}") for number in range(5)]
        wait_for(lambda: counted(small.url, "requests_queued") == 3)
        with pytest.raises(ServiceUnavailableError, match="SlowDownException"):
            table.transaction().set_properties(k="v").commit_transaction()
        other.execute("COMMIT")
        assert [one.result().status_code for one in taken] == [200] * 5
    assert "k" not in table.refresh().properties
    table.transaction().set_properties(k="v").commit_transaction()
    assert table.refresh().properties["k"] == "v"
