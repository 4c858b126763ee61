"""A store on PostgreSQL, beside one on SQLite and beside Apache's server on the same cluster."""

import contextlib
import statistics
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from benchmarks import apache, cluster, peers, servers
from benchmarks.bench import GZIP, Bench, rate, times
from benchmarks.cluster import Cluster
from benchmarks.loads import rates
from benchmarks.processes import cpu_seconds
from benchmarks.rounds import Line, Sample, cpu, interleave, quotients
from benchmarks.tables import open_namespace, put

_ROUNDS = 5
_SMALL = "loadTable at 1, plain"
_LOADS: peers.Loads = {_SMALL: (1, (), None), "loadTable at 1,000, gzip": (1000, (GZIP,), None)}
_COMMITS: peers.Commits = {1: None, 100: None, 1000: None}
_ON_SQLITE = ("sqlite", "the same on SQLite")
_APACHE = (apache.PEER[0], f"{apache.PEER[1]} on PostgreSQL")
_WRITERS = 8
_CONNECTIONS = 16


def goal(bench: Bench) -> list[Line]:
    """Measure loads and commits with the store on PostgreSQL, and two processes beside one."""
    if absent := cluster.missing():
        return [Line("postgres", _SMALL, note=f"skipped: {absent}")]
    with cluster.durable() as database:
        return [*_beside_others(bench, database), *_over_processes(bench, database)]


def _beside_others(bench: Bench, database: Cluster) -> list[Line]:
    classpath, absent = apache.prepare(bench.cache, "postgres")
    place = bench.place("postgres")
    with contextlib.ExitStack() as stack:
        store = database.schema("beside")
        compared = [
            stack.enter_context(servers.ours(place / "ours", store=store)),
            stack.enter_context(servers.ours(place / "sqlite", name="sqlite")),
        ]
        if not absent:
            database.schema("apache")
            jdbc = f"127.0.0.1:{database.port}/postgres?user=postgres&currentSchema=apache"
            environ = {"CATALOG_URI": f"jdbc:postgresql://{jdbc}"}
            theirs = servers.apache(place / "apache", classpath, environ=environ)
            compared.append(stack.enter_context(theirs))
        cells: peers.Cells = {}
        for server in compared:
            open_namespace(server)
            cells |= peers.cells(bench, server, _LOADS, _COMMITS)
        interleave(1, cells)  # what Java runs often it compiles first
        used: dict[str, list[Sample]] = {}
        for name in [name for name in cells if name.startswith("ours: ")]:
            used[name] = []
            cells[name] = partial(noting, cells[name], database.pid, used[name])
        found = interleave(min(bench.rounds, _ROUNDS), cells)
    lines = []
    for peer in (_ON_SQLITE, *([] if absent else [_APACHE])):
        loads = peers.load_lines("postgres", peer, _LOADS, found)
        commits = peers.commit_lines("postgres", peer, _COMMITS, found)
        for cell, line in zip((*_LOADS, *_COMMITS), loads + commits, strict=True):
            spent = cpu(database=used[f"ours: {cell}"])
            lines.append(replace(line, cpu_us={**line.cpu_us, **spent}))
    if absent:
        lines.append(Line("postgres", f"beside {_APACHE[1]}", note=f"skipped: {absent}"))
    return lines


def noting(cell: Callable[[], Sample], pid: int, used: list[Sample]) -> Sample:
    """Measure a cell, and note the CPU time that the database used for it."""
    before = cpu_seconds(pid)
    sample = cell()
    used.append(replace(sample, cpu_seconds=cpu_seconds(pid) - before))
    return sample


def _over_processes(bench: Bench, database: Cluster) -> list[Line]:
    with contextlib.ExitStack() as stack:
        cells: peers.Cells = {}
        for number in (1, 2):
            store = database.schema(f"processes{number}")
            place = bench.place(f"postgres-{number}")
            ours = stack.enter_context(servers.ours(place, store=store, processes=number))
            open_namespace(ours)
            tables = [put(ours, f"t{one}", 1, codec="gzip") for one in range(_WRITERS)]
            load = tables[0].load()
            cells[f"loads {number}"] = partial(
                rate, ours, load, bench.seconds, connections=_CONNECTIONS
            )
            streams = [table.appends(GZIP) for table in tables]
            cells[f"commits {number}"] = partial(times, ours, streams, bench.seconds)
        found = interleave(bench.rounds, cells)
    texts = {
        "loads": f"loadTable, {_CONNECTIONS} connections: rate of 2 processes over that of 1",
        "commits": f"{_WRITERS} writers, {_WRITERS} tables: commits a second of 2 processes over 1",
    }
    return [
        Line(
            "postgres",
            text,
            quotients(rates(found[f"{name} 2"]), rates(found[f"{name} 1"])),
            cpu_us=cpu(one=found[f"{name} 1"], two=found[f"{name} 2"]),
            note=", ".join(
                f"{statistics.median(rates(found[f'{name} {number}'])):.0f}" for number in (1, 2)
            )
            + " a second",
        )
        for name, text in texts.items()
    ]
