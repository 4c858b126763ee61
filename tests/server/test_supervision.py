"""systemd's side of the process: sockets handed over, readiness, the watchdog."""

import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

TIMEOUT = 60
PROGRAM = str(Path(__file__).with_name("program.py"))


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[socket.socket]:
    """Listen where the service will send its notifications."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.settimeout(TIMEOUT)
        yield sock


def told(supervisor: socket.socket) -> dict[str, str]:
    """Return the next notification."""
    lines = supervisor.recv(65536).decode().splitlines()
    return dict(line.split("=", 1) for line in lines)


def with_sockets(*sockets: socket.socket) -> list[str]:
    """Return a command prefix that hands ``sockets`` over as systemd does: from descriptor 3."""
    handed = range(3, 3 + len(sockets))
    moved = [f"{to}<&{sock.fileno()}" for to, sock in zip(handed, sockets, strict=True)]
    closed = [f"{s.fileno()}<&-" for s in sockets if s.fileno() not in handed]
    script = (
        f'exec {" ".join([*moved, *closed])}; LISTEN_PID=$$ LISTEN_FDS={len(sockets)} exec "$@"'
    )
    return ["bash", "-c", script, "bash"]


def test_a_socket_handed_over_is_served_instead_of_the_address(start: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as handed:
        port = handed.getsockname()[1]
        command = [*with_sockets(handed), sys.executable, PROGRAM, "192.0.2.1:1"]
        server = start(*command, pass_fds=[handed.fileno()])
        assert server.url() == f"http://127.0.0.1:{port}"
        assert requests.get(f"http://127.0.0.1:{port}/big?3", timeout=TIMEOUT).text == "xxx"
        assert server.stop() == 0
        # The socket is the supervisor's: it still takes connections for the next process.
        with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT) as early:
            early.sendall(b"GET /big?3 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            successor = start(*command, pass_fds=[handed.fileno()])
            assert b"".join(iter(lambda: early.recv(65536), b"")).endswith(b"\r\n\r\nxxx")
            assert successor.stop() == 0


def test_several_sockets_are_served(start: Any) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as one,
        socket.create_server(("127.0.0.1", 0)) as two,
    ):
        fds = [one.fileno(), two.fileno()]
        server = start(
            *with_sockets(one, two), sys.executable, PROGRAM, "127.0.0.1:0", pass_fds=fds
        )
        urls = server.url().split(" and ")
        assert [int(url.rpartition(":")[2]) for url in urls] == [
            one.getsockname()[1],
            two.getsockname()[1],
        ]
        for url in urls:
            assert requests.get(f"{url}/big?3", timeout=TIMEOUT).text == "xxx"
        assert server.stop() == 0


def test_sockets_meant_for_another_process_are_left_alone(program: Any) -> None:
    server = program(environ={"LISTEN_PID": "1", "LISTEN_FDS": "1"})
    assert requests.get(f"{server.url()}/big?3", timeout=TIMEOUT).text == "xxx"


def test_a_descriptor_that_is_no_socket_is_one_clear_line(start: Any, tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.touch()
    script = f'exec 3<{plain}; LISTEN_PID=$$ LISTEN_FDS=1 exec "$@"'
    server = start("bash", "-c", script, "bash", sys.executable, PROGRAM, "127.0.0.1:0")
    assert server.status() == 1
    assert len(server.errors) == 1
    assert server.errors[0].startswith("A socket handed over by LISTEN_FDS is unusable: ")


def test_readiness_and_the_end_are_told(program: Any, supervisor: socket.socket) -> None:
    server = program(environ={"NOTIFY_SOCKET": supervisor.getsockname()})
    url = server.url()
    assert told(supervisor) == {"READY": "1", "STATUS": f"Listening on {url}"}
    assert server.stop() == 0
    assert told(supervisor)["STOPPING"] == "1"


def test_an_abstract_notify_socket(program: Any) -> None:
    name = f"falcon-catalog-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(f"\0{name}")
        sock.settimeout(TIMEOUT)
        program(environ={"NOTIFY_SOCKET": f"@{name}"})
        assert told(sock)["READY"] == "1"


def test_the_watchdog_is_fed_while_the_application_is_ready(
    program: Any, supervisor: socket.socket, tmp_path: Path
) -> None:
    failing = tmp_path / "failing"
    program(
        environ={
            "NOTIFY_SOCKET": supervisor.getsockname(),
            "WATCHDOG_USEC": "200000",
            "FAILING": str(failing),
        }
    )
    assert told(supervisor)["READY"] == "1"
    assert told(supervisor) == {"WATCHDOG": "1"}
    failing.touch()
    while (message := told(supervisor)) == {"WATCHDOG": "1"}:
        pass  # sent before the trouble began
    assert message == {"STATUS": "Not ready: not ready"}
    assert told(supervisor) == {"STATUS": "Not ready: not ready"}  # and no sign of life
    failing.unlink()
    while told(supervisor) != {"WATCHDOG": "1"}:
        pass


def test_no_sign_of_life_is_sent_for_another_process(
    program: Any, supervisor: socket.socket
) -> None:
    server = program(
        environ={
            "NOTIFY_SOCKET": supervisor.getsockname(),
            "WATCHDOG_USEC": "1000",
            "WATCHDOG_PID": "1",
        }
    )
    server.url()
    assert told(supervisor)["READY"] == "1"
    assert server.stop() == 0
    assert told(supervisor)["STOPPING"] == "1"  # nothing came between


def test_an_application_that_is_not_ready_does_not_start(program: Any, tmp_path: Path) -> None:
    failing = tmp_path / "failing"
    failing.touch()
    server = program(environ={"FAILING": str(failing)})
    assert server.status() == 1
    assert list(iter(server.line, None)) == ["closed"]
    assert any("RuntimeError: not ready" in line for line in server.errors)
