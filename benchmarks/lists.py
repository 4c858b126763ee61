"""Long lists: goal 12."""

import itertools
import statistics
from collections.abc import Callable
from functools import partial
from urllib.parse import quote

from benchmarks import servers, store
from benchmarks.bench import Bench, times
from benchmarks.client import Connection, Request
from benchmarks.processes import Server
from benchmarks.rounds import Line, Sample, interleave, quotients

_PAGE = 100
_LARGE_PAGE = 1000
_REQUESTS = 200  # of one page in a round


def goal(bench: Bench) -> list[Line]:
    """Goal 12: a page costs the same anywhere in a list, and a walk is linear."""
    tables, spaces = (10_000, 1_000) if bench.quick else (100_000, 10_000)
    place = bench.place("lists")
    with store.opened(place) as database:
        for space, number in (("many", tables), ("few", tables // 10)):
            names = [
                (f"t{n:06d}", f"/nowhere/{space}/t{n:06d}/metadata/0.json") for n in range(number)
            ]
            store.fill(database, space, names)
        store.fill_namespaces(database, [f"ns{n:05d}" for n in range(spaces)])
    with servers.ours(place) as ours:
        return [
            *_lines(ours, bench, f"{tables:,} tables", "/v1/namespaces/many/tables"),
            _walks(ours, bench, tables),
            *_lines(ours, bench, f"{spaces:,} namespaces", "/v1/namespaces", bound=None),
        ]


def _lines(
    server: Server, bench: Bench, what: str, path: str, bound: float | None = 1.2
) -> list[Line]:
    """Compare a list's last page with its first, and walk it."""
    last, _ = walk(server, path, _PAGE)
    cells: dict[str, Callable[[], Sample]] = {
        name: partial(repeat, server, Request(at))
        for name, at in (("first", url(path, _PAGE)), ("last", last))
    }
    cells["walk"] = partial(_walked, server, path)
    found = interleave(bench.rounds, cells)
    p50s = {name: [sample.p50_ms for sample in samples] for name, samples in found.items()}
    walks = tuple(sample.seconds * 1000 for sample in found["walk"])
    return [
        Line(
            "12",
            f"{what}: p50 of the last page of {_PAGE} over that of the first",
            quotients(p50s["last"], p50s["first"]),
            at_most=bound,
            note=f"{statistics.median(p50s['first']):.2f} ms",
        ),
        Line("12", f"{what}: all of them, by {_LARGE_PAGE:,}", walks, unit="ms"),
    ]


def _walks(server: Server, bench: Bench, tables: int) -> Line:
    cells = {
        space: partial(_walked, server, f"/v1/namespaces/{space}/tables")
        for space in ("many", "few")
    }
    found = interleave(bench.rounds, cells)
    seconds = {name: [sample.seconds for sample in samples] for name, samples in found.items()}
    return Line(
        "12",
        f"walk of {tables:,} tables over ten times that of {tables // 10:,}",
        quotients(seconds["many"], [10 * one for one in seconds["few"]]),
        at_most=1.2,
    )


def repeat(server: Server, request: Request) -> Sample:
    """Ask one request again and again."""
    return times(server, [itertools.repeat(request, _REQUESTS)])


def _walked(server: Server, path: str) -> Sample:
    before = server.cpu_seconds()
    _, latencies = walk(server, path, _LARGE_PAGE)
    return Sample(len(latencies), sum(latencies), server.cpu_seconds() - before, latencies)


def walk(server: Server, path: str, size: int) -> tuple[str, list[float]]:
    """Fetch all pages; return the last one's path, and the seconds of each."""
    at, latencies = url(path, size), []
    with Connection(server.address) as connection:
        while True:
            answer = connection.ask(Request(at))
            latencies.append(answer.seconds)
            token = answer.json().get("next-page-token")
            if token is None:
                return at, latencies
            at = url(path, size, token)


def url(path: str, size: int, token: str = "") -> str:
    """Return the path of a page of a list."""
    return f"{path}?pageSize={size}&pageToken={quote(token)}"
