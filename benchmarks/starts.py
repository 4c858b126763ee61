"""A server's start and its memory: goal 15."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial

import orjson

from benchmarks import servers, store
from benchmarks.bench import Bench, times
from benchmarks.client import Connection, Request
from benchmarks.processes import Server, write_local
from benchmarks.rounds import Line, Sample, interleave
from benchmarks.tables import Table, first_file, metadata, open_namespace, put

MEBIBYTE = 1024 * 1024


def start(bench: Bench) -> list[Line]:
    """Measure how long it takes from the start of the process to the first answer."""
    place = bench.place("start")
    with servers.ours(place) as ours:
        open_namespace(ours)
        request = put(ours, "small", 1).load()
    cells = {
        "ours": partial(first_answer, partial(servers.ours, place), request),
        "bare": partial(first_answer, partial(servers.bare, place), Request("/")),
    }
    found = interleave(bench.rounds, cells)
    texts = {"ours": "cold start to the first loaded table", "bare": "the same, a bare waitress"}
    return [Line("start", text, tuple(found[name]), unit="ms") for name, text in texts.items()]


def first_answer(serve: Callable[[], AbstractContextManager[Server]], request: Request) -> float:
    """Return the milliseconds from the start of a server's process to its first answer."""
    started = time.perf_counter()
    with serve() as server, Connection(server.address) as connection:
        connection.ask(request)
        return (time.perf_counter() - started) * 1000


def memory(bench: Bench) -> list[Line]:
    """Measure a server's memory at rest, and after it has loaded very many tables once."""
    number = many(bench)
    rest, touched, sample = loaded_many(bench, number)
    return [
        Line("memory", "at rest, one table loaded", (rest,), unit="MB", at_most=40),
        Line(
            "memory",
            f"after {number:,} tables were loaded",
            (touched,),
            unit="MB",
            at_most=140,
            note=f"first loads: p50 {sample.p50_ms:.2f} ms",
        ),
    ]


def many(bench: Bench) -> int:
    """Return how many tables a server's memory is measured with."""
    return 1000 if bench.quick else 10_000


def loaded_many(bench: Bench, number: int) -> tuple[float, float, Sample]:
    """Return the MB of a server at rest and after it loaded so many tables, and these loads."""
    place = bench.place("memory")
    # store.fill gives a table its name as its UUID, which its metadata must have, too.
    tables = [Table(f"t{n}", f"file://{place}/warehouse/t{n}", 1, f"t{n}") for n in range(number)]
    with store.opened(place) as database:
        # In one folder: ten thousand of them would only cost time.
        files = []
        for table in tables:
            file = first_file(f"{place}/warehouse")
            write_local(file, orjson.dumps(metadata(table)))
            files.append((table.name, file))
        store.fill(database, "bench", files)
    with servers.ours(place) as ours:
        times(ours, [[tables[0].load()]])
        rest = ours.memory_bytes()
        sample = times(ours, [[table.load() for table in tables]])
        touched = ours.memory_bytes()
    return rest / MEBIBYTE, touched / MEBIBYTE, sample
