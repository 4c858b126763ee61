"""What the mechanisms gain that exist for speed alone: each must gain ten percent of its line."""

import functools
import statistics
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial

import msgspec

from benchmarks import appends, fetched, servers
from benchmarks.bench import GZIP, Bench, rate, times
from benchmarks.processes import Server
from benchmarks.rounds import Line, Sample, cpu, interleave, quotients
from benchmarks.tables import Table, open_namespace, put
from jobs.parse import columns

_GAIN = 1.1
Measure = Callable[[Bench, Server, Table], Callable[[], Sample]]


def measure(bench: Bench) -> list[Line]:
    """Compare the catalog and the pipeline with themselves without each mechanism.

    The last commit's row has no bound here: it is there for goal 10.
    """
    return [
        _with_and_without(
            bench,
            "inline",
            "inline responses: loads a second over those by a thread",
            measured=_loads,
        ),
        _with_and_without(
            bench,
            "gzip-join",
            "joined gzip: commits a second over those without",
            measured=_commits,
            snapshots=1000,
        ),
        _with_and_without(
            bench,
            "last-commits",
            "the last commit's row: 8 writers' commits a second over those that read it",
            measured=_eight_writers,
            gain=None,
        ),
        _second_parser(bench),
    ]


def _with_and_without(
    bench: Bench,
    mechanism: str,
    text: str,
    *,
    measured: Measure,
    snapshots: int = 1,
    gain: float | None = _GAIN,
) -> Line:
    with ExitStack() as stack:
        cells = {}
        for name in ("with", "without"):
            extra = (mechanism,) if name == "without" else ()
            ours = stack.enter_context(
                servers.ours(
                    bench.place(f"{mechanism}-{name}"),
                    name=name,
                    module="benchmarks.without" if extra else "falcon_catalog",
                    before=extra,
                )
            )
            open_namespace(ours)
            table = put(ours, "t", snapshots, codec="gzip" if snapshots > 1 else "none")
            cells[name] = measured(bench, ours, table)
        found = interleave(bench.rounds, cells)
    rates = {name: [sample.rate for sample in samples] for name, samples in found.items()}
    return Line(
        "mechanisms",
        text,
        quotients(rates["with"], rates["without"]),
        at_least=gain,
        cpu_us=cpu(**found),
        note=f"{statistics.median(rates['with']):.0f} a second",
    )


def _loads(bench: Bench, server: Server, table: Table) -> Callable[[], Sample]:
    return partial(rate, server, table.load(), bench.seconds)


def _commits(bench: Bench, server: Server, table: Table) -> Callable[[], Sample]:
    return partial(times, server, [table.appends(GZIP)], bench.seconds)


def _eight_writers(bench: Bench, server: Server, table: Table) -> Callable[[], Sample]:
    tables = [table, *(put(server, f"t{number}", 1, codec="gzip") for number in range(1, 8))]
    return partial(times, server, [each.appends(GZIP) for each in tables], bench.seconds)


def _second_parser(bench: Bench) -> Line:
    features = 500 if bench.quick else 5000
    file = fetched.write(bench.place("second-parser") / "observations.json.gz", features)
    cells = {
        "columns": functools.partial(
            appends.rows_a_second, functools.partial(fetched.read, file), features
        ),
        "records": functools.partial(_by_records, features, functools.partial(fetched.read, file)),
    }
    found = interleave(bench.rounds, cells)
    return Line(
        "mechanisms",
        "observations read by columns: rows a second over one record at a time",
        quotients(found["columns"], found["records"]),
        at_least=_GAIN,
        note=f"{statistics.median(found['columns']):,.0f} rows a second",
    )


def _by_records(features: int, read: Callable[[], object]) -> float:
    """Return the rows a second where the reader of columns is sure of no record."""
    really = columns.decode
    unread = msgspec.json.Decoder(list[msgspec.Raw])
    columns.decode = lambda features: [None for _ in unread.decode(features)]
    try:
        return appends.rows_a_second(read, features)
    finally:
        columns.decode = really
