"""Several servers behind one address: on a socket handed over to all of them, or --reuse-port."""

import contextlib
import http.client
import os
import socket
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from waitress import wasyncore

from falcon_catalog.server.loop import Loop
from falcon_catalog.settings import ServerSettings
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


def turns_of(monkeypatch: pytest.MonkeyPatch, *, are_shared: bool) -> list[int]:
    """Let a loop accept clients who came together; return how many it took in each turn."""

    def app(_environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("204 No Content", [])
        return []

    def turn(*arguments: Any) -> None:
        before = len(loop._channels())
        poll(*arguments)
        turns.append(len(loop._channels()) - before)
        if sum(turns) == len(clients):
            loop.stop()

    turns, poll = list[int](), wasyncore.poll2
    monkeypatch.setattr(wasyncore, "poll2", turn)
    with contextlib.ExitStack() as stack:
        listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        address = listener.getsockname()
        clients = [
            stack.enter_context(socket.create_connection(address, DEADLINE)) for _ in range(16)
        ]
        loop = Loop(app, ServerSettings(), [listener], are_shared=are_shared)
        loop.run()
        monkeypatch.undo()
        assert loop.drain(DEADLINE) == 0
        wasyncore.close_all(loop._map)
    return turns


def test_who_took_a_client_leaves_the_next_one_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first process to wake up would accept all clients who come together."""
    assert turns_of(monkeypatch, are_shared=False) == [1] * 16
    turns = turns_of(monkeypatch, are_shared=True)
    assert set(turns) == {0, 1}
    assert (1, 1) not in pairwise(turns)


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
