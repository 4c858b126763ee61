"""Programs in processes of their own: started, read line by line, stopped or killed."""

import contextlib
import os
import queue
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

DEADLINE = 60.0  # seconds for what should happen at once


class Running:
    """A process whose lines can be waited for."""

    def __init__(self, command: list[str], environ: dict[str, str], **popen: object) -> None:
        self.process = subprocess.Popen(
            command,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # whose processes ``kill`` ends
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

    def alive(self) -> bool:
        return self.process.poll() is None

    @property
    def workers(self) -> set[int]:
        """The ids of the processes that it has started."""
        return workers(self.process.pid)

    def signal(self, number: int = signal.SIGTERM) -> None:
        self.process.send_signal(number)

    def status(self) -> int:
        """Wait for the end."""
        status = self.process.wait(DEADLINE)
        for thread in self._threads:
            thread.join(DEADLINE)
        return status

    def stop(self) -> int:
        self.signal()
        return self.status()

    def kill(self) -> None:
        """End it at once, and the processes that it has started; stopped ones, too."""
        if self.alive():
            kill(self.process)
        self.status()


def workers(parent: int) -> set[int]:
    """Return the ids of the processes that a parent has started; none, if it is gone."""
    try:
        return set(map(int, Path(f"/proc/{parent}/task/{parent}/children").read_text().split()))
    except FileNotFoundError:
        return set()


def kill(leader: "subprocess.Popen[Any]") -> None:
    """End all processes of a session at once, as nothing but a power cut does."""
    everybody = workers(leader.pid)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader.pid, signal.SIGKILL)
    leader.wait(DEADLINE)
    wait_for(lambda: not any(map(_lives, everybody)), "end of the processes")


def _lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def wait_for(condition: Callable[[], Any], what: str = "it", seconds: float = DEADLINE) -> Any:
    """Wait until a condition holds; return what it gave."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited in vain for: {what}"
        time.sleep(0.005)
    return found


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port
