"""The log waits for nobody: a reader that is slow, or gone, stops no request."""

import contextlib
import fcntl
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import requests

from falcon_catalog.line_writer import QUEUE_BYTES, LineWriter
from tests.processes import kill
from tests.several import INSTANCES

TIMEOUT = 60
COMMAND = "from falcon_catalog.cli import main; main()"
LONG = "x" * 8000  # a path that makes a long line
DROPPED = "falcon_catalog_log_lines_dropped_total"

Serve = Callable[..., "Server"]


class Server:
    """A server on a Unix socket, whose streams nobody reads unless the test does."""

    def __init__(self, folder: Path, processes: int, **popen: Any) -> None:
        self.path = folder / "socket"
        command = [sys.executable, "-c", COMMAND, "serve", f"--listen=unix:{self.path}"]
        command += [f"--store=sqlite:///{folder}/c.db", f"--warehouse=file://{folder}/w"]
        if processes > 1:
            shared = [str(INSTANCES), str(processes), f"unix:{self.path}"]
            command = [sys.executable, *shared, *command]
        given = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, **popen}
        self.process = subprocess.Popen(command, start_new_session=True, **given)

    def get(self, path: str, number: int = 0) -> bytes:
        """Return the answer to a request whose id has a number."""
        with closing(socket.socket(socket.AF_UNIX)) as sock:
            sock.settimeout(TIMEOUT)
            while True:
                try:
                    sock.connect(str(self.path))
                    break
                except (FileNotFoundError, ConnectionRefusedError):
                    assert self.process.poll() is None
                    time.sleep(0.01)
            head = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: n{number}\r\n"
            sock.sendall(f"{head}Connection: close\r\n\r\n".encode())
            return b"".join(iter(lambda: sock.recv(65536), b""))

    def fill(self, numbers: range) -> None:
        for number in numbers:
            assert b" 404 " in self.get(f"/v1/{LONG}", number).splitlines()[0]

    def dropped(self) -> int:
        text = self.get("/metrics").decode()
        return int(float(re.findall(rf"(?m)^{DROPPED} (\S+)$", text)[0]))

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(TIMEOUT)


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    servers: list[Server] = []

    def run(processes: int = 1, **popen: Any) -> Server:
        servers.append(Server(tmp_path, processes, **popen))
        return servers[-1]

    yield run
    for server in servers:
        if server.process.poll() is None:
            kill(server.process)
        if server.process.stderr:
            server.process.stderr.close()


