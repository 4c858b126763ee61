"""Told to stop, the server loses nothing that it has begun."""

import http.client
import os
import signal
import socket
import threading
from pathlib import Path
from typing import Any

import pytest

TIMEOUT = 60


def wait_until_refused(port: int) -> None:
    """Return once nobody listens: the server has begun to stop."""
    deadline = threading.Event()
    timer = threading.Timer(TIMEOUT, deadline.set)
    timer.start()
    try:
        while not deadline.is_set():
            try:
                socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT).close()
            except ConnectionResetError:
                continue  # it stopped listening while we knocked
            except ConnectionRefusedError:
                return
        pytest.fail("the server still listens")
    finally:
        timer.cancel()


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    path = tmp_path / "gate"
    os.mkfifo(path)
    return path


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_a_request_in_flight_is_answered_before_the_end(
    program: Any, gate: Path, number: int, get: Any
) -> None:
    server = program()
    port = server.port()
    waiting = get(port, f"/gate?{gate}")
    assert server.line() == "entered"

    server.signal(number)
    wait_until_refused(port)
    gate.write_bytes(b"y" * 5_000_000)

    response = waiting.getresponse()
    assert response.read() == b"y" * 5_000_000
    assert response.status == 200
    assert server.status() == 0
    assert server.line() == "closed"


def test_a_client_that_has_just_connected_is_answered(program: Any, gate: Path, get: Any) -> None:
    server = program()
    port = server.port()
    waiting = get(port, f"/gate?{gate}")
    assert server.line() == "entered"
    with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT) as late:
        server.signal()
        wait_until_refused(port)
        late.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert late.recv(4096).startswith(b"HTTP/1.1 200 ")
        gate.write_bytes(b"y")
    assert waiting.getresponse().status == 200
    assert server.status() == 0


def test_an_answer_not_yet_sent_is_sent_before_the_end(program: Any, get: Any) -> None:
    server = program()
    port = server.port()
    size = 30_000_000  # far more than the buffers of two sockets hold
    connection = get(port, f"/big?{size}")
    response = connection.getresponse()  # the head is here, the body waits

    server.signal()
    wait_until_refused(port)

    assert len(response.read()) == size
    assert server.status() == 0


def test_a_request_that_is_arriving_is_read_and_answered(
    program: Any, get: Any, connect: Any
) -> None:
    server = program()
    port = server.port()
    client = connect(port)
    client.sendall(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nabc")
    # Another request's answer shows that the server has read the beginning of ours.
    get(port, "/big?1").getresponse().read()
    server.signal()
    wait_until_refused(port)
    client.sendall(b"def")
    answer = b"".join(iter(lambda: client.recv(65536), b""))
    assert answer.endswith(b"\r\n\r\n6")
    assert b"connection: close" in answer.lower()
    assert server.status() == 0


def test_idle_connections_do_not_delay_the_end(program: Any, get: Any, connect: Any) -> None:
    server = program("127.0.0.1:0", "shutdown_timeout=3600")
    port = server.port()
    idle = [get(port, "/big?10") for _ in range(3)]
    for connection in idle:
        assert connection.getresponse().read() == b"x" * 10
    connect(port)
    assert server.stop() == 0


def test_idle_connections_are_closed_while_others_are_finished(
    program: Any, gate: Path, get: Any, connect: Any
) -> None:
    server = program()
    port = server.port()
    idle = connect(port)
    waiting = get(port, f"/gate?{gate}")
    assert server.line() == "entered"
    server.signal()
    assert idle.recv(1) == b""
    gate.write_bytes(b"done")
    assert waiting.getresponse().read() == b"done"
    assert server.status() == 0


def test_a_request_that_takes_too_long_is_cut_off_and_told(
    program: Any, gate: Path, get: Any
) -> None:
    server = program("127.0.0.1:0", "shutdown_timeout=0")
    waiting = get(server.port(), f"/gate?{gate}")
    assert server.line() == "entered"
    assert server.stop() == 1
    assert "stopped with requests unanswered" in server.errors[-1]
    assert "connections=1" in server.errors[-1]
    assert server.line() is None  # the application was not closed under the request
    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
        waiting.getresponse()


def test_a_second_signal_ends_the_process_at_once(program: Any, gate: Path, get: Any) -> None:
    server = program("127.0.0.1:0", "shutdown_timeout=3600")
    port = server.port()
    get(port, f"/gate?{gate}")
    assert server.line() == "entered"
    server.signal()
    wait_until_refused(port)
    server.signal()
    assert server.status() == -signal.SIGTERM


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2])
def test_a_signal_that_means_nothing_here_ends_nothing(
    program: Any, gate: Path, number: int, get: Any
) -> None:
    server = program()
    port = server.port()
    waiting = get(port, f"/gate?{gate}")
    assert server.line() == "entered"
    os.killpg(server.process.pid, number)  # as a terminal does when it is closed
    assert get(port, "/big?10").getresponse().read() == b"x" * 10
    gate.write_bytes(b"done")
    assert waiting.getresponse().read() == b"done"
    assert server.stop() == 0
    assert sum("is ignored" in line for line in server.errors) == 1


def test_a_quit_of_the_terminal_stops_in_order(program: Any, gate: Path, get: Any) -> None:
    server = program()
    port = server.port()
    waiting = get(port, f"/gate?{gate}")
    assert server.line() == "entered"
    os.killpg(server.process.pid, signal.SIGQUIT)
    wait_until_refused(port)
    gate.write_bytes(b"done")
    assert waiting.getresponse().read() == b"done"
    assert server.status() == 0
