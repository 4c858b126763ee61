"""Snapshots of one table."""

from functools import partial
from itertools import islice

import orjson

from benchmarks import servers
from benchmarks.bench import GZIP, times
from benchmarks.client import Connection
from benchmarks.processes import Server
from benchmarks.scale.section import Cell, Context, Section, median_ms, megabytes, memory_mb
from benchmarks.tables import Table, metadata, open_namespace, put

_LONG = 10_000
HEADER = (
    "snapshots",
    "metadata file, MB",
    "response, gzip, MB",
    "load, gzip, ms",
    "load, plain, ms",
    "commit, gzip metadata, ms",
    "commit, plain metadata, ms",
    "first load after a start, ms",
    "memory, MB",
)


def measure(context: Context, sizes: list[int]) -> list[Section]:
    """Measure a table of each of these numbers of snapshots, on SQLite and a local disk."""
    rows: list[list[Cell]] = []
    for size in sizes:
        context.say(f"{size:,} snapshots")
        place = context.bench.place(f"snapshots-{size}")
        with servers.ours(place) as ours:
            open_namespace(ours)
            tables = [put(ours, codec, size, codec=codec) for codec in ("gzip", "none")]
            cells = _requests(context, ours, *tables)
            written = megabytes(len(orjson.dumps(metadata(Table("t", ours.warehouse, size)))))
        with servers.ours(place) as ours, Connection(ours.address) as connection:
            first = connection.ask(tables[0].load(GZIP)).seconds * 1000
            memory = memory_mb(ours)
        rows.append([size, written, *cells, first, memory])
    return [Section("snapshots", "One table with many snapshots, SQLite, local disk", HEADER, rows)]


def _requests(context: Context, ours: Server, zipped: Table, plain: Table) -> list[Cell]:
    rounds = 2 if context.bench.quick else 5
    number = 5 if zipped.snapshots > _LONG else 40
    with Connection(ours.address) as connection:
        size = len(connection.ask(zipped.load(GZIP)).body)
    loads = [
        median_ms(partial(times, ours, [[table.load(*headers)] * number]), rounds)
        for table, headers in ((zipped, (GZIP,)), (plain, ()))
    ]
    commits = []
    for table in (zipped, plain):
        stream = table.appends(GZIP)
        measured = partial(lambda appends: times(ours, [islice(appends, number)]), stream)
        commits.append(median_ms(measured, rounds))
    return [megabytes(size), *loads, *commits]