def full_pipe() -> tuple[int, int]:
    """Return a pipe that takes nothing more."""
    ours, theirs = os.pipe()
    os.set_blocking(theirs, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(theirs, b"x" * 4096)
    os.set_blocking(theirs, True)
    return ours, theirs


def numbers(lines: list[str]) -> list[int]:
    return [int(found[1]) for line in lines if (found := re.search(r" id=n(\d+) ", line))]


def test_requests_are_answered_though_nobody_reads_the_log(serve: Serve) -> None:
    server = serve()
    count = QUEUE_BYTES // len(LONG) + 100
    server.fill(range(1, count))
    assert server.dropped() > 0
    assert b"200 OK" in server.get("/health/ready")

    # The reader comes back: all lines that were kept are there, in order, and a line says how
    # many are not. Nothing is missing after it.
    lines: list[str] = []
    noticed = threading.Event()

    def read() -> None:
        for line in server.process.stderr:
            lines.append(line.decode())
            if "log lines were dropped" in lines[-1]:
                noticed.set()

    reader = threading.Thread(target=read)
    reader.start()
    assert noticed.wait(TIMEOUT)
    server.fill(range(count, count + 20))
    lost = server.dropped()
    assert server.stop() == 0
    reader.join(TIMEOUT)
    (at,) = [n for n, line in enumerate(lines) if "log lines were dropped" in line]
    notice = re.search(r'message="(\d+) log lines were dropped: ', lines[at])
    assert notice, lines[at]
    assert int(notice[1]) == lost
    kept = [number for number in numbers(lines) if number]
    assert kept == sorted(set(kept))
    assert kept[-20:] == [*range(count, count + 20)]
    served = [line for line in lines if "logger=falcon_catalog.access" in line]
    assert len(served) + lost == (count - 1) + 20 + 3  # and /metrics, /health/ready, /metrics


@pytest.mark.parametrize("processes", [1, 2])
def test_no_line_is_lost_or_torn_while_somebody_reads(serve: Serve, processes: int) -> None:
    server = serve(processes)
    lines: list[str] = []
    reader = threading.Thread(
        target=lambda: lines.extend(x.decode() for x in server.process.stderr)
    )
    reader.start()
    server.get("/health/live")

    def ask(some: range) -> None:
        for number in some:
            server.get("/v1/config", number)

    askers = [threading.Thread(target=ask, args=(range(n, 401, 4),)) for n in (1, 2, 3, 4)]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join(TIMEOUT)
    assert server.stop() == 0
    reader.join(TIMEOUT)
    assert sorted(numbers(lines)) == [*range(401)]
    assert all(re.match(r"time=\S+ level=\w+ logger=\S+ message=", line) for line in lines)


@pytest.mark.parametrize("processes", [1, 2])
def test_a_server_stops_in_order_though_nobody_reads_its_log(serve: Serve, processes: int) -> None:
    ours, theirs = full_pipe()
    try:
        server = serve(processes, stderr=theirs)
        server.fill(range(1, 20))
        assert server.stop() == 0
    finally:
        os.close(ours)
        os.close(theirs)


def test_the_error_that_ends_a_server_waits_for_no_reader(serve: Serve) -> None:
    ours, theirs = full_pipe()
    try:
        first = serve(stderr=theirs)
        first.get("/health/live")
        second = serve(stderr=theirs)
        # Only what is said before the end of the log may wait, and there is no room for it.
        fcntl.fcntl(theirs, fcntl.F_SETPIPE_SZ, 1 << 20)
        assert second.process.wait(TIMEOUT) == 1
        os.set_blocking(ours, False)
        said = b""
        while b"another process listens there" not in said:
            said = said[-1000:] + os.read(ours, 65536)
        assert first.stop() == 0
    finally:
        os.close(ours)
        os.close(theirs)


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_reader_that_is_gone_ends_nothing(serve: Serve, stream: str) -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    server = serve(**{"stderr": subprocess.DEVNULL, stream: theirs})
    os.close(theirs)
    server.fill(range(1, 20))
    if stream == "stderr":
        while server.dropped() < 19:
            time.sleep(0.1)
    assert server.stop() == 0


def test_a_stdout_that_nobody_reads_keeps_no_server_from_starting(serve: Serve) -> None:
    ours, theirs = full_pipe()
    try:
        server = serve(stdout=theirs, stderr=subprocess.DEVNULL)
        assert b"200 OK" in server.get("/health/ready")
        assert server.stop() == 0
    finally:
        os.close(ours)
        os.close(theirs)


def test_a_server_without_streams_writes_its_log_into_no_file(serve: Serve, tmp_path: Path) -> None:
    server = serve(preexec_fn=lambda: [os.close(n) for n in (0, 1, 2)])
    assert b"200 OK" in server.get("/health/ready")
    server.fill(range(1, 20))
    assert server.stop() == 0
    for path in tmp_path.rglob("*"):
        assert path.is_dir() or b"logger=" not in path.read_bytes()


def test_a_pipe_that_somebody_made_non_blocking_is_waited_for() -> None:
    ours, theirs = full_pipe()
    os.set_blocking(theirs, False)
    lines = LineWriter(theirs, lambda count: b"%d\n" % count)
    lines.add(b"the line\n")
    assert not lines.flush(0.01)
    said = b""
    while not said.endswith(b"the line\n"):
        said = os.read(ours, 65536)
    assert lines.flush(TIMEOUT)
    assert lines.dropped == 0
    os.close(ours)
    os.close(theirs)


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2])
def test_a_signal_that_changes_nothing_is_told(cli: Any, number: int) -> None:
    server = cli("serve", "--listen=127.0.0.1:0")
    url = server.url()
    server.signal(number)
    for _ in range(3):
        assert requests.get(f"{url}/health/ready", timeout=TIMEOUT).status_code == 200
    assert server.stop() == 0
    told = [line for line in server.errors if "is ignored" in line]
    assert len(told) == 1
    assert f'"{signal.Signals(number).name} is ignored: restart the server' in told[0]
