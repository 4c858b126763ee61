"""Committing to a table, one commit after the other: goals 5 to 7."""

import statistics
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from itertools import cycle, islice

from benchmarks import servers
from benchmarks.bench import GZIP, Bench, times
from benchmarks.client import Request
from benchmarks.processes import Server
from benchmarks.rounds import Line, Sample, cpu, interleave, quotients
from benchmarks.tables import Table, open_namespace, put

Cells = dict[str, Callable[[], Sample]]
SIZES = (1, 100, 1000, 10_000)
_COMMITS = 30  # in a round
_CPU_BOUND = 1000  # snapshots up to which a commit's CPU time has a bound
_NAIVE_COMMITS = {1: 20, 100: 20, 1000: 5, 10_000: 2}
# Commits are spread over several tables, so that a short history stays short.
_TABLES = {1: 20, 100: 5, 1000: 2, 10_000: 1}


def against_naive(bench: Bench) -> list[Line]:
    """Goal 5: beside the naive wrapper, at each length of a table's history."""
    place = bench.place("commits")
    sizes = SIZES[:2] if bench.quick else SIZES
    with servers.naive(place / "naive") as naive, servers.ours(place / "ours") as ours:
        cells: Cells = {}
        for server in (naive, ours):
            open_namespace(server)
        for size in sizes:
            cells[f"naive {size}"] = appending(naive, size, "none", _NAIVE_COMMITS[size])
            cells[f"plain {size}"] = appending(ours, size, "none", _COMMITS)
            cells[f"gzip {size}"] = appending(ours, size, "gzip", _COMMITS)
        found = interleave(min(bench.rounds, 3), cells)
    bounds = {1: 4.0, 100: 10.0, 1000: 50.0}
    long = {"plain": None, "gzip": 400.0}
    milliseconds = {
        size: tuple(sample.cpu_us / 1000 for sample in found[f"gzip {size}"]) for size in sizes
    }
    return [
        Line(
            "5",
            f"durable commit at {size:,}, {kind} metadata: naive p50 over ours",
            quotients(p50s(found[f"naive {size}"]), p50s(found[f"{kind} {size}"])),
            at_least=bounds.get(size, long[kind]),
            cpu_us=cpu(ours=found[f"{kind} {size}"], naive=found[f"naive {size}"]),
            note=f"{statistics.median(p50s(found[f'{kind} {size}'])):.2f} ms",
        )
        for size in sizes
        for kind in ("plain", "gzip")
    ] + [
        Line(
            "5",
            f"durable commit at {size:,}, gzip metadata: server CPU, user and system",
            milliseconds[size],
            unit="ms",
            at_most=1.0 if size <= _CPU_BOUND else None,
        )
        for size in sizes
    ]


def along_the_history(bench: Bench) -> list[Line]:
    """Goal 6: long histories beside a short one."""
    with servers.ours(bench.place("commit-history")) as ours:
        open_namespace(ours)
        sizes = (1, 1000, 10_000)
        cells = {str(size): appending(ours, size, "gzip", _COMMITS) for size in sizes}
        found = interleave(bench.rounds, cells)
    return [
        Line(
            "6",
            f"commit, gzip metadata: p50 at {size:,} snapshots over that at 1",
            quotients(p50s(found[str(size)]), p50s(found["1"])),
            at_most=bound,
            cpu_us={str(size): cpu(at=found[str(size)])["at"]},
            note=f"{statistics.median(p50s(found[str(size)])):.2f} ms",
        )
        for size, bound in ((1000, 1.5), (10_000, 1.5))
    ]


def durability(bench: Bench) -> list[Line]:
    """Goal 7: what it costs that nothing acknowledged is lost."""
    with ExitStack() as stack:
        cells: Cells = {}
        for kind in ("full", "relaxed"):
            place = bench.place(f"durability-{kind}")
            settings = {"store.durability": kind}
            ours = stack.enter_context(servers.ours(place, settings=settings))
            open_namespace(ours)
            cells[kind] = appending(ours, 1, "none", _COMMITS)
        found = interleave(bench.rounds, cells)
    return [
        Line(
            "7",
            "durability tax: commit p50, durable over relaxed",
            quotients(p50s(found["full"]), p50s(found["relaxed"])),
            at_most=2,
            cpu_us=cpu(**found),
            note=f"{statistics.median(p50s(found['full'])):.2f} ms durable",
        )
    ]


def appending(server: Server, size: int, codec: str, commits: int) -> Callable[[], Sample]:
    """Return a cell: so many commits, one after the other, to tables of this many snapshots."""
    tables = [
        put(server, f"s{size}-{codec}-{number}", size, codec=codec)
        for number in range(_TABLES[size])
    ]
    headers = (GZIP,) if codec == "gzip" else ()
    requests = _by_turns(tables, headers)
    return partial(_some, server, requests, commits)


def _by_turns(tables: list[Table], headers: tuple[tuple[str, str], ...]) -> Iterator[Request]:
    for stream in cycle([table.appends(*headers) for table in tables]):
        yield next(stream)


def _some(server: Server, requests: Iterator[Request], commits: int) -> Sample:
    return times(server, [islice(requests, commits)])


def p50s(samples: list[Sample]) -> list[float]:
    """Return the median time of each round, in ms."""
    return [sample.p50_ms for sample in samples]
