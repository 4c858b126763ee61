"""Servers in processes of their own: started, measured from outside, stopped."""

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen
from typing import cast

from benchmarks.client import Address
from jobs.stack import processes

_TICKS = os.sysconf("SC_CLK_TCK")
_USER_TICKS, _SYSTEM_TICKS = 11, 12  # in /proc/PID/stat after the name, counted from 0
_ROOT = Path(__file__).resolve().parent.parent


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


def python(module: str, *arguments: str) -> list[str]:
    """Return the command that runs a module."""
    return [sys.executable, "-m", module, *arguments]


@contextlib.contextmanager
def running(
    name: str, command: Sequence[str], folder: Path, environ: Mapping[str, str]
) -> Iterator[Server]:
    """Run a command that prints ``Listening on http://…``; its log is a file in ``folder``."""
    clean = processes.without_settings()
    # The benchmarks are in no package, so the server must be told where they are.
    paths = [*filter(None, [clean.get("PYTHONPATH")]), str(_ROOT)]
    folder.mkdir(parents=True, exist_ok=True)
    server = processes.Server(
        name,
        command,
        folder / f"{name}.log",
        {**clean, "PYTHONPATH": os.pathsep.join(paths), **environ},
        folder,
    )
    with server:
        host, _, port = server.url.removeprefix("http://").rpartition(":")
        yield Server(name, cast("Popen[bytes]", server.process).pid, (host, int(port)), folder)


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
