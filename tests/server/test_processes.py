"""Several processes: a parent keeps them alive, and all of them end together."""

import contextlib
import http.client
import os
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.server.conftest import DEADLINE, PROGRAM, Running
from tests.several import is_there

TIMEOUT = 60


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@contextlib.contextmanager
def only(worker: int, everybody: set[int]) -> Iterator[None]:
    """Let no other process take a connection."""
    others = everybody - {worker}
    for other in others:
        os.kill(other, signal.SIGSTOP)
    try:
        yield
    finally:
        for other in others:
            os.kill(other, signal.SIGCONT)


def one_each(server: Running, port: int, get: Any) -> dict[int, http.client.HTTPConnection]:
    """Return an open connection to each process."""
    found: dict[int, http.client.HTTPConnection] = {}
    everybody = server.workers
    for worker in everybody:
        with only(worker, everybody):
            found[worker] = get(port, "/pid")
            assert found[worker].getresponse().read() == str(worker).encode()
    return found


@pytest.fixture
def gates(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / "one", tmp_path / "two"]
    for path in paths:
        os.mkfifo(path)
    return paths


@pytest.fixture
def gate(gates: list[Path]) -> Path:
    return gates[0]


def wait_at(gate: Path, server: Running, connection: http.client.HTTPConnection) -> None:
    connection.request("GET", f"/gate?{gate}")
    assert server.line() == "entered"


def test_one_that_is_killed_is_replaced_and_the_counters_go_on(program: Any, get: Any) -> None:
    server = program("127.0.0.1:0", "processes=3")
    url = server.url()
    port = int(url.rpartition(":")[2])
    before = server.workers
    assert len(before) == 3
    victim, *_ = one_each(server, port, get)
    os.kill(victim, signal.SIGKILL)
    for _ in range(20):  # nobody is refused meanwhile
        assert requests.get(f"{url}/big?3", timeout=TIMEOUT).text == "xxx"
    until(lambda: len(server.workers - before) == 1 and victim not in server.workers)
    assert len(one_each(server, port, get)) == 3
    assert server.stop() == 0
    assert [line for line in server.errors if "a process ended" in line and f"pid={victim}" in line]


def test_one_that_is_told_to_end_does_so_in_order_and_is_replaced(
    program: Any, get: Any, gate: Path
) -> None:
    server = program("127.0.0.1:0", "processes=2")
    port = server.port()
    (leaving, connection), (staying, _) = one_each(server, port, get).items()
    wait_at(gate, server, connection)
    os.kill(leaving, signal.SIGTERM)
    gate.write_bytes(b"done")
    assert connection.getresponse().read() == b"done"
    assert server.line() == "closed"
    until(lambda: leaving not in server.workers and len(server.workers) == 2)
    assert staying in server.workers
    assert server.stop() == 0


def test_one_that_hangs_is_killed_and_replaced(program: Any) -> None:
    server = program("127.0.0.1:0", "processes=2", "worker_timeout=1")
    url = server.url()
    before = server.workers
    hung = min(before)
    os.kill(hung, signal.SIGSTOP)
    until(lambda: not is_there(hung))
    until(lambda: len(server.workers) == 2)
    assert requests.get(f"{url}/big?3", timeout=TIMEOUT).text == "xxx"
    assert server.stop() == 0
    assert any(f'a process hangs: killed" pid={hung}' in line for line in server.errors)


def test_without_a_parent_what_is_in_flight_is_answered_and_the_port_is_free(
    program: Any, get: Any, gate: Path
) -> None:
    server = program("127.0.0.1:0", "processes=2")
    port = server.port()
    connections = one_each(server, port, get)
    busy = next(iter(connections.values()))
    wait_at(gate, server, busy)
    server.signal(signal.SIGKILL)
    server.process.wait(DEADLINE)
    until(lambda: sum(map(is_there, connections)) == 1)  # the idle one has ended
    gate.write_bytes(b"done")
    assert busy.getresponse().read() == b"done"
    until(lambda: not any(map(is_there, connections)))
    successor = program(f"127.0.0.1:{port}", "processes=2")
    assert successor.port() == port
    assert successor.stop() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("to", ["the parent", "everybody"])
def test_told_to_stop_all_answer_what_is_in_flight(
    program: Any, get: Any, gates: list[Path], number: int, to: str
) -> None:
    server = program("127.0.0.1:0", "processes=2", start_new_session=True)
    port = server.port()
    connections = one_each(server, port, get)
    for gate, connection in zip(gates, connections.values(), strict=True):
        wait_at(gate, server, connection)
    if to == "everybody":  # as a terminal does, and systemd
        os.killpg(server.process.pid, number)
    else:
        server.signal(number)
    until_refused(port)
    for gate in gates:
        gate.write_bytes(b"done")
    answers = [one.getresponse().read() for one in connections.values()]
    assert answers == [b"done", b"done"]
    assert server.status() == 0
    assert not any(map(is_there, connections))


def until_refused(port: int) -> None:
    def refused() -> bool:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT).close()
        except ConnectionRefusedError:
            return True
        except ConnectionResetError:
            pass
        return False

    until(refused)


def test_a_second_signal_ends_all_at_once(program: Any, get: Any, gate: Path) -> None:
    server = program("127.0.0.1:0", "processes=2", "shutdown_timeout=3600")
    port = server.port()
    connections = one_each(server, port, get)
    wait_at(gate, server, next(iter(connections.values())))
    server.signal()
    until_refused(port)
    server.signal()
    assert server.status() == -signal.SIGTERM
    until(lambda: not any(map(is_there, connections)))


