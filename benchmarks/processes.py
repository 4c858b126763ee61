"""Servers in processes of their own: started, measured from outside, stopped."""

import contextlib
import os
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen
from typing import cast

from benchmarks.client import Address
from jobs.stack import processes

_TICKS = os.sysconf("SC_CLK_TCK")
_USER_TICKS, _SYSTEM_TICKS = 11, 12  # in /proc/PID/stat after the name, counted from 0
_LOCAL, _STATE, _INODE, _ESTABLISHED = 1, 3, 9, "01"  # in a row of /proc/net/tcp
_SAMPLE_SECONDS = 0.02
_ROOT = Path(__file__).resolve().parent.parent


def write_local(location: str, content: bytes) -> None:
    """Write a file of which the location is a ``file://`` URL, and its folder."""
    path = Path(location.removeprefix("file://"))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


@dataclass(frozen=True, slots=True)
class Server:
    """A running server."""

    name: str
    pid: int
    address: Address
    warehouse: str
    """The location that its tables are in."""
    write: Callable[[str, bytes], None] = write_local
    """Writes a file into its warehouse, by location."""

    def cpu_seconds(self) -> float:
        """Return the processor time that the server and its processes have used."""
        return cpu_seconds(self.pid)

    def peak_bytes(self) -> int:
        """Return the most memory that the server has used so far."""
        return _status_kib(self.pid, "VmHWM") * 1024

    def connected(self) -> int:
        """Return how many of its processes hold a connection of a client."""
        local = f":{self.address[1]:04X}"
        rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        held = {
            f"socket:[{row[_INODE]}]"
            for row in rows
            if row[_LOCAL].endswith(local) and row[_STATE] == _ESTABLISHED
        }
        return sum(not held.isdisjoint(_open_files(pid)) for pid in _family(self.pid))

    def memory_bytes(self) -> int:
        """Return the memory in use; what processes share counts once."""
        return sum(_memory(pid) for pid in _family(self.pid))


def python(module: str, *arguments: str) -> list[str]:
    """Return the command that runs a module."""
    return [sys.executable, "-m", module, *arguments]


@contextlib.contextmanager
def running(
    name: str,
    command: Sequence[str],
    folder: Path,
    environ: Mapping[str, str],
    *,
    address: str = "",
) -> Iterator[Server]:
    """Run a server; its log is a file in ``folder``.

    Args:
        name: what it and its log are called.
        command: prints ``Listening on http://…``, unless ``address`` is given.
        folder: where it runs; its warehouse is a folder in it.
        environ: more variables of its environment.
        address: HOST:PORT at which it listens.
    """
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
        address,
    )
    with server:
        host, _, port = server.url.removeprefix("http://").rpartition(":")
        pid = cast("Popen[bytes]", server.process).pid
        yield Server(name, pid, (host, int(port)), f"file://{folder}/warehouse")


@dataclass(frozen=True, slots=True)
class Ended:
    """What a command that has ended used."""

    seconds: float
    peak_bytes: int
    """Memory, at most, as sampled."""


def ended(command: Sequence[str], log: Path, *, allowed: Collection[int] = (0,)) -> Ended:
    """Run a command to its end, its output into a file.

    Raises:
        RuntimeError: it ended with another status than those that are allowed.
    """
    started, peak = time.perf_counter(), 0
    with log.open("wb") as output:
        # The benchmarks' own arguments.
        process = Popen(  # noqa: S603
            command, stdout=output, stderr=output, env=processes.without_settings()
        )
        while process.poll() is None:
            # The resource usage of a child includes that of its parent at the fork.
            peak = max(peak, _status_kib(process.pid, "VmHWM"))
            time.sleep(_SAMPLE_SECONDS)
    if process.returncode not in allowed:
        raise RuntimeError(f"{command}: {log.read_text()}")
    return Ended(time.perf_counter() - started, peak * 1024)


def cpu_seconds(pid: int) -> float:
    """Return the processor time that a process and its descendants have used."""
    return sum(_cpu_ticks(each) for each in _family(pid)) / _TICKS


def _family(pid: int) -> list[int]:
    """Return a process and its descendants."""
    found = [pid]
    for each in found:
        for task in _tasks(each):
            with contextlib.suppress(OSError):
                found += map(int, (task / "children").read_text().split())
    return found


def _open_files(pid: int) -> Iterator[str]:
    """Yield what the descriptors of a process lead to, such as ``socket:[77]``."""
    with contextlib.suppress(OSError):
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):  # closed meanwhile
                yield str(link.readlink())


def _tasks(pid: int) -> list[Path]:
    with contextlib.suppress(OSError):
        return list(Path(f"/proc/{pid}/task").iterdir())
    return []


def _cpu_ticks(pid: int) -> int:
    with contextlib.suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return int(fields[_USER_TICKS]) + int(fields[_SYSTEM_TICKS])
    return 0


def _status_kib(pid: int, name: str) -> int:
    """Return a number of a process's status; 0 if it has ended."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1])
    return 0


def _memory(pid: int) -> int:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0
