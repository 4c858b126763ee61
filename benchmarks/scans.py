"""Scans planned by the server: goal 16."""

import time
from functools import partial
from typing import Any

import orjson

from benchmarks import manifests, servers
from benchmarks.bench import Bench
from benchmarks.client import Connection, Request
from benchmarks.processes import Server
from benchmarks.rounds import Line, interleave
from benchmarks.tables import NAMESPACE, open_namespace

_ASK_AGAIN_SECONDS = 0.005
ONE_DAY = {"type": "eq", "term": "int_6", "value": 77}


def measure(bench: Bench) -> list[Line]:
    """Plan scans of tables of 10 to 100,000 files, 100 in a manifest, with a cold and warm server.

    The largest only with a filter that fits 10 files of one manifest.
    """
    sizes = (10, 100, 1000) if bench.quick else (10, 100, 1000, 10_000)
    largest = 10 * sizes[-1]
    made = {size: manifests.made(bench.cache, size) for size in (*sizes, largest)}
    place = bench.place("scans")
    with servers.ours(place, warehouse=bench.cache) as ours:
        open_namespace(ours)
        for size, file in made.items():
            register(ours, f"f{size}", f"file://{file}")
        asked: dict[str, tuple[str, dict[str, Any], int]] = {
            f"{size:,} files": (f"f{size}", {}, size) for size in sizes
        }
        asked[f"{sizes[-1]:,} files, one day"] = (f"f{sizes[-1]}", {"filter": ONE_DAY}, 10)
        asked[f"{largest:,} files, one day"] = (f"f{largest}", {"filter": ONE_DAY}, 10)
        cells = {name: partial(plan, ours, *asking) for name, asking in asked.items()}
        cold = {name: cell() for name, cell in cells.items()}
        found = interleave(min(bench.rounds, 3), cells)
    bounds = {"10,000 files": 100, "100,000 files, one day": 30}
    first = {"10,000 files": 400}
    return [
        Line(
            "scans",
            f"planTableScan, {name}, the first time",
            (cold[name],),
            unit="ms",
            at_most=bound,
        )
        for name, bound in first.items()
        if name in cold
    ] + [
        Line(
            "scans",
            f"planTableScan, {name}: to the last page",
            tuple(found[name]),
            unit="ms",
            at_most=bounds.get(name),
            note=f"{cold[name]:.1f} ms the first time",
        )
        for name in cells
    ]


def register(server: Server, name: str, location: str) -> None:
    """Register a table by its metadata file."""
    body = {"name": name, "metadata-location": location, "overwrite": False}
    with Connection(server.address) as connection:
        path = f"/v1/namespaces/{NAMESPACE}/register"
        connection.ask(Request(path, (), orjson.dumps(body)))


def plan(server: Server, table: str, request: dict[str, Any], files: int) -> float:
    """Plan a scan as clients do, check that it has so many files, and return its ms."""
    path = f"/v1/namespaces/{NAMESPACE}/tables/{table}"
    with Connection(server.address) as connection:
        started = time.perf_counter()
        answer = connection.ask(Request(f"{path}/plan", (), orjson.dumps(request))).json()
        plan = f"{path}/plan/{answer['plan-id']}"
        while answer["status"] == "submitted":
            time.sleep(_ASK_AGAIN_SECONDS)
            answer = connection.ask(Request(plan)).json()
        pending, found = [answer], 0
        while pending:
            page = pending.pop()
            found += len(page["file-scan-tasks"])
            for token in page.get("plan-tasks", ()):
                body = orjson.dumps({"plan-task": token})
                pending.append(connection.ask(Request(f"{path}/tasks", (), body)).json())
        took = time.perf_counter() - started
    if found != files:
        raise ValueError(f"{table}: {found} files were planned, {files} should have been")
    return took * 1000
