"""The real server as a process that is killed, started again and traced, and its clients."""

import http.client
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pytest

from tests.durability.store import Store
from tests.processes import DEADLINE, Running, wait_for
from tests.several import INSTANCES
from tests.tracing import release

SEED = int(os.environ.get("DURABILITY_SEED", "1"))
SCALE = float(os.environ.get("DURABILITY_SCALE", "1"))
_SEVERAL = int(os.environ.get("DURABILITY_PROCESSES", "3"))
PROCESSES = (pytest.param(1, id="one"), pytest.param(_SEVERAL, id="several"))


class Catalog:
    """A catalog in a folder; each start serves the same store, on the same port."""

    def __init__(self, folder: Path, processes: int = 1, **settings: object) -> None:
        """Serve ``folder``; settings are named ``store__durability`` and so on.

        Several processes share a socket, and each that is killed is started again.
        """
        self.folder = folder
        self._processes = processes
        self.port = 0
        self.program = "from falcon_catalog.cli import main; main()"
        self._environ = {
            f"CATALOG_{key.upper().replace('__', '_')}": str(value)
            for key, value in settings.items()
        }
        self._running: Running | None = None

    @property
    def store(self) -> Path:
        return self.folder / "store/catalog.db"

    def look(self) -> Store:
        """Return what the database and the files hold now."""
        return Store(self.store)

    @property
    def pid(self) -> int:
        assert self._running is not None
        return self._running.process.pid

    @property
    def errors(self) -> list[str]:
        """What the process that runs, or ran last, told on stderr."""
        assert self._running is not None
        return self._running.errors

    def start(self, *wrapper: str) -> None:
        """Start it, inside another program if told, and wait until it serves."""
        command = [sys.executable, "-c", self.program, "serve"]
        if self._processes > 1:
            shared = [str(INSTANCES), str(self._processes), f"127.0.0.1:{self.port}"]
            command = [sys.executable, *shared, *command]
        clean = {name: value for name, value in os.environ.items() if name[:8] != "CATALOG_"}
        self._running = Running(
            ["env", "-i", *_pairs(clean | self._told()), *wrapper, *command],
            {},
            cwd=self.folder,
        )
        self.port = self._running.port()

    def _told(self) -> dict[str, str]:
        return {
            "CATALOG_SERVER_LISTEN": f"127.0.0.1:{self.port}",
            "CATALOG_STORE_URL": f"sqlite:///{self.store}",
            "CATALOG_WAREHOUSE_LOCATION": f"file://{self.folder}/lake/warehouse",
            "CATALOG_LOG_LEVEL": "WARNING",
            **self._environ,
        }

    def workers(self) -> list[int]:
        """Return the processes that serve, if there are several."""
        assert self._running is not None
        return sorted(self._running.workers)

    def kill(self) -> None:
        """End all its processes at once, as the kernel does when memory is short."""
        if self._running is not None:
            self._running.kill()

    def stop(self) -> int:
        """Ask it to stop; return its status."""
        assert self._running is not None
        return self._running.stop()

    def ended(self) -> int:
        """Wait until it has ended by itself; return its status."""
        assert self._running is not None
        return self._running.status()

    def alive(self) -> bool:
        return self._running is not None and self._running.alive()

    def client(self) -> "Client":
        return Client(self.port)


def _pairs(environ: Mapping[str, str]) -> list[str]:
    return [f"{name}={value}" for name, value in environ.items()]


@dataclass(frozen=True)
class Answer:
    """What a request came to; ``status`` is None when no answer came."""

    status: int | None
    body: Any = None
    kind: str = ""

    @property
    def done(self) -> bool:
        """Whether the effect is acknowledged."""
        return self.status in (200, 204)

    @property
    def refused(self) -> bool:
        """Whether there surely is no effect."""
        return self.status is not None and (400 <= self.status < 500 or self.status == 503)

    @property
    def unknown(self) -> bool:
        """Whether nobody can tell."""
        return not self.done and not self.refused


class Client:
    """One connection that is kept; not for several threads."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __init__(self, port: int) -> None:
        self._port = port
        self._connection: http.client.HTTPConnection | None = None

    def ask(
        self, verb: str, path: str, body: object = None, *, key: str = "", mark: str = ""
    ) -> Answer:
        """Send a request once, with an Idempotency-Key and an X-Request-Id if told."""
        headers = {"Content-Type": "application/json"}
        headers |= {"Idempotency-Key": key} if key else {}
        headers |= {"X-Request-Id": mark} if mark else {}
        text = None if body is None else json.dumps(body)
        try:
            if self._connection is None:
                self._connection = http.client.HTTPConnection(
                    "127.0.0.1", self._port, timeout=DEADLINE
                )
            self._connection.request(verb, path, text, headers)
            answer = self._connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException):
            self.close()
            return Answer(None)
        told = json.loads(content) if content else None
        kind = told["error"]["type"] if answer.status >= 400 and told else ""
        return Answer(answer.status, told, kind)

    def ok(self, verb: str, path: str, body: object = None, **more: str) -> Any:
        """Send a request that must succeed; return its body."""
        answer = self.ask(verb, path, body, **more)
        assert answer.done, f"{verb} {path}: {answer}"
        return answer.body

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def why_no_strace() -> str:
    """Say why processes cannot be traced here, or nothing."""
    if shutil.which("strace") is None:
        return "strace is not installed"
    tried = subprocess.run(
        ["strace", "-f", "-e", "trace=fdatasync", "true"],
        capture_output=True,
        text=True,
        check=False,
    )
    return "" if tried.returncode == 0 else f"strace may not trace here: {tried.stderr.strip()}"


class Tracer:
    """strace on processes that run already: what it injects begins and ends with a block."""

    def __init__(self, arguments: Sequence[str], *pids: int) -> None:
        self._pids = pids
        self._command = ["strace", "-f", *arguments, *(f"--attach={pid}" for pid in pids)]

    def __enter__(self) -> Self:
        self._log = os.fdopen(os.memfd_create("strace"), "w+")
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=self._log)
        wait_for(self._attached, "strace to attach")
        return self

    def _attached(self) -> bool:
        assert self._process.poll() is None, self.told()
        return all(f"Process {pid} attached" in self.told() for pid in self._pids)

    def told(self) -> str:
        """Return what strace has written so far."""
        return Path(f"/proc/self/fd/{self._log.fileno()}").read_text()

    def injected(self) -> int:
        """Return how many calls were made to fail or to wait."""
        return self.told().count("(INJECTED)") + self.told().count("(DELAYED)")

    def __exit__(self, *_: object) -> None:
        release(self._process)
        self._log.close()
