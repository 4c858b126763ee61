"""Clients that are connected at the same time to one process."""

import itertools
import socket
import statistics
from contextlib import ExitStack

from benchmarks import servers
from benchmarks.bench import CONNECTIONS, times
from benchmarks.scale.section import Cell, Context, Section, memory_mb
from benchmarks.tables import open_namespace, put

HEADER = (
    "connections",
    "all of them load: loads a second",
    "median, ms",
    "99 %, ms",
    "8 load, the others are idle: loads a second",
    "memory, MB",
)
_SPARE = 100


def measure(context: Context, sizes: list[int]) -> list[Section]:
    """Measure loads by so many connections, and by eight among as many idle ones."""
    rows: list[list[Cell]] = []
    with ExitStack() as stack:
        most = max(sizes) + _SPARE
        settings = {"server.max_connections": most, "server.max_connections_per_address": most}
        ours = stack.enter_context(servers.ours(context.bench.place("clients"), settings=settings))
        open_namespace(ours)
        load = put(ours, "t", 1).load()
        for size in sizes:
            context.say(f"{size:,} connections")
            seconds = context.bench.seconds if context.bench.quick else 5 * context.bench.seconds
            busy = times(ours, [itertools.repeat(load) for _ in range(size)], seconds)
            with ExitStack() as idle:
                for _ in range(size - CONNECTIONS):
                    idle.enter_context(socket.create_connection(ours.address, timeout=60))
                few = times(ours, [itertools.repeat(load) for _ in range(CONNECTIONS)], seconds)
                memory = memory_mb(ours)
            slow = statistics.quantiles(busy.latencies, n=100)[-1] * 1000
            rows.append([size, busy.rate, busy.p50_ms, slow, few.rate, memory])
    return [Section("clients", "Connections to one process, table of 1 snapshot", HEADER, rows)]
