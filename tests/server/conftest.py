"""Real processes, started and stopped."""

import http.client
import os
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.processes import DEADLINE, Running

CLI = [sys.executable, "-c", "from falcon_catalog.cli import main; main()"]
PROGRAM = Path(__file__).with_name("program.py")


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
        each.kill()


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
