"""Catalogs in processes of their own, whose system calls can be made to fail."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from tests.catalog.serving import Server
from tests.processes import DEADLINE, Running, wait_for
from tests.scenarios.steps import command, flags
from tests.several import INSTANCES, PROCESSES
from tests.tracing import release

STRACE = shutil.which("strace")
needs_strace = pytest.mark.skipif(STRACE is None, reason="strace is not installed")
# It waits for ever for workers that end while it holds them.
needs_one_process = pytest.mark.skipif(
    PROCESSES > 1, reason="strace holds one process; tests/durability lets calls of several fail"
)


class Process(Running):
    """One running catalog."""

    def __init__(self, folder: Path) -> None:
        address = "127.0.0.1:0"
        several = [sys.executable, str(INSTANCES), str(PROCESSES), address]
        serve = command("serve", "--listen", address, *flags(folder))
        # Where invented snapshots have their manifest lists.
        settings = {"CATALOG_WAREHOUSE_ALLOWED_LOCATIONS": "file:///nowhere"}
        super().__init__([*several, *serve] if PROCESSES > 1 else serve, settings)

    @property
    def serving(self) -> list[int]:
        """The processes that serve: several have a parent that does not."""
        return sorted(self.workers) or [self.process.pid]

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
        self._started: list[Process] = []

    def start(self) -> tuple[Process, Server]:
        """Start one and wait until it is ready; return it, and what its clients see."""
        one = Process(self.folder)
        self._started.append(one)
        server = Server(one.url(), self.folder)
        wait_for(lambda: requests.get(f"{server.url}/health/ready", timeout=DEADLINE).ok)
        return one, server

    def kill(self) -> None:
        for one in self._started:
            one.kill()


def run(*arguments: str, folder: Path, inject: str = "") -> subprocess.CompletedProcess[str]:
    """Run a command of falcon-catalog on the catalog in a folder, its system calls failing."""
    whole = command(*arguments, *flags(folder))
    if inject:
        whole = _strace("-e", f"inject={inject}", *whole)
    return subprocess.run(whole, capture_output=True, text=True, timeout=DEADLINE, check=False)
