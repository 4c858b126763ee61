"""Loading a table: goals 1 to 4, and 11."""

import itertools
import statistics
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial

from benchmarks import servers
from benchmarks.bench import CONNECTIONS, GZIP, Bench, rate, times
from benchmarks.client import Connection, Request
from benchmarks.processes import Server
from benchmarks.rounds import Line, Sample, cpu, interleave, quotients
from benchmarks.tables import Table, open_namespace, put

Cells = dict[str, Callable[[], Sample]]
SIZES = (1, 100, 1000, 10_000)
_LONG = 1000  # snapshots from which on the naive wrapper needs tens of milliseconds for a table


def against_the_floor(bench: Bench) -> list[Line]:
    """Goal 1: beside a waitress that answers constant bytes."""
    place = bench.place("floor")
    with servers.bare(place) as bare, servers.ours(place) as ours:
        open_namespace(ours)
        table = put(ours, "small", 1)
        found = interleave(
            bench.rounds,
            {
                "bare": partial(rate, bare, Request("/"), bench.seconds),
                "ours": partial(rate, ours, table.load(), bench.seconds),
            },
        )
    used = cpu(**found)
    return [
        Line(
            "1",
            "loadTable at 1 snapshot: rate over that of a bare waitress",
            quotients(rates(found["ours"]), rates(found["bare"])),
            at_least=0.85,
            cpu_us=used,
            note=f"{statistics.median(rates(found['ours'])):.0f} a second",
        ),
        Line(
            "1",
            "the same: server CPU a request",
            quotients([one.cpu_us for one in found["ours"]], [o.cpu_us for o in found["bare"]]),
            at_most=1.1,
            cpu_us=used,
        ),
    ]


def against_naive(bench: Bench) -> list[Line]:
    """Goal 2: beside the naive wrapper, at each length of a table's history."""
    place = bench.place("loads")
    sizes = SIZES[:2] if bench.quick else SIZES
    with servers.naive(place / "naive") as naive, servers.ours(place / "ours") as ours:
        cells: Cells = {}
        for server in (naive, ours):
            open_namespace(server)
        for size in sizes:
            theirs, table = put(naive, f"s{size}", size), put(ours, f"s{size}", size)
            cells[f"naive {size}"] = naive_rate(bench, naive, theirs)
            cells[f"plain {size}"] = partial(rate, ours, table.load(), bench.seconds)
            cells[f"gzip {size}"] = partial(rate, ours, table.load(GZIP), bench.seconds)
        found = interleave(min(bench.rounds, 3), cells)
    bounds = {
        "plain 1": 8,
        "plain 100": 20,
        "gzip 1000": 200,
        "gzip 10000": 2000,
    }
    return [
        Line(
            "2",
            f"loadTable at {size:,}, {kind}: rate over the naive wrapper's",
            quotients(rates(found[f"{kind} {size}"]), rates(found[f"naive {size}"])),
            at_least=bounds.get(f"{kind} {size}"),
            cpu_us=cpu(ours=found[f"{kind} {size}"], naive=found[f"naive {size}"]),
            note=f"{statistics.median(rates(found[f'{kind} {size}'])):.0f} a second",
        )
        for size in sizes
        for kind in ("plain", "gzip")
    ]


def along_the_history(bench: Bench) -> list[Line]:
    """Goal 3: a long history beside a short one."""
    with ExitStack() as stack:
        ours, (short, long) = _short_and_long(bench, stack, "history")
        middle = put(ours, f"s{_LONG}", _LONG)
        found = interleave(
            bench.rounds,
            {
                "gzip-1": partial(rate, ours, short.load(GZIP), bench.seconds),
                "gzip-10000": partial(rate, ours, long.load(GZIP), bench.seconds),
                "plain-1": partial(rate, ours, short.load(), bench.seconds),
                "plain-1000": partial(rate, ours, middle.load(), bench.seconds),
            },
        )
    return [
        Line(
            "3",
            "loadTable, plain: rate at 1,000 snapshots over that at 1",
            quotients(rates(found["plain-1000"]), rates(found["plain-1"])),
            at_least=0.5,
            cpu_us=cpu(**found),
        ),
        Line(
            "3",
            "loadTable, gzip: rate at 10,000 snapshots over that at 1",
            quotients(rates(found["gzip-10000"]), rates(found["gzip-1"])),
            at_least=0.8,
            cpu_us=cpu(**found),
        ),
    ]


def unchanged(bench: Bench) -> list[Line]:
    """Goal 4: what a client has already is not sent, and costs the same for every table."""
    with ExitStack() as stack:
        ours, tables = _short_and_long(bench, stack, "unchanged")
        cells: Cells = {}
        for table in tables:
            with Connection(ours.address) as connection:
                tag = connection.ask(table.load()).header("etag") or ""
                known = table.load(("If-None-Match", tag))
                connection.ask(known, 304)
            cells[f"s{table.snapshots}"] = partial(rate, ours, known, bench.seconds)
        found = interleave(bench.rounds, cells)
    return [
        Line(
            "4",
            "304 answers: rate at 10,000 snapshots over that at 1",
            quotients(rates(found["s10000"]), rates(found["s1"])),
            at_least=0.9,
            at_most=1.1,
            cpu_us=cpu(**found),
            note=f"{statistics.median(rates(found['s10000'])):.0f} a second",
        )
    ]


def over_processes(bench: Bench) -> list[Line]:
    """Goal 11: two processes beside one."""
    with ExitStack() as stack:
        cells: Cells = {}
        for number in (1, 2):
            place = bench.place(f"processes-{number}")
            ours = stack.enter_context(servers.ours(place, processes=number))
            open_namespace(ours)
            request = put(ours, "small", 1).load()
            cells[f"processes-{number}"] = partial(
                rate, ours, request, bench.seconds, connections=16
            )
        found = interleave(bench.rounds, cells)
    return [
        Line(
            "11",
            "loadTable: rate of 2 processes over that of 1",
            quotients(rates(found["processes-2"]), rates(found["processes-1"])),
            at_least=1.6,
            cpu_us=cpu(**found),
        )
    ]


def _short_and_long(bench: Bench, stack: ExitStack, name: str) -> tuple[Server, list[Table]]:
    ours = stack.enter_context(servers.ours(bench.place(name)))
    open_namespace(ours)
    return ours, [put(ours, f"s{size}", size) for size in (1, 10_000)]


def naive_rate(bench: Bench, server: Server, table: Table) -> Callable[[], Sample]:
    """Return a cell: loads of a table from the naive wrapper, which never compresses."""
    if table.snapshots < _LONG:
        return partial(rate, server, table.load(), bench.seconds)
    # As many clients as ours has; what is under way when the time is over counts, for it is much.
    return partial(times, server, [itertools.repeat(table.load())] * CONNECTIONS, bench.seconds)


def rates(samples: list[Sample]) -> list[float]:
    """Return the answers a second of each round."""
    return [sample.rate for sample in samples]
