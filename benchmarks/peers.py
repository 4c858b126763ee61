"""The same tables at ours and at another catalog: how they are measured, and what is reported."""

import statistics
from collections.abc import Callable, Mapping
from functools import partial

from benchmarks.bench import Bench, rate
from benchmarks.commits import appending, p50s
from benchmarks.loads import naive_rate, rates
from benchmarks.processes import Server
from benchmarks.rounds import Line, Sample, cpu, quotients
from benchmarks.tables import put

Cells = dict[str, Callable[[], Sample]]
Found = Mapping[str, list[Sample]]
Loads = Mapping[str, tuple[int, tuple[tuple[str, str], ...], float | None]]
"""Of each measurement: snapshots, headers, and the least ratio wanted."""
Commits = Mapping[int, float | None]
"""Of each number of snapshots: the least ratio wanted."""
_COMMITS_A_ROUND = 20


def cells(bench: Bench, server: Server, loads: Loads, commits: Commits) -> Cells:
    """Make the tables in a server's namespace, and return its cells: name of server and text."""
    made: Cells = {}
    for text, (size, headers, _) in loads.items():
        table = put(server, f"s{size}", size)
        made[f"{server.name}: {text}"] = (
            naive_rate(bench, server, table)
            if server.name == "naive"
            else partial(rate, server, table.load(*headers), bench.seconds)
        )
    for size in commits:
        made[f"{server.name}: {size}"] = appending(server, size, "none", _COMMITS_A_ROUND)
    return made


def load_lines(goal: str, peer: tuple[str, str], loads: Loads, found: Found) -> list[Line]:
    """Return how much faster ours loads than a peer, which has a name and one for readers."""
    name, called = peer
    lines = []
    for text, (_, _, bound) in loads.items():
        ours, theirs = found[f"ours: {text}"], found[f"{name}: {text}"]
        lines.append(
            Line(
                goal,
                f"{text}: rate over that of {called}",
                quotients(rates(ours), rates(theirs)),
                at_least=bound,
                cpu_us=cpu(**{"ours": ours, name: theirs}),
                note=", ".join(f"{statistics.median(rates(some)):.0f}" for some in (ours, theirs))
                + " a second",
            )
        )
    return lines


def commit_lines(goal: str, peer: tuple[str, str], commits: Commits, found: Found) -> list[Line]:
    """Return how much faster ours commits than a peer, which has a name and one for readers."""
    name, called = peer
    lines = []
    for size, bound in commits.items():
        ours, theirs = found[f"ours: {size}"], found[f"{name}: {size}"]
        lines.append(
            Line(
                goal,
                f"durable commit at {size:,}, plain metadata: p50 of {called} over ours",
                quotients(p50s(theirs), p50s(ours)),
                at_least=bound,
                cpu_us=cpu(**{"ours": ours, name: theirs}),
                note=", ".join(
                    f"{statistics.median(p50s(some)):.2f} ms" for some in (ours, theirs)
                ),
            )
        )
    return lines
