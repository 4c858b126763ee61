"""What permissions and the audit log cost: goal permissions.

Tables are made without them; then a service gets grants through a role, and a token.
"""

import contextlib
import itertools
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

from benchmarks import lists, peers, rustberg, servers, store
from benchmarks.bench import Bench, rate
from benchmarks.client import Connection, Request
from benchmarks.commits import appending, p50s
from benchmarks.loads import rates
from benchmarks.processes import Server
from benchmarks.rounds import Line, Sample, cpu, interleave, quotients
from benchmarks.servers import store_url
from benchmarks.tables import NAMESPACE, Table, open_namespace, put
from falcon_catalog.catalog import (
    access_control,
    accounts,
    authorization,
    identity,
    roles,
    tabulars,
)
from falcon_catalog.catalog.access_control import Change
from falcon_catalog.catalog.authorization import Need
from falcon_catalog.catalog.bootstrap import open_warehouses
from falcon_catalog.catalog.call import Call, Principal, StoreCall
from falcon_catalog.catalog.entities import EntityName
from falcon_catalog.catalog.privileges import Privilege
from falcon_catalog.catalog.tabulars import TABLE
from falcon_catalog.identifiers import Namespace, TableIdentifier
from falcon_catalog.settings import StoreSettings, load
from falcon_catalog.store import open_database, principals
from falcon_catalog.store.database import Database

GOAL = "permissions"
_READER, _ROLE = "reader", "analysts"
_SETTINGS: Mapping[str, object] = {"auth.required": True, "auth.token_lifetime": 86400}
_CHECKS = 2000  # in a round
_LISTED, _VISIBLE = 20_000, 100
_REVOCATIONS, _PROCESSES, _CONNECTIONS, _FEWEST = 10_000, 4, 16, 2
_COMMITS = 30  # in a round
_HIDDEN = 404


def goal(bench: Bench) -> list[Line]:
    """Measure checks, loads and lists with rules, revocations, and the audit row of a commit."""
    place = bench.place(GOAL)
    with servers.ours(place) as ours:
        open_namespace(ours)
        table = put(ours, "small", 1)
    number = _LISTED // 10 if bench.quick else _LISTED
    with store.opened(place) as database:
        token = _prepare(database, number)
    loads, commits = _loads(bench, place, table, token), _audit(bench)
    return [
        _check(bench, place, table),
        *loads,
        _list(bench, place, number, token),
        _revocations(bench, place, table, token),
        *commits,
    ]


