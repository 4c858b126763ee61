"""Tables in a catalog: what a request costs among so many, and what the operator's commands cost.

The rows are those that ``benchmarks.store`` inserts in one transaction and, on PostgreSQL, what
``store copy`` makes of them. Eight tables of each catalog are real; the others have no files.
"""

import contextlib
import itertools
import time
from collections.abc import Iterator
from functools import partial
from itertools import islice, repeat
from pathlib import Path

import orjson

from benchmarks import lists, servers, store
from benchmarks.bench import times
from benchmarks.client import Connection, Request
from benchmarks.processes import Server
from benchmarks.scale.section import Cell, Context, Section, median_ms, megabytes
from benchmarks.starts import first_answer
from benchmarks.tables import NAMESPACE, open_namespace, put
from falcon_catalog.store import copying, open_database

_SPACE = "many"
_LIST = f"/v1/namespaces/{_SPACE}/tables"
_PAGE = 1000
_LOADS, _COMMITS, _LISTS, _CREATES = 200, 40, 40, 20
_REAL = 8
HEADER = (
    "store",
    "tables",
    "load, ms",
    "commit, ms",
    "create, ms",
    "first page of 1,000 names, ms",
    "last page, ms",
    "all names in one response, s",
    "cold start, ms",
    "memory, peak MB",
    "database, MB",
)


def measure(context: Context, sizes: list[int]) -> list[Section]:
    """Measure requests to catalogs of these sizes."""
    rows: list[list[Cell]] = []
    for size in sizes:
        context.say(f"{size:,} tables")
        place = context.bench.place(f"tables-{size}")
        names = ((f"t{n:07d}", f"/nowhere/t{n:07d}/metadata/0.json") for n in range(size))
        with store.opened(place) as database:
            store.fill(database, _SPACE, names)
        url = None
        if context.database is not None:
            url = context.database.schema(f"tables{size}")
            context.say(_copied(place, url))
        rows.append(["SQLite", size, *_requests(context, place), _sqlite_mb(place)])
        if context.database is not None and url is not None:
            schema = f"tables{size}"
            row: list[Cell] = ["PostgreSQL", size, *_requests(context, place / "postgres", url)]
            rows.append([*row, _postgres_mb(context, schema)])
    return [Section("tables", "Requests among many tables, 1 process", HEADER, rows)]


def _copied(place: Path, url: str) -> str:
    """Copy a store to PostgreSQL, and return how fast that was."""
    started, rows = time.perf_counter(), 0
    with (
        store.opened(place) as source,
        contextlib.closing(open_database(url)) as target,
        source.read() as tx,
    ):
        copied = copying.copy(tx, target, url, lambda _: None)
        rows = sum(content.rows for content in copied.values())
    seconds = time.perf_counter() - started
    return f"store copy: {rows:,} rows in {seconds:.1f} s, verified"


def _requests(context: Context, place: Path, url: str | None = None) -> Iterator[Cell]:
    """Yield the cells of one catalog between its size and that of its database."""
    rounds = 2 if context.bench.quick else 5
    serve = partial(servers.ours, place, store=url)
    with serve() as ours:
        open_namespace(ours)
        tables = [put(ours, f"t{one}", 1, codec="gzip") for one in range(_REAL)]
        load = tables[0].load()
        appends = itertools.chain.from_iterable(zip(*(t.appends() for t in tables), strict=True))
        creates = _creates()
        yield median_ms(partial(times, ours, [[load] * _LOADS]), rounds)
        yield median_ms(lambda: times(ours, [islice(appends, _COMMITS)]), rounds)
        yield median_ms(lambda: times(ours, [islice(creates, _CREATES)]), rounds)
        last, _ = lists.walk(ours, _LIST, _PAGE)
        for path in (lists.url(_LIST, _PAGE), last):
            yield median_ms(partial(times, ours, [list(repeat(Request(path), _LISTS))]), rounds)
        seconds = _all_names(ours)
        memory = megabytes(ours.peak_bytes())
    started = min(first_answer(serve, load) for _ in range(rounds))
    yield from (seconds, started, memory)


def _creates() -> Iterator[Request]:
    """Create one table after the other."""
    for number in itertools.count():
        column = {"id": 1, "name": "a", "type": "long", "required": False}
        body = {"name": f"new{number}", "schema": {"type": "struct", "fields": [column]}}
        yield Request(f"/v1/namespaces/{NAMESPACE}/tables", (), orjson.dumps(body))


def _all_names(server: Server) -> float:
    with Connection(server.address) as connection:
        return connection.ask(Request(_LIST)).seconds


def _sqlite_mb(place: Path) -> float:
    return megabytes((place / "catalog.db").stat().st_size)


def _postgres_mb(context: Context, schema: str) -> float:
    sizes = (
        "SELECT sum(pg_total_relation_size(c.oid)) FROM pg_class c"
        " JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'r' AND n.nspname = %s"
    )
    assert context.database is not None  # noqa: S101 - only called where there is one
    return megabytes(int(context.database.sql(sizes, schema)[0][0]))
