"""Beside rustberg, a catalog in Rust on an embedded database (redb): goal 17.

It is on crates.io: ``cargo install rustberg --version 0.3.0 --locked``.
"""

import shutil
import statistics
import subprocess
from functools import partial

from benchmarks import peers, servers
from benchmarks.bench import CONNECTIONS, GZIP, Bench, times
from benchmarks.processes import Server
from benchmarks.rounds import Line, interleave
from benchmarks.starts import MEBIBYTE, first_answer, loaded_many, many
from benchmarks.tables import NAMESPACE, Table, open_namespace, write

VERSION = "0.3.0"
_PEER = ("rustberg", "rustberg")
_LOADS: peers.Loads = {
    "loadTable at 1, plain": (1, (), 2.5),
    "loadTable at 100, gzip": (100, (GZIP,), 2.5),
    "loadTable at 1,000, gzip": (1000, (GZIP,), 2.5),
}
_COMMITS: peers.Commits = {1: 2.0, 100: 2.0, 1000: 2.0}
_ROUNDS = 5
_STARTS = 3


def goal(bench: Bench) -> list[Line]:
    """Goal 17: loads, commits, start and memory beside rustberg, both without permissions."""
    program, absent = find()
    if absent:
        return [Line("17", "beside rustberg", note=f"skipped: {absent}")]
    place = bench.place("rustberg")
    serve = {
        "ours": partial(servers.ours, place / "ours"),
        "rustberg": partial(servers.rustberg, place / "rustberg", program),
    }
    with serve["ours"]() as ours, serve["rustberg"]() as rustberg:
        cells: peers.Cells = {}
        for server in (ours, rustberg):
            open_namespace(server)
            cells |= peers.cells(bench, server, _LOADS, _COMMITS)
        found = interleave(min(bench.rounds, _ROUNDS), cells)
    small = Table("s1", "", 1).load()
    started = {name: partial(first_answer, serve[name], small) for name in serve}
    starts = interleave(min(bench.rounds, _STARTS), started)
    number = many(bench)
    with servers.rustberg(place / "many", program) as rustberg:
        theirs = _loaded_many(rustberg, number)
    _, mine, _ = loaded_many(bench, number)
    return [
        *peers.load_lines("17", _PEER, _LOADS, found),
        *peers.commit_lines("17", _PEER, _COMMITS, found),
        Line(
            "17",
            "cold start to the first loaded table",
            tuple(starts["ours"]),
            unit="ms",
            at_most=300,
            note=f"rustberg {statistics.median(starts['rustberg']):.0f} ms",
        ),
        Line(
            "17",
            f"memory after {number:,} tables were loaded",
            (mine,),
            unit="MB",
            at_most=64,
            note=f"rustberg {theirs:.0f} MB",
        ),
    ]


def find() -> tuple[str, str]:
    """Return the program, and why it cannot be measured, or ""."""
    program = shutil.which("rustberg")
    if program is None:
        return "", f"no rustberg on the PATH (cargo install rustberg --version {VERSION} --locked)"
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)  # noqa: S603
    if said.stdout.split() != ["rustberg", VERSION]:
        return (
            "",
            f"{program} is {said.stdout.strip() or 'another program'}, not rustberg {VERSION}",
        )
    return program, ""


def _loaded_many(server: Server, number: int) -> float:
    """Return the MB of a server after it registered and loaded so many tables."""
    open_namespace(server)
    folder = f"{server.warehouse}/{NAMESPACE}"
    tables = [Table(f"t{n}", f"{folder}/t{n}", 1) for n in range(number)]
    requests = [write(server, table) for table in tables]
    times(server, [requests[start::CONNECTIONS] for start in range(CONNECTIONS)])
    times(server, [[table.load() for table in tables]])
    return server.memory_bytes() / MEBIBYTE
