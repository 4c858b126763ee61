"""A PostgreSQL cluster of the tests' own, on loopback, that ends with them.

initdb refuses to run as root: then all of it runs as the user ``postgres``.
"""

import atexit
import contextlib
import ctypes
import functools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.processes import DEADLINE, wait_for

_USER = "postgres"
_FAST = ("-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off")


def require() -> Path:
    """Return the folder of PostgreSQL's programs; skip the test where they are missing."""
    newest = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), reverse=True)
    found = shutil.which("initdb")
    if not newest and not found:
        pytest.skip("PostgreSQL is not installed (apt install postgresql)")
    if os.geteuid() == 0 and not _has_user():
        pytest.skip("PostgreSQL does not run as root, and there is no user postgres")
    return newest[0].parent if newest else Path(str(found)).resolve().parent


class Cluster:
    """A cluster, running or not."""

    def __init__(self, *options: str, durable: bool = False) -> None:
        self._bin = require()
        self.folder = Path(tempfile.mkdtemp(prefix="pg-"))
        self._data = self.folder / "data"
        self._options = (*(() if durable else _FAST), *options)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None
        if os.geteuid() == 0:
            shutil.chown(self.folder, _USER)

    @property
    def url(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def create(self) -> None:
        """Run initdb."""
        auth = ("--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync")
        self._run("initdb", "-D", str(self._data), "-U", _USER, *auth)

    def copy_from(self, primary: "Cluster") -> None:
        """Make a standby of another cluster that runs."""
        self._run("pg_basebackup", "-D", str(self._data), "-d", primary.url, "-R", "--no-sync")

    def promote(self) -> None:
        """Make a primary of a standby."""
        self._run("pg_ctl", "promote", "-w", "-D", str(self._data))

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._bin / program), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, **self._as())
        assert done.returncode == 0, done.stderr

    def own(self, *files: Path) -> None:
        """Give files to the server, and let only it read them."""
        for file in files:
            file.chmod(0o600)
            if os.geteuid() == 0:
                shutil.chown(file, _USER, _USER)

    def start(self) -> None:
        """Start the server, and wait until it answers."""
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *(str(self._bin / "postgres"), "-D", str(self._data)),
                    *("-p", str(self.port), "-k", str(self.folder)),
                    *("-c", "listen_addresses=127.0.0.1", "-c", "max_connections=200"),
                    *self._options,
                ],
                stdout=log,
                stderr=log,
                **self._as(),
            )

        def answers() -> bool:
            assert self._process is not None
            assert self._process.poll() is None, self.log()
            with contextlib.suppress(psycopg.OperationalError):
                psycopg.connect(self.url, connect_timeout=5).close()
                return True
            return False

        wait_for(answers, "an answer of PostgreSQL")

    def stop(self) -> None:
        """End every session and stop."""
        self._end(signal.SIGINT)

    def crash(self) -> None:
        """Stop without a word to clients; the next start recovers what was flushed."""
        self._end(signal.SIGQUIT)

    def _end(self, number: int) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(DEADLINE)
            self._process = None

    def remove(self) -> None:
        """Stop, and delete all of it."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def sql(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Run one statement."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(statement.encode(), parameters or None)
            return cursor.fetchall() if cursor.description else []

    def log(self) -> str:
        """Return what it has logged."""
        return (self.folder / "log").read_text(encoding="utf-8")

    @staticmethod
    def _as() -> dict[str, Any]:
        own: dict[str, Any] = {"cwd": "/", "preexec_fn": _end_with_parent}
        if os.geteuid() == 0:
            own |= {"user": _USER, "group": _USER, "extra_groups": []}
        return own


@functools.cache
def shared() -> Cluster:
    """Return the cluster of this process's tests, which runs until the process ends."""
    cluster = Cluster()
    atexit.register(remove_shared)  # where no pytest runs
    cluster.create()
    cluster.start()
    return cluster


def remove_shared() -> None:
    """Remove the cluster of this process's tests, if there is one."""
    if shared.cache_info().currsize:
        shared().remove()
        shared.cache_clear()


def store_url(name: str) -> str:
    """Return the URL of a store in a schema of its own, which is made if it is new."""
    shared().sql(f"CREATE SCHEMA IF NOT EXISTS {name}")
    return f"{shared().url}?options=-csearch_path%3D{name}"


def _end_with_parent() -> None:
    """Stop with the tests, even if they are killed."""
    ctypes.CDLL(None).prctl(1, signal.SIGINT)  # PR_SET_PDEATHSIG


def _has_user() -> bool:
    with contextlib.suppress(KeyError):
        pwd.getpwnam(_USER)
        return True
    return False
