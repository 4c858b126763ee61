"""Loads and commits in a bucket of S3, beside a disk, the naive wrapper and Apache's server."""

import contextlib
import itertools
import statistics
import time
from collections.abc import Callable
from functools import partial

import orjson

from benchmarks import apache, peers, s3, servers
from benchmarks.bench import GZIP, Bench
from benchmarks.commits import p50s
from benchmarks.loads import rates
from benchmarks.processes import cpu_seconds
from benchmarks.rounds import Line, Sample, cpu, interleave, quotients
from benchmarks.tables import Table, metadata, open_namespace

_ROUNDS = 5
_REQUESTS = 50
_SMALL = "loadTable at 1, plain"
_ONE: peers.Loads = {_SMALL: (1, (), None)}
_LOADS: peers.Loads = {**_ONE, "loadTable at 1,000, gzip": (1000, (GZIP,), None)}
_COMMITS: peers.Commits = {1: None, 100: None, 1000: None}
_NAIVE = ("naive", "the naive wrapper")
_CLIENT = "client"  # credentials are the clients' own: they are measured elsewhere


def goal(bench: Bench) -> list[Line]:
    """Measure catalogs with warehouses in one bucket, and requests to that bucket alone."""
    classpath, absent = apache.prepare(bench.cache, "s3")
    if absent and s3.MISSING:
        return [Line("s3", _SMALL, note=f"skipped: {absent}; {s3.MISSING}")]
    loads, commits = (_ONE, {1: None}) if bench.quick else (_LOADS, _COMMITS)
    place = bench.place("s3")
    with contextlib.ExitStack() as stack:
        store = stack.enter_context(s3.emulator() if absent else s3.proxy(place / "s3proxy"))
        disk = stack.enter_context(servers.ours(place / "disk", name="disk"))
        open_namespace(disk)
        ours = stack.enter_context(s3.ours(place / "ours", store, access=_CLIENT))
        naive = stack.enter_context(s3.naive(place / "naive", store))
        cells: peers.Cells = {"PUT": _puts(store), "GET": _gets(store)}
        cells |= peers.cells(bench, disk, _ONE, {1: None})
        cells |= peers.cells(bench, ours, loads, commits)
        cells |= peers.cells(bench, naive, loads, commits)
        if not absent:
            theirs = stack.enter_context(s3.apache(place / "apache", store, classpath))
            cells |= peers.cells(bench, theirs, loads, commits)
        interleave(1, cells)  # what Java runs often it compiles first: the store, too
        found = interleave(min(bench.rounds, _ROUNDS), cells)
    lines = _alone(store, found)
    for peer in (_NAIVE, *([] if absent else [apache.PEER])):
        lines += peers.load_lines("s3", peer, loads, found)
        lines += peers.commit_lines("s3", peer, commits, found)
    if absent:
        lines.append(Line("s3", "beside Apache's RESTCatalogServer", note=f"skipped: {absent}"))
    return lines


def _alone(store: s3.Store, found: peers.Found) -> list[Line]:
    """Return what requests to the bucket cost without a catalog, and what ours adds to them."""
    ours, disk = found[f"ours: {_SMALL}"], found[f"disk: {_SMALL}"]
    return [
        *(
            Line(
                "s3",
                f"one {method} of a metadata file, without a catalog",
                tuple(p50s(found[method])),
                unit="ms",
                cpu_us=cpu(store=found[method]),
                note=store.name,
            )
            for method in ("PUT", "GET")
        ),
        Line(
            "s3",
            f"{_SMALL}: rate over that of the same on a disk",
            quotients(rates(ours), rates(disk)),
            at_least=0.9,
            cpu_us=cpu(ours=ours, disk=disk),
            note=f"{statistics.median(rates(ours)):.0f} a second",
        ),
        Line(
            "s3",
            "durable commit at 1, plain metadata: p50 over that of one PUT",
            quotients(p50s(found["ours: 1"]), p50s(found["PUT"])),
            cpu_us=cpu(ours=found["ours: 1"], store=found["PUT"]),
            note=f"{statistics.median(p50s(found['disk: 1'])):.2f} ms on a disk",
        ),
    ]


def _puts(store: s3.Store) -> Callable[[], Sample]:
    """Return a cell: new objects, each with a table's metadata."""
    bucket, content, numbers = store.bucket(), _metadata(), itertools.count()
    return partial(_each, store, lambda: bucket.put(f"alone/{next(numbers)}.json", content))


def _gets(store: s3.Store) -> Callable[[], Sample]:
    """Return a cell: a table's metadata, read again and again."""
    bucket = store.bucket()
    bucket.put("alone.json", _metadata())
    return partial(_each, store, lambda: bucket.get("alone.json").bytes())


def _metadata() -> bytes:
    return orjson.dumps(metadata(Table("alone", "s3://lake/alone", 1)))


def _each(store: s3.Store, request: Callable[[], object]) -> Sample:
    """Make one request after the other, with the library that our catalog uses."""
    latencies = []
    before = cpu_seconds(store.pid)
    for _ in range(_REQUESTS):
        started = time.perf_counter()
        request()
        latencies.append(time.perf_counter() - started)
    used = cpu_seconds(store.pid) - before
    return Sample(_REQUESTS, sum(latencies), used, latencies)
