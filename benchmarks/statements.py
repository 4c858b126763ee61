"""What a load and a commit ask of the database and the kernel: goal 10, which needs no clock."""

import itertools
import re
import shutil
import signal
import subprocess
from collections import Counter
from pathlib import Path

from benchmarks import servers
from benchmarks.bench import GZIP, Bench, times
from benchmarks.processes import Server
from benchmarks.rounds import Line
from benchmarks.tables import Table, open_namespace, put

TEST = "tests/catalog/test_documents.py"
_COMMITS = 200
_ATTACH_SECONDS = 30


def goal(bench: Bench) -> list[Line]:
    """Goal 10: name the test that counts statements; count system calls, where strace is there."""
    text = "statements: 1 SELECT for a load; 1 UPDATE for a commit"
    lines = [Line("10", text, note=f"counted by a test: {TEST}")]
    strace = shutil.which("strace")
    if strace is None:
        return lines
    with servers.ours(bench.place("system-calls")) as ours:
        open_namespace(ours)
        tables = [put(ours, f"t{number}", 1, codec="gzip") for number in range(8)]
        one = _counted(strace, bench.folder / "one", ours, tables[:1])
        eight = _counted(strace, bench.folder / "eight", ours, tables)
    futex = eight.pop("futex")
    one.pop("futex")
    return [
        *lines,
        Line("10", "system calls of a commit but futex", (sum(one.values()),), "", at_most=15),
        Line("10", "futex calls of a commit, 8 writers", (futex,), "", at_most=40),
    ]


def _counted(strace: str, file: Path, server: Server, tables: list[Table]) -> Counter[str]:
    """Return how often a commit makes each system call, when each table has its writer."""
    commits = [list(itertools.islice(each.appends(GZIP), _COMMITS)) for each in tables]
    times(server, [itertools.islice(each, 5) for each in commits])
    command = [strace, "-f", "-c", "-U", "name,calls", "-o", str(file), "-p", str(server.pid)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as tracer:  # noqa: S603
        if tracer.stderr is not None:
            tracer.stderr.readline()  # "attached"
        times(server, [each[5:] for each in commits])
        tracer.send_signal(signal.SIGINT)
        tracer.communicate(timeout=_ATTACH_SECONDS)
    number = len(tables) * (_COMMITS - 5)
    calls = re.findall(r"(?m)^ *(\w+) +(\d+)$", file.read_text(encoding="ascii"))
    return Counter({name: int(count) / number for name, count in calls if name != "total"})
