"""Servers in processes of their own: started, measured from outside, stopped."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.client import Address

_TICKS = os.sysconf("SC_CLK_TCK")
_START_SECONDS = 120
_STOP_SECONDS = 60
_USER_TICKS, _SYSTEM_TICKS = 11, 12  # in /proc/PID/stat after the name, counted from 0
_ROOT = Path(__file__).resolve().parent.parent
_READY = "Listening on http://"


class ServerError(Exception):
    """A server ended instead of listening."""


@dataclass(frozen=True, slots=True)
class Server:
    """A running server."""

    name: str
    pid: int
    address: Address
    folder: Path

    def cpu_seconds(self) -> float:
        """Return the processor time that the server and its processes have used."""
        return sum(_cpu_ticks(pid) for pid in _family(self.pid)) / _TICKS

    def memory_bytes(self) -> int:
        """Return the memory in use; what processes share counts once."""
        return sum(_memory(pid) for pid in _family(self.pid))


@contextlib.contextmanager
def running(
    name: str, module: str, arguments: Sequence[str], folder: Path, environ: Mapping[str, str]
) -> Iterator[Server]:
    """Run a module that says ``Listening on http://…``; its log is a file in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    clean = {key: value for key, value in os.environ.items() if not key.startswith("CATALOG_")}
    # The benchmarks are in no package, so the server must be told where they are.
    paths = [*filter(None, [clean.get("PYTHONPATH")]), str(_ROOT)]
    with (folder / f"{name}.log").open("ab") as log:
        process = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-m", module, *arguments],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            cwd=folder,
            env={**clean, "PYTHONPATH": os.pathsep.join(paths), **environ},
        )
        try:
            yield Server(name, process.pid, _address(process, folder / f"{name}.log"), folder)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdout is not None:
                process.stdout.close()


def _address(process: "subprocess.Popen[str]", log: Path) -> Address:
    if process.stdout is None:
        raise ServerError("no stdout")
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        line = process.stdout.readline()
        if line.startswith(_READY):
            host, _, port = line.removeprefix(_READY).strip().rpartition(":")
            return host, int(port)
        if not line:
            break
    raise ServerError(f"{log.stem} does not listen: {log.read_text(errors='replace')[-2000:]}")


def _family(pid: int) -> list[int]:
    """Return a process and its descendants."""
    found = [pid]
    for each in found:
        for task in _tasks(each):
            with contextlib.suppress(OSError):
                found += map(int, (task / "children").read_text().split())
    return found


def _tasks(pid: int) -> list[Path]:
    with contextlib.suppress(OSError):
        return list(Path(f"/proc/{pid}/task").iterdir())
    return []


def _cpu_ticks(pid: int) -> int:
    with contextlib.suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return int(fields[_USER_TICKS]) + int(fields[_SYSTEM_TICKS])
    return 0


def _memory(pid: int) -> int:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0
