"""What Linux tells of processes, under the names that Prometheus's own clients use."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from falcon_catalog.telemetry.families import Description

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")

ABOUT = (
    Description("process_cpu_seconds_total", "counter", "CPU seconds used, of all processes."),
    Description("process_resident_memory_bytes", "gauge", "Memory in use, of all processes."),
    Description("process_open_fds", "gauge", "Open file descriptors, of all processes."),
    Description("process_start_time_seconds", "gauge", "When the oldest process started."),
)


def values(pids: Sequence[int]) -> Iterator[tuple[Description, float]]:
    """Yield each of ``ABOUT`` with its value; nothing where there is no /proc."""
    facts = [fact for pid in pids if (fact := _facts(pid)) is not None]
    if facts:
        cpu, resident, opened, started = zip(*facts, strict=True)
        yield from zip(ABOUT, (sum(cpu), sum(resident), sum(opened), min(started)), strict=True)


def _facts(pid: int) -> tuple[float, float, float, float] | None:
    """Return a process's CPU seconds, bytes, descriptors and start; None when it has ended."""
    folder = Path("/proc", str(pid))
    try:
        # The second field, a program's name in brackets, may itself hold blanks and brackets.
        stat = (folder / "stat").read_text().rpartition(")")[2].split()
        opened = len(os.listdir(folder / "fd"))  # noqa: PTH208 - names are enough
    except OSError:
        return None
    user, system, started = int(stat[11]), int(stat[12]), int(stat[19])
    return (user + system) / _TICKS, int(stat[21]) * _PAGE, opened, _booted() + started / _TICKS


def _booted() -> float:
    lines = Path("/proc/stat").read_text().splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith("btime ")))
