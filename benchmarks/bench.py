"""What every measurement needs: a folder, an amount of time, and the ways to measure a server."""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import wrk
from benchmarks.client import Request, drive
from benchmarks.processes import Server
from benchmarks.rounds import Sample

CONNECTIONS = 8
GZIP = ("Accept-Encoding", "gzip")


@dataclass(frozen=True, slots=True)
class Bench:
    """How much is measured, and where."""

    folder: Path
    """For what this run needs; removed after it."""
    cache: Path
    """For what is worth keeping between runs."""
    quick: bool = False
    """Whether to measure little: enough to see that all works, too little to judge by."""

    @property
    def rounds(self) -> int:
        """How often each cell is measured."""
        return 2 if self.quick else 7

    @property
    def seconds(self) -> int:
        """How long a rate is measured in one round."""
        return 1

    def place(self, name: str) -> Path:
        """Return a folder for one measurement."""
        place = self.folder / name
        place.mkdir(parents=True)
        return place


def rate(
    server: Server, request: Request, seconds: int, *, connections: int = CONNECTIONS
) -> Sample:
    """Ask one request over and over, for its rate: with wrk, or where it is missing ourselves."""
    before = server.cpu_seconds()
    if tool := wrk.path():
        answers, took = wrk.run(tool, server.address, request, connections, seconds)
        return Sample(answers, took, server.cpu_seconds() - before)
    return times(server, [itertools.repeat(request)] * connections, seconds)


def times(
    server: Server,
    streams: Sequence[Iterable[Request]],
    seconds: float = float("inf"),
    *,
    passed_over: Sequence[int] = (),
) -> Sample:
    """Ask the requests of each stream one after the other, all streams at once."""
    before = server.cpu_seconds()
    driven = drive(server.address, streams, seconds, passed_over=passed_over)
    latencies = [one for some in driven.latencies for one in some]
    return Sample(len(latencies), driven.seconds, server.cpu_seconds() - before, latencies)
