"""The web pages of a large catalog, and what they cost the API: goal pages."""

import contextlib
import statistics
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from benchmarks import cluster, servers, store
from benchmarks.bench import Bench, rate, times
from benchmarks.client import Connection, Request
from benchmarks.cluster import Cluster
from benchmarks.commits import p50s
from benchmarks.loads import rates
from benchmarks.on_postgres import noting
from benchmarks.processes import Server
from benchmarks.rounds import Line, Sample, cpu, interleave, quotients
from benchmarks.tables import NAMESPACE, Table, metadata, open_namespace, put, write
from falcon_catalog.catalog import events
from falcon_catalog.identifiers import Namespace
from falcon_catalog.store import events as event_rows
from falcon_catalog.store import open_database
from falcon_catalog.store.database import Database
from falcon_catalog.store.events import EventRow

GOAL = "pages"
_MOST_MS = 50
_LARGE, _SPACES = "many", 100
_SNAPSHOTS = 2000
_DROPPED = 150
_REQUESTS = 20  # of one page in a round
_ROUNDS = 5
_FILL = 10_000  # events in one transaction
_NOTHING = "no-such-name"


def goal(bench: Bench) -> list[Line]:
    """Measure each page over a catalog of 100,000 tables, on both databases; loads beside pages."""
    place = bench.place(GOAL)
    lines = _pages(bench, place, servers.store_url(place))
    lines += _beside_loads(bench, place)
    if absent := cluster.missing():
        return [*lines, Line(GOAL, "pages on PostgreSQL", note=f"skipped: {absent}")]
    with cluster.durable() as database:
        place = bench.place(f"{GOAL}-postgres")
        return [*lines, *_pages(bench, place, database.schema(GOAL), database)]


def _pages(bench: Bench, place: Path, url: str, database: Cluster | None = None) -> list[Line]:
    """Measure each page with a store at a URL, which may be in a cluster."""
    tables, logged = (10_000, 10_000) if bench.quick else (100_000, 100_000)
    with contextlib.closing(open_database(url)) as store_:
        _fill(store_, tables)
        _fill_log(store_, logged)
    with servers.ours(place, store=url) as ours:
        open_namespace(ours)
        table = put(ours, "history", _SNAPSHOTS, codec="gzip")
        _drop(ours)
        cells: dict[str, Callable[[], Sample]] = {}
        used: dict[str, list[Sample]] = {}
        for name, request in _requested(table).items():
            cells[name] = partial(times, ours, [[request] * _requests(bench)])
            if database is not None:
                used[name] = []
                cells[name] = partial(noting, cells[name], database.pid, used[name])
        with Connection(ours.address) as connection:
            for request in _requested(table).values():  # templates are read once
                connection.ask(request)
        found = interleave(min(bench.rounds, _ROUNDS), cells)
    return [
        Line(
            GOAL,
            f"{name}{'' if database is None else ' on PostgreSQL'}: p50 as the client sees it",
            tuple(p50s(samples)),
            unit="ms",
            at_most=_MOST_MS,
            cpu_us=cpu(ours=samples, **({"database": used[name]} if name in used else {})),
        )
        for name, samples in found.items()
    ]


def _requests(bench: Bench) -> int:
    return 3 if bench.quick else _REQUESTS


def _requested(table: Table) -> dict[str, Request]:
    """Return a request for each page, by its name: texts that no name contains are the slowest."""
    warehouse = "/ui/warehouses/default"
    large = f"{warehouse}/namespaces/{_LARGE}"
    of_table = f"{warehouse}/namespaces/{NAMESPACE}/tables/{table.name}"
    typed = (("HX-Request", "true"),)
    return {
        "home": Request("/"),
        "warehouse": Request(warehouse),
        "namespace of half of them": Request(large),
        "its last page": Request(f"{large}?table-after=t0"),
        "filter as you type": Request(f"{large}?q=9", typed),
        "filter without a result": Request(f"{large}?q={_NOTHING}", typed),
        "search": Request("/ui/search?q=9"),
        "search without a result": Request(f"/ui/search?q={_NOTHING}"),
        "table": Request(of_table),
        f"history of {_SNAPSHOTS:,} snapshots": Request(f"{of_table}/history"),
        "dropped tables": Request(f"{warehouse}/dropped"),
        "activity": Request("/ui/activity"),
        "activity of a table": Request(
            f"{warehouse}/activity?namespace={NAMESPACE}&table={table.name}"
        ),
    }


