"""Several servers behind one address: on a socket handed over to all of them, or --reuse-port."""

import http.client
import os
import socket
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.processes import DEADLINE, Running
from tests.server.conftest import CLI, PROGRAM
from tests.server.test_stopping import wait_until_refused
from tests.server.test_supervision import with_sockets

Serve = Callable[[], tuple[list[Running], int]]


@pytest.fixture
def handed(start: Any) -> Serve:
    """Return a function that starts two servers on one socket, as systemd does."""

    def run() -> tuple[list[Running], int]:
        with socket.create_server(("127.0.0.1", 0), backlog=128) as shared:
            command = [*with_sockets(shared), sys.executable, str(PROGRAM), "192.0.2.1:1"]
            servers = [start(*command, pass_fds=[shared.fileno()]) for _ in range(2)]
            port = shared.getsockname()[1]
            assert [server.port() for server in servers] == [port, port]
            return servers, port

    return run


@pytest.fixture
def reusing(program: Any) -> Serve:
    """Return a function that starts two servers which share a port."""

    def run() -> tuple[list[Running], int]:
        first = program("127.0.0.1:0", "reuse_port=1")
        port = first.port()
        second = program(f"127.0.0.1:{port}", "reuse_port=1")
        assert second.port() == port
        return [first, second], port

    return run


@pytest.fixture(params=["handed", "reusing"])
def serve(request: pytest.FixtureRequest) -> Serve:
    return request.getfixturevalue(request.param)  # type: ignore[no-any-return]


def test_clients_are_shared_and_all_are_answered_in_the_end(
    serve: Serve, get: Any, tmp_path: Path
) -> None:
    servers, port = serve()
    found: dict[int, list[http.client.HTTPConnection]] = {s.process.pid: [] for s in servers}
    while not all(found.values()):
        one = get(port, "/pid")
        found[int(one.getresponse().read())].append(one)
    for server in servers:
        gate = tmp_path / str(server.process.pid)
        os.mkfifo(gate)
        found[server.process.pid][0].request("GET", f"/gate?{gate}")
        assert server.line() == "entered"
        server.signal()
    wait_until_refused(port)
    for pid, connections in found.items():
        (tmp_path / str(pid)).write_bytes(b"done")
        assert connections[0].getresponse().read() == b"done"
    assert [server.status() for server in servers] == [0, 0]


def test_one_that_is_killed_leaves_the_port_to_the_other(serve: Serve, get: Any) -> None:
    servers, port = serve()
    servers[0].kill()
    for _ in range(20):
        assert get(port, "/pid").getresponse().read() == str(servers[1].process.pid).encode()
    assert servers[1].stop() == 0


def test_clients_who_come_together_are_shared(handed: Serve) -> None:
    """The first process to wake up would accept all of them."""
    servers, port = handed()
    shares: list[int] = []
    for _ in range(5):
        clients = [socket.create_connection(("127.0.0.1", port), DEADLINE) for _ in range(16)]
        for client in clients:
            client.sendall(b"GET /pid HTTP/1.1\r\nHost: x\r\n\r\n")
        told = Counter(client.recv(65536).rpartition(b"\r\n")[2] for client in clients)
        shares.append(min(told.values()) if len(told) > 1 else 0)
        for client in clients:
            client.close()
    assert max(shares) >= 4, shares
    assert [server.stop() for server in servers] == [0, 0]


def test_a_port_is_shared_only_if_both_say_so(program: Any) -> None:
    first = program("127.0.0.1:0", "reuse_port=1")
    port = first.port()
    second = program(f"127.0.0.1:{port}")
    assert second.status() == 1
    assert "another process listens there" in second.errors[0]
    assert first.stop() == 0


def test_a_path_cannot_be_shared(start: Any, tmp_path: Path) -> None:
    server = start(*CLI, "serve", "--listen", f"unix:{tmp_path}/s", "--reuse-port", cwd=tmp_path)
    assert server.status() == 1
    (line,) = [line for line in server.errors if "level=" not in line]
    assert line.endswith("server.reuse_port needs HOST:PORT")
