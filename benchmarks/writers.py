"""Many writers at once: goals 8 and 9, and how commits grow with the number of writers."""

import statistics
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial

from benchmarks import servers, slow_sync, store
from benchmarks.bench import GZIP, Bench, times
from benchmarks.client import drive
from benchmarks.processes import Server
from benchmarks.rounds import Line, Sample, cpu, interleave, quotients
from benchmarks.tables import Table, open_namespace, put

_CONFLICT = 409
_WRITERS = (1, 2, 4, 8, 16)


def fairness(bench: Bench) -> list[Line]:
    """Goal 8: no writer is left behind, whichever process it talks to."""
    lines = []
    for processes in (1, 2, 4):
        text = f"4 writers over {processes} process{'es' if processes > 1 else ''}"
        with servers.ours(bench.place(f"fair-{processes}"), processes=processes) as ours:
            tables = _tables(ours, 4)
            measure = partial(_shares, ours, tables, 2 * bench.seconds)
            found = interleave(bench.rounds, {"fair": measure})["fair"]
        lines += [
            Line("8", f"{text}: slowest over fastest", tuple(f[0] for f in found), at_least=0.5),
            Line(
                "8",
                f"{text}: the longest that a commit took",
                tuple(waited for _, waited in found),
                unit="ms",
                at_most=150,
                judged="worst",
            ),
        ]
    return lines


def _shares(server: Server, tables: list[Table], seconds: float) -> tuple[float, float]:
    """Return slowest over fastest writer, in commits, and the longest commit, in ms."""
    driven = drive(server.address, [table.appends(GZIP) for table in tables], seconds)
    counts = [len(some) for some in driven.latencies]
    return min(counts) / max(counts), max(map(max, driven.latencies)) * 1000


def group_commit(bench: Bench) -> list[Line]:
    """Goal 9: changes that come together share a transaction, and its sync."""
    lines = [*store.group_commit(bench), *_grouped(bench, 0)]
    for milliseconds in (2, 5, 10):
        lines += _grouped(bench, milliseconds)
    return lines


def _grouped(bench: Bench, milliseconds: int) -> list[Line]:
    """Compare 8 writers with one, and with 8 that share nothing; each sync takes so much longer."""
    environ = slow_sync.environ(bench.cache, milliseconds) if milliseconds else {}
    if environ is None:
        return []
    with ExitStack() as stack:
        cells: dict[str, Callable[[], Sample]] = {}
        for name in ("grouped", "alone"):
            place = bench.place(f"writers-{name}-{milliseconds}")
            without = ("group-commit",) if name == "alone" else ()
            module = "benchmarks.without" if without else "falcon_catalog"
            ours = stack.enter_context(
                servers.ours(place, name=name, module=module, before=without, environ=environ)
            )
            tables = _tables(ours, 8)
            cells[name] = partial(_append, ours, tables, bench.seconds)
            if name == "grouped":
                cells["one"] = partial(_append, ours, tables[:1], bench.seconds)
        found = interleave(bench.rounds, cells)
    rates = {name: [sample.rate for sample in samples] for name, samples in found.items()}
    slow = f" with {milliseconds} ms more a sync" if milliseconds else ""
    text = f"8 writers, 8 tables{slow}: commits a second over"
    return [
        Line(
            "9",
            f"{text} those of one writer at a time, over the wire",
            quotients(rates["grouped"], rates["one"]),
            at_least={0: 1.8, 5: 4.0}.get(milliseconds),
            cpu_us=cpu(grouped=found["grouped"], one=found["one"]),
            note=f"{statistics.median(rates['grouped']):.0f} commits a second",
        ),
        Line(
            "9",
            f"{text} those without group commit, over the wire",
            quotients(rates["grouped"], rates["alone"]),
            cpu_us=cpu(grouped=found["grouped"], alone=found["alone"]),
        ),
    ]


def growth(bench: Bench) -> list[Line]:
    """Measure 1 to 16 writers, to tables of their own and to one: no bound was set."""
    with servers.ours(bench.place("growth")) as ours:
        tables = _tables(ours, max(_WRITERS))
        shared = put(ours, "shared", 1)
        cells: dict[str, Callable[[], Sample]] = {}
        for number in _WRITERS:
            cells[f"{number} to as many tables"] = partial(
                _append, ours, tables[:number], bench.seconds
            )
            cells[f"{number} to one table"] = partial(_touch, ours, shared, number, bench.seconds)
        found = interleave(min(bench.rounds, 3), cells)
    return [
        Line(
            "writers",
            f"commits of {name}",
            tuple(sample.rate for sample in samples),
            unit="/s",
            cpu_us=cpu(ours=samples),
            note=f"p50 {statistics.median(sample.p50_ms for sample in samples):.1f} ms",
        )
        for name, samples in sorted(found.items(), key=lambda cell: "one table" in cell[0])
    ]


def _tables(server: Server, number: int) -> list[Table]:
    open_namespace(server)
    # Compressed, a commit costs the same however many commits there were before.
    return [put(server, f"t{one}", 1, codec="gzip") for one in range(number)]


def _append(server: Server, tables: list[Table], seconds: float) -> Sample:
    return times(server, [table.appends(GZIP) for table in tables], seconds)


def _touch(server: Server, table: Table, writers: int, seconds: float) -> Sample:
    streams = [table.touches(writer) for writer in range(writers)]
    return times(server, streams, seconds, passed_over=[_CONFLICT])
