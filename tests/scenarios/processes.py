"""Catalogs in processes of their own, whose system calls can be made to fail."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import pytest
import requests

from tests.scenarios.steps import command, flags, wait_for
from tests.several import INSTANCES, PROCESSES, kill, workers
from tests.tracing import release

DEADLINE = 60.0  # seconds
STRACE = shutil.which("strace")
needs_strace = pytest.mark.skipif(STRACE is None, reason="strace is not installed")
# It waits for ever for workers that end while it holds them.
needs_one_process = pytest.mark.skipif(
    PROCESSES > 1, reason="strace holds one process; tests/durability lets calls of several fail"
)


class Process:
    """One running catalog."""

    def __init__(self, folder: Path, output: IO[str]) -> None:
        address = "127.0.0.1:0"
        several = [sys.executable, str(INSTANCES), str(PROCESSES), address]
        self.process = subprocess.Popen(
            [
                *(several if PROCESSES > 1 else []),
                *command("serve", "--listen", address, *flags(folder)),
            ],
            stdout=subprocess.PIPE,
            stderr=output,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith("Listening on "), line
        self.url = line.strip().removeprefix("Listening on ")

    @property
    def workers(self) -> list[int]:
        """The processes that serve: several have a parent that does not."""
        return sorted(workers(self.process.pid)) or [self.process.pid]

    def kill(self) -> None:
        """End it at once, as nothing but a kill or a power cut does."""
        kill(self.process)
        self.end()

    def stop(self) -> None:
        self.process.terminate()
        self.end()

    def end(self) -> None:
        self.process.wait(DEADLINE)
        assert self.process.stdout is not None
        self.process.stdout.close()

    @contextmanager
    def failing(self, inject: str, path: Path | None = None) -> Iterator[None]:
        """Make system calls fail, as strace's ``inject=`` says; only those on a file, if given."""
        only = ["-P", str(path)] if path else []
        tracer = _strace(*only, "-e", f"inject={inject}", "-p", str(self.process.pid))
        with subprocess.Popen(tracer, stderr=subprocess.PIPE, text=True) as strace:
            assert strace.stderr is not None
            assert "attached" in strace.stderr.readline()
            try:
                yield
            finally:
                release(strace)


def _strace(*arguments: str) -> list[str]:
    assert STRACE is not None
    return [STRACE, "-f", "-o", os.devnull, *arguments]


class Processes:
    """Starts catalogs in one folder; none of them outlives the test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._stack = ExitStack()
        self._started: list[Process] = []

    def __enter__(self) -> Self:
        self._log = self._stack.enter_context((self.folder / "server.log").open("a"))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for each in self._started:
            each.kill()
        self._stack.close()

    def start(self) -> Process:
        """Start one, and wait until it is ready."""
        one = Process(self.folder, self._log)
        self._started.append(one)
        wait_for(lambda: requests.get(f"{one.url}/health/ready", timeout=30).ok)
        return one


def run(*arguments: str, folder: Path, inject: str = "") -> subprocess.CompletedProcess[str]:
    """Run a command of falcon-catalog on the catalog in a folder, its system calls failing."""
    whole = command(*arguments, *flags(folder))
    if inject:
        whole = _strace("-e", f"inject={inject}", *whole)
    return subprocess.run(whole, capture_output=True, text=True, timeout=DEADLINE, check=False)
