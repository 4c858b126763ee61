"""Background processes and the files that remember them.

A process is known by its number and the time it began, both of one boot: a number that the system
has given to another program meanwhile is not mistaken for it, and never gets a signal.
"""

import contextlib
import fcntl
import os
import select
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from jobs.targets import read_json, write_json


@dataclass(frozen=True)
class Running:
    """A process that was started: number, ticks from boot to its begin, the boot, seconds UTC."""

    pid: int
    ticks: int
    boot: str
    since: float


def find(file: Path) -> Running | None:
    """Give the process that a file remembers, if it still runs."""
    try:
        running = Running(**read_json(file))
    except (FileNotFoundError, ValueError, TypeError):
        return None
    return running if (running.ticks, running.boot) == (_ticks(running.pid), _boot()) else None


def launch(
    command: Sequence[str], environment: Mapping[str, str], log: Path, file: Path
) -> Running:
    """Start a process that outlives this one and the terminal, and remember it in a file."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        process = subprocess.Popen(  # noqa: S603 - our own servers
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    process.returncode = 0  # it is left alone on purpose, which Popen would warn of
    running = Running(process.pid, _ticks(process.pid), _boot(), time.time())
    write_json(file, asdict(running))
    return running


def stop(running: Running, seconds: float) -> bool:
    """Ask a process to end and wait for that; says whether it did within the time.

    Raises:
        PermissionError: the process is another user's.
    """
    try:
        handle = os.pidfd_open(running.pid)
    except ProcessLookupError:
        return True
    try:
        # The handle stays this process's; only what it was opened for is still to be checked.
        if _ticks(running.pid) != running.ticks:
            return True
        signal.pidfd_send_signal(handle, signal.SIGTERM)
        ended = select.poll()
        ended.register(handle, select.POLLIN)
        return bool(ended.poll(seconds * 1000))
    except ProcessLookupError:
        return True
    finally:
        os.close(handle)


@contextlib.contextmanager
def alone(file: Path) -> Iterator[None]:
    """Hold a lock file, so that two commands do not start the same things."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _ticks(pid: int) -> int:
    """Give the clock ticks from boot to a process's begin; 0 if there is no such process."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return 0
    # The name before the last parenthesis may hold anything; proc(5) counts from 1, the pid.
    state, *fields = stat.rpartition(")")[2].split()
    return 0 if state in "ZX" else int(fields[18])


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