def test_one_that_does_not_end_in_time_is_cut_off_and_told(
    program: Any, get: Any, gate: Path
) -> None:
    server = program("127.0.0.1:0", "processes=2", "shutdown_timeout=0")
    connections = one_each(server, server.port(), get)
    wait_at(gate, server, next(iter(connections.values())))
    assert server.stop() == 1
    assert any("stopped with requests unanswered" in line for line in server.errors)


def test_a_port_in_use_is_one_clear_line(program: Any) -> None:
    port = program("127.0.0.1:0", "processes=2").port()
    second = program(f"127.0.0.1:{port}", "processes=2")
    assert second.status() == 1
    (line,) = second.errors
    assert line.startswith(f"Cannot listen on 127.0.0.1:{port}: another process listens there")


def test_one_that_cannot_start_ends_the_start(program: Any, tmp_path: Path) -> None:
    (tmp_path / "unmakeable").touch()
    server = program(
        "127.0.0.1:0", "processes=2", environ={"UNMAKEABLE": str(tmp_path / "unmakeable")}
    )
    assert server.line() is None
    assert server.status() == 1
    assert any("RuntimeError: not to be made" in line for line in server.errors)
    assert server.errors[-1] == "A process ended before it was ready: the log says why"


def test_many_that_cannot_start_again_end_the_server(program: Any, tmp_path: Path) -> None:
    unmakeable = tmp_path / "unmakeable"
    server = program("127.0.0.1:0", "processes=2", environ={"UNMAKEABLE": str(unmakeable)})
    server.url()
    unmakeable.touch()
    os.kill(min(server.workers), signal.SIGKILL)
    assert server.status() == 1
    assert server.errors[-1] == "Gave up: 5 processes in a row ended before they were ready"


def test_requests_beyond_the_queues_are_told_to_come_again(
    program: Any, get: Any, gates: list[Path]
) -> None:
    server = program("127.0.0.1:0", "processes=2", "threads=1", "max_queue=1")
    port = server.port()
    connections = one_each(server, port, get)
    for gate, connection in zip(gates, connections.values(), strict=True):
        wait_at(gate, server, connection)
    clients = [get(port, "/big?1") for _ in range(8)]
    metrics = f"http://127.0.0.1:{port}/metrics"  # the counters of both, whoever is asked
    refused = 'falcon_catalog_refusals_total{reason="saturated"} '

    def settled() -> bool:
        lines = requests.get(metrics, timeout=TIMEOUT).text.splitlines()
        numbers = [line.rpartition(" ")[2] for line in lines if line.startswith(refused)]
        return numbers in (["6"], ["7"])  # all eight may have come to one of them

    until(settled)
    for gate in gates:
        gate.write_bytes(b"done")
    assert [one.getresponse().read() for one in connections.values()] == [b"done"] * 2
    answers = [one.getresponse() for one in clients]
    statuses = sorted(answer.status for answer in answers)
    assert statuses in ([200] * 2 + [503] * 6, [200] + [503] * 7)
    assert {answer.getheader("Retry-After") for answer in answers if answer.status == 503} == {"1"}
    assert server.stop() == 0


@pytest.fixture
def supervisor(tmp_path: Path) -> Any:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        sock.settimeout(TIMEOUT)
        yield sock


def told(supervisor: socket.socket) -> tuple[int, dict[str, str]]:
    """Return who sent the next notification, and what it says."""
    message, ancillary, *_ = supervisor.recvmsg(65536, socket.CMSG_SPACE(12))
    pid, _, _ = struct.unpack("3i", ancillary[0][2])
    return pid, dict(line.split("=", 1) for line in message.decode().splitlines())


def test_the_parent_speaks_for_all_to_systemd(start: Any, supervisor: socket.socket) -> None:
    with socket.create_server(("127.0.0.1", 0)) as handed:
        port = handed.getsockname()[1]
        fd = handed.fileno()
        script = f'exec 3<&{fd}; LISTEN_PID=$$ LISTEN_FDS=1 exec "$@"'
        server = start(
            *("bash", "-c", script, "bash", sys.executable, str(PROGRAM), "192.0.2.1:1"),
            *("processes=2", "worker_timeout=1"),
            pass_fds=[fd],
            environ={"NOTIFY_SOCKET": supervisor.getsockname(), "WATCHDOG_USEC": "400000"},
        )
        assert server.url() == f"http://127.0.0.1:{port}"
        parent, where = server.process.pid, f"Listening on http://127.0.0.1:{port}"
        assert told(supervisor) == (parent, {"READY": "1", "STATUS": where})
        hung = min(server.workers)
        os.kill(hung, signal.SIGSTOP)
        fewer, all_ = {"STATUS": f"{where}: 1 of 2 processes"}, {"STATUS": where}
        heard = [told(supervisor)]
        while (parent, all_) not in heard:  # signs of life go on meanwhile
            heard.append(told(supervisor))
        assert (parent, fewer) in heard
        assert {pid for pid, _ in heard} == {parent}
        with contextlib.suppress(ValueError):
            while True:
                heard.remove((parent, {"WATCHDOG": "1"}))
        assert heard == [(parent, fewer), (parent, all_)]
        assert requests.get(f"http://127.0.0.1:{port}/big?3", timeout=TIMEOUT).text == "xxx"
        server.signal()
        while (message := told(supervisor)) == (parent, {"WATCHDOG": "1"}):
            pass
        assert message[0] == parent
        assert message[1]["STOPPING"] == "1"
        assert server.status() == 0