def _prepare(database: Database, number: int) -> str:
    """Let a service read the namespace of the tables, and see some of another; return its token."""
    names = [(f"t{n:06d}", f"/nowhere/t{n:06d}/metadata/0.json") for n in range(number)]
    store.fill(database, "many", names)
    call = StoreCall(database, local="local:0")
    secret = accounts.add(call, _READER)
    roles.create(call, _ROLE)
    roles.change_members(call, _ROLE, add=[_READER])
    seen = [name for name, _ in names[:: number // _VISIBLE]]
    tables = [EntityName("table", "default", Namespace(("many",)), name) for name in seen]
    access_control.change(call, grant=[Change(("list",), each, _ROLE) for each in tables])
    _grant(database, "select", EntityName("namespace", "default", Namespace((NAMESPACE,))))
    realm = identity.Realm.of(database, 86400, 86400)
    return identity.authenticate(realm, _READER, secret).text


def _grant(database: Database, privilege: Privilege, entity: EntityName) -> None:
    change = Change((privilege,), entity, _ROLE)
    access_control.change(StoreCall(database, local="local:0"), grant=[change])


def _revoke(database: Database, privilege: Privilege, entity: EntityName) -> None:
    change = Change((privilege,), entity, _ROLE)
    access_control.change(StoreCall(database, local="local:0"), revoke=[change])


def _check(bench: Bench, place: Path, table: Table) -> Line:
    """Time in this process how a verb gets its table, with the gate and without it."""
    flags = {"store.url": store_url(place), "warehouse.location": f"file://{place}/warehouse"}
    (warehouse,) = open_warehouses(load(None, {}, flags), create=False)
    with contextlib.closing(warehouse.store):
        row = principals.find(warehouse.store.autocommit(), _READER)
        if row is None:
            raise LookupError(_READER)
        call, free = Call(warehouse, Principal(row.id, row.name)), Call(warehouse)
        identifier = TableIdentifier(Namespace((NAMESPACE,)), table.name)
        needs = [Need("describe", identifier)]

        def check() -> None:
            call.decision = authorization.require(call, needs)
            tabulars.find(call, TABLE, identifier)

        cells = {
            "check": partial(_call_us, check),
            "find": partial(_call_us, lambda: tabulars.find(free, TABLE, identifier)),
        }
        found = interleave(bench.rounds, cells)
    added = [one - other for one, other in zip(found["check"], found["find"], strict=True)]
    return Line(
        GOAL,
        "a warm check, the generation's read included, beyond the statement that finds the table",
        tuple(added),
        unit="µs",
        at_most=10,
        note=", ".join(f"{statistics.median(some):.1f} µs" for some in found.values())
        + " with and without",
    )


def _call_us(call: Callable[[], object]) -> float:
    """Return how long one call takes, in µs: the median of many."""
    taken = []
    for _ in range(_CHECKS):
        started = time.perf_counter_ns()
        call()
        taken.append(time.perf_counter_ns() - started)
    return statistics.median(taken) / 1000


def _loads(bench: Bench, place: Path, table: Table, token: str) -> list[Line]:
    program, absent = rustberg.find()
    request = table.load(*_bearer(token))
    with contextlib.ExitStack() as stack:
        ours = stack.enter_context(servers.ours(place, settings=_SETTINGS))
        without = stack.enter_context(
            servers.ours(
                place,
                name="without",
                module="benchmarks.without",
                before=("authorization",),
                settings=_SETTINGS,
            )
        )
        cells: peers.Cells = {
            "ours": partial(rate, ours, request, bench.seconds),
            "without": partial(rate, without, request, bench.seconds),
        }
        if not absent:
            theirs = stack.enter_context(servers.rustberg(bench.place("beside"), program))
            open_namespace(theirs)
            load_ = put(theirs, table.name, 1).load()
            cells["rustberg"] = partial(rate, theirs, load_, bench.seconds)
        found = interleave(bench.rounds, cells)
    ours_a_second = f"{statistics.median(rates(found['ours'])):.0f} a second"
    beside = "loadTable with rules: rate over that of rustberg without authentication"
    return [
        Line(
            GOAL,
            "loadTable with rules: rate over that with a token and no rules",
            quotients(rates(found["ours"]), rates(found["without"])),
            at_least=0.9,
            cpu_us=cpu(ours=found["ours"], without=found["without"]),
            note=ours_a_second,
        ),
        Line(GOAL, beside, at_least=2.5, note=f"skipped: {absent}")
        if absent
        else Line(
            GOAL,
            beside,
            quotients(rates(found["ours"]), rates(found["rustberg"])),
            at_least=2.5,
            cpu_us=cpu(ours=found["ours"], rustberg=found["rustberg"]),
            note=ours_a_second,
        ),
    ]


def _list(bench: Bench, place: Path, number: int, token: str) -> Line:
    request = Request(lists.url("/v1/namespaces/many/tables", _VISIBLE), _bearer(token))
    with servers.ours(place, settings=_SETTINGS) as ours:
        with Connection(ours.address) as connection:
            listed = len(connection.ask(request).json()["identifiers"])
        if listed != _VISIBLE:
            raise RuntimeError(f"{listed} tables are listed, not {_VISIBLE}")
        cells = {"list": partial(lists.repeat, ours, request)}
        found: list[Sample] = interleave(bench.rounds, cells)["list"]
    return Line(
        GOAL,
        f"listing the {_VISIBLE} visible tables among {number:,}: p50, as the client sees it",
        tuple(p50s(found)),
        unit="ms",
        at_most=2,
        cpu_us=cpu(ours=found),
    )


def _revocations(bench: Bench, place: Path, table: Table, token: str) -> Line:
    """Grant and revoke beside the servers; the next request must be answered accordingly."""
    number = _REVOCATIONS // 100 if bench.quick else _REVOCATIONS
    entity = EntityName("namespace", "default", Namespace((NAMESPACE,)))
    request = table.load(*_bearer(token))
    effective = 0
    with (
        servers.ours(place, processes=_PROCESSES, settings=_SETTINGS) as ours,
        _relaxed(place) as database,
        _connected(ours) as connections,
    ):
        for _, connection in zip(range(number), itertools.cycle(connections), strict=False):
            _grant(database, "select", entity)
            connection.ask(request)  # its process has the grant in memory
            _revoke(database, "select", entity)
            effective += connection.ask(request, 200, _HIDDEN).status == _HIDDEN
        answering = ours.connected()
    if answering < _FEWEST:
        raise RuntimeError(f"{answering} process has all the connections")
    return Line(
        GOAL,
        f"revocations of {number:,} that hold for the next request, over {_PROCESSES} processes",
        (effective,),
        unit="",
        at_least=number,
        note=f"{answering} of them answered",
    )


@contextlib.contextmanager
def _relaxed(place: Path) -> Iterator[Database]:
    """Open the store for changes that need not be durable: no time is measured here."""
    settings = StoreSettings(url=store_url(place), durability="relaxed")
    with contextlib.closing(open_database(settings)) as database:
        yield database


@contextlib.contextmanager
def _connected(server: Server) -> Iterator[list[Connection]]:
    """Open so many connections that each process has some."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(Connection(server.address)) for _ in range(_CONNECTIONS)]


def _audit(bench: Bench) -> list[Line]:
    """Commit with and without the row of the audit log."""
    with contextlib.ExitStack() as stack:
        cells = {}
        for name, before in (("with", ()), ("without", ("events",))):
            ours = stack.enter_context(
                servers.ours(
                    bench.place(f"audit-{name}"),
                    name=name,
                    module="benchmarks.without" if before else "falcon_catalog",
                    before=before,
                )
            )
            open_namespace(ours)
            cells[name] = appending(ours, 1, "none", _COMMITS)
        found = interleave(bench.rounds, cells)
    used = {name: [sample.cpu_us for sample in samples] for name, samples in found.items()}
    return [
        Line(
            GOAL,
            "the audit row: p50 of a durable commit over that of one without",
            quotients(p50s(found["with"]), p50s(found["without"])),
            note=f"{statistics.median(p50s(found['with'])):.2f} ms",
        ),
        Line(
            GOAL,
            "the audit row: server CPU of a commit over that of one without",
            quotients(used["with"], used["without"]),
            cpu_us=cpu(**found),
        ),
    ]


def _bearer(token: str) -> tuple[tuple[str, str], ...]:
    return (("Authorization", f"Bearer {token}"),)
