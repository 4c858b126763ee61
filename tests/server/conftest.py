"""Real processes, started and stopped."""

import http.client
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import pytest

from tests.several import kill, workers

DEADLINE = 60  # seconds that a process has for what it should do at once
CLI = [sys.executable, "-c", "from falcon_catalog.cli import main; main()"]
PROGRAM = Path(__file__).with_name("program.py")


class Running:
    """A process whose lines can be waited for."""

    def __init__(self, command: list[str], environ: dict[str, str], **popen: object) -> None:
        self.process = subprocess.Popen(
            command,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **popen,
        )
        self.errors: list[str] = []
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._threads = [
            threading.Thread(target=self._read, args=(self.process.stdout, self._lines.put)),
            threading.Thread(target=self._read, args=(self.process.stderr, self._note)),
        ]
        for thread in self._threads:
            thread.start()

    @staticmethod
    def _read(stream: IO[str], put: Callable[[str | None], None]) -> None:
        with stream:
            for line in stream:
                put(line.rstrip("\n"))
        put(None)

    def _note(self, line: str | None) -> None:
        if line is not None:
            self.errors.append(line)

    def line(self) -> str | None:
        """Wait for the next line on stdout; None is its end."""
        return self._lines.get(timeout=DEADLINE)

    def url(self) -> str:
        """Wait until requests are served."""
        line = self.line()
        assert line is not None, f"ended instead of listening: {self.errors}"
        assert line.startswith("Listening on "), line
        return line.removeprefix("Listening on ")

    def port(self) -> int:
        return int(self.url().rpartition(":")[2])

    def signal(self, number: int = signal.SIGTERM) -> None:
        self.process.send_signal(number)

    def status(self) -> int:
        """Wait for the end."""
        status = self.process.wait(DEADLINE)
        for thread in self._threads:
            thread.join(DEADLINE)
        return status

    @property
    def workers(self) -> set[int]:
        """The ids of the processes that it has started."""
        return workers(self.process.pid)

    def kill(self) -> None:
        """End it at once, and the processes that it has started."""
        kill(self.process)
        self.status()

    def stop(self) -> int:
        self.signal()
        return self.status()


Start = Callable[..., Running]


@pytest.fixture
def start() -> Iterator[Start]:
    """Return a function that starts a command; what still runs at the end is killed."""
    running: list[Running] = []

    def run(*command: str, environ: dict[str, str] | None = None, **popen: object) -> Running:
        running.append(Running(list(command), environ or {}, **popen))
        return running[-1]

    yield run
    for each in running:
        if each.process.poll() is None:
            each.process.kill()
        each.status()


@pytest.fixture
def program(start: Start) -> Start:
    """Return a function that starts program.py with its arguments."""

    def run(listen: str = "127.0.0.1:0", *pairs: str, **more: object) -> Running:
        return start(sys.executable, str(PROGRAM), listen, *pairs, **more)

    return run


Get = Callable[[int, str], http.client.HTTPConnection]


@pytest.fixture
def get() -> Iterator[Get]:
    """Return a function that sends GET to a port of this machine and leaves the answer unread."""
    connections: list[http.client.HTTPConnection] = []

    def send(port: int, path: str) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE)
        connections.append(connection)
        connection.request("GET", path)
        return connection

    yield send
    for connection in connections:
        connection.close()


@pytest.fixture
def connect() -> Iterator[Callable[[int], socket.socket]]:
    """Return a function that opens a bare connection to a port of this machine."""
    sockets: list[socket.socket] = []

    def to(port: int) -> socket.socket:
        sockets.append(socket.create_connection(("127.0.0.1", port), timeout=DEADLINE))
        return sockets[-1]

    yield to
    for each in sockets:
        each.close()


@pytest.fixture
def cli(start: Start, tmp_path: Path) -> Start:
    """Return a function that starts ``falcon-catalog`` with its arguments, in a folder of its own.

    The variables that tune a catalog or a service do not reach it from outside.
    """
    clean = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("CATALOG_", "LISTEN_", "NOTIFY_", "WATCHDOG_", "STATE_"))
    }

    def run(*arguments: str, environ: dict[str, str] | None = None, **more: object) -> Running:
        command = [*CLI, *arguments]
        told = {**clean, **(environ or {})}
        return start("env", "-i", *_pairs(told), *command, cwd=tmp_path, **more)

    return run


def _pairs(environ: dict[str, str]) -> list[str]:
    return [f"{name}={value}" for name, value in environ.items()]
