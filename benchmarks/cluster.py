"""A PostgreSQL cluster on loopback that ends with the process that started it.

initdb refuses to run as root: then all of it runs as the user ``postgres``.
"""

import contextlib
import ctypes
import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_USER = "postgres"
_DEADLINE_SECONDS = 60.0
_FAST = ("-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off")


def missing() -> str:
    """Return why no cluster can run here, or ""."""
    if importlib.util.find_spec("psycopg") is None:
        return "psycopg is not installed (pip install .[postgres])"
    if _programs() is None:
        return "PostgreSQL is not installed (apt install postgresql)"
    if os.geteuid() == 0 and not _has_user():
        return "PostgreSQL does not run as root, and there is no user postgres"
    return ""


def _programs() -> Path | None:
    """Return the folder of PostgreSQL's programs, of the newest version."""
    every = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    if newest := sorted(every, key=lambda initdb: float(initdb.parts[-3]), reverse=True):
        return newest[0].parent
    found = shutil.which("initdb")
    return Path(found).resolve().parent if found else None


class Cluster:
    """A cluster, running or not."""

    def __init__(self, *options: str, durable: bool = False) -> None:
        """Choose a folder and a port; ``create`` and ``start`` do the rest.

        Args:
            options: more of the server's own.
            durable: whether a commit survives a power cut; without, the cluster is faster.
        """
        programs = _programs()
        if programs is None:
            raise RuntimeError(missing())
        self._bin = programs
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
        """The URL of its database, for its superuser."""
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
        # PostgreSQL's programs, with the caller's own arguments.
        done = subprocess.run(  # noqa: S603
            command, capture_output=True, text=True, check=False, **self._as()
        )
        if done.returncode:
            raise RuntimeError(done.stderr)

    def own(self, *files: Path) -> None:
        """Give files to the server, and let only it read them."""
        for file in files:
            file.chmod(0o600)
            if os.geteuid() == 0:
                shutil.chown(file, _USER, _USER)

    def start(self) -> None:
        """Start the server, and wait until it answers."""
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - as above
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

        deadline = time.monotonic() + _DEADLINE_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL did not start: {self.log()}")
            time.sleep(0.01)

    def _answers(self) -> bool:
        import psycopg  # noqa: PLC0415 - in the extra postgres

        with contextlib.suppress(psycopg.OperationalError):
            psycopg.connect(self.url, connect_timeout=5).close()
            return True
        return False

    @property
    def pid(self) -> int:
        """The id of its first process, whose children are the others."""
        if self._process is None:
            raise RuntimeError("the cluster does not run")
        return self._process.pid

    def stop(self) -> None:
        """End every session and stop."""
        self._end(signal.SIGINT)

    def crash(self) -> None:
        """Stop without a word to clients; the next start recovers what was flushed."""
        self._end(signal.SIGQUIT)

    def _end(self, number: int) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(_DEADLINE_SECONDS)
            self._process = None

    def remove(self) -> None:
        """Stop, and delete all of it."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def sql(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Run one statement."""
        import psycopg  # noqa: PLC0415 - in the extra postgres

        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(statement.encode(), parameters or None)
            return cursor.fetchall() if cursor.description else []

    def schema(self, name: str) -> str:
        """Return the URL of a schema of its own, which is made if it is new."""
        self.sql(f"CREATE SCHEMA IF NOT EXISTS {name}")
        return f"{self.url}?options=-csearch_path%3D{name}"

    def log(self) -> str:
        """Return what it has logged."""
        return (self.folder / "log").read_text(encoding="utf-8")

    @staticmethod
    def _as() -> dict[str, Any]:
        own: dict[str, Any] = {"cwd": "/", "preexec_fn": _end_with_parent}
        if os.geteuid() == 0:
            own |= {"user": _USER, "group": _USER, "extra_groups": []}
        return own


@contextlib.contextmanager
def durable() -> Iterator[Cluster]:
    """Run a new cluster whose commits survive a power cut, as PostgreSQL does by default."""
    cluster = Cluster(durable=True)
    try:
        cluster.create()
        cluster.start()
        yield cluster
    finally:
        cluster.remove()


def _end_with_parent() -> None:
    """Stop with the process that started it, even if that is killed."""
    ctypes.CDLL(None).prctl(1, signal.SIGINT)  # PR_SET_PDEATHSIG


def _has_user() -> bool:
    with contextlib.suppress(KeyError):
        pwd.getpwnam(_USER)
        return True
    return False
