"""Commits a second: one and eight writers, one and two processes, both stores, disk and S3."""

import statistics
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

from benchmarks import apache, s3, servers
from benchmarks.bench import GZIP, times
from benchmarks.processes import Server
from benchmarks.rounds import interleave
from benchmarks.scale.section import Cell, Context, Section
from benchmarks.tables import open_namespace, put

_WRITERS = (1, 8)
_PROCESSES = (1, 2)


def header() -> tuple[str, ...]:
    """Return the header of the table."""
    counts = [
        f"{writers} writer{'s' if writers > 1 else ''}, {processes} process"
        f"{'es' if processes > 1 else ''}"
        for processes in _PROCESSES
        for writers in _WRITERS
    ]
    return ("store", "warehouse", *counts)


def measure(context: Context) -> list[Section]:
    """Measure commits a second, each writer to its own table, one commit after the other."""
    rows: list[list[Cell]] = []
    with ExitStack() as stack:
        folder = context.bench.place("commits")
        absent = apache.missing_tools()
        bucket = None
        if not absent:
            bucket = stack.enter_context(s3.proxy(folder / "s3proxy"))
        elif not s3.MISSING:
            bucket = stack.enter_context(s3.emulator())
        stores = ("SQLite", *(("PostgreSQL",) if context.database else ()))
        for store in stores:
            for at in (None, *((bucket,) if bucket else ())):
                name = "local disk" if at is None else at.name
                context.say(f"commits: {store}, {name}")
                rows.append([store, name, *_rates(context, store, at)])
    return [Section("commits", "Commits a second", header(), rows)]


def _rates(context: Context, store: str, bucket: s3.Store | None) -> Iterator[float]:
    """Yield the commits a second of each number of processes and writers."""
    with ExitStack() as stack:
        cells = {}
        for processes in _PROCESSES:
            ours = stack.enter_context(_serving(context, store, bucket, processes))
            tables = [put(ours, f"t{one}", 1, codec="gzip") for one in range(max(_WRITERS))]
            for writers in _WRITERS:
                streams = [table.appends(GZIP) for table in tables[:writers]]
                cells[processes, writers] = partial(times, ours, streams, context.bench.seconds)
        found = interleave(2 if context.bench.quick else 5, cells)  # type: ignore[arg-type]
    for samples in found.values():
        yield statistics.median(sample.rate for sample in samples)


@contextmanager
def _serving(
    context: Context, store: str, bucket: s3.Store | None, processes: int
) -> Iterator[Server]:
    kind = "disk" if bucket is None else "s3"
    name = f"commits-{store.lower()}-{kind}-{processes}"
    url = None
    if store == "PostgreSQL" and context.database is not None:
        url = context.database.schema(name.replace("-", "_"))
    place = context.bench.place(name)
    if bucket is None:
        with servers.ours(place, store=url, processes=processes) as ours:
            open_namespace(ours)
            yield ours
    else:
        with s3.ours(place, bucket, access="client", database=url, processes=processes) as ours:
            yield ours