def _fill(database: Database, tables: int) -> None:
    """Add half of the tables to one namespace, and the others to many."""
    half = tables // 2
    spaces = [(_LARGE, half), *((f"ns{n:03d}", half // _SPACES) for n in range(_SPACES))]
    for space, number in spaces:
        names = [(f"t{n:06d}", f"/nowhere/{space}/t{n:06d}/metadata/0.json") for n in range(number)]
        store.fill(database, space, names)


def _fill_log(database: Database, number: int) -> None:
    """Add commits to the audit log, all within the minute of the long table's last snapshot.

    Nobody made them; who added a snapshot is looked for among them.
    """
    at = metadata(Table("", "", _SNAPSHOTS))["last-updated-ms"]
    path = Namespace((_LARGE,)).path
    for first in range(0, number, _FILL):
        with database.write() as tx:
            event_rows.insert(
                tx, [_event(n, at, path) for n in range(first, min(first + _FILL, number))]
            )


def _event(number: int, at_ms: int, path: str) -> tuple[object, ...]:
    name = f"t{number % 1000:06d}"
    row = EventRow(
        event_id=events.new_id(at_ms),
        at_ms=at_ms,
        topic="catalog",
        operation="updateTable",
        warehouse="default",
        request_id=f"{number:032x}",
        request_index=0,
        request_count=1,
        actor_id=None,
        actor="local:0",
        via="local",
        address="127.0.0.1",
        client="PyIceberg/0.12.0",
        kind="table",
        object_id=number % 1000,
        uuid=name,
        namespace_path=path,
        name=name,
        former_path=None,
        former_name=None,
        state_before=f"file:///nowhere/{_LARGE}/{name}/metadata/{number}.json",
        state_after=f"file:///nowhere/{_LARGE}/{name}/metadata/{number + 1}.json",
        detail='{"snapshots":[1234567890123456789],"updates":["add-snapshot","set-snapshot-ref"]}',
    )
    return tuple(getattr(row, field) for field in EventRow.__slots__)


def _drop(server: Server) -> None:
    """Drop tables, which can be undropped then."""
    with Connection(server.address) as connection:
        for number in range(_DROPPED):
            table = Table(f"dropped{number:03d}", f"{server.warehouse}/dropped{number:03d}", 1)
            connection.ask(write(server, table))
            connection.ask(Request(table.path, method="DELETE"), 204)


def _beside_loads(bench: Bench, place: Path) -> list[Line]:
    """Load a table of the same store, from a server with pages, some opened, and one without."""
    with contextlib.ExitStack() as stack:
        cells = {}
        for name, enabled in (("with", True), ("without", False)):
            ours = stack.enter_context(_serving(place, name, enabled=enabled))
            table = Table("history", f"{ours.warehouse}/{NAMESPACE}/history", _SNAPSHOTS)
            if enabled:
                with Connection(ours.address) as connection:
                    for request in _requested(table).values():
                        connection.ask(request)
            put(ours, f"small-{name}", 1)
            small = Table(f"small-{name}", "", 1)
            cells[name] = partial(rate, ours, small.load(), bench.seconds)
        found = interleave(bench.rounds, cells)
    return [
        Line(
            GOAL,
            "loadTable at 1 snapshot: rate over that without pages",
            quotients(rates(found["with"]), rates(found["without"])),
            at_least=0.95,
            cpu_us=cpu(**found),
            note=f"{statistics.median(rates(found['with'])):.0f} a second",
        )
    ]


@contextlib.contextmanager
def _serving(place: Path, name: str, *, enabled: bool) -> Iterator[Server]:
    settings = {"web.enabled": enabled}
    with servers.ours(place, name=name, settings=settings) as server:
        yield server
