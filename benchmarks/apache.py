"""Beside Apache's own server: goal 14.

``RESTCatalogServer`` is the reference server that clients are tested with: Iceberg's Java library
behind Jetty, with a JdbcCatalog on SQLite. Maven fetches what ``java/pom.xml`` lists.
"""

import hashlib
import os
import shutil
import statistics
import subprocess
import tempfile
from functools import partial
from pathlib import Path

from benchmarks import peers, servers
from benchmarks.bench import GZIP, Bench
from benchmarks.rounds import Line, interleave, quotients
from benchmarks.starts import MEBIBYTE, first_answer
from benchmarks.tables import Table, open_namespace

_JAVA = Path(__file__).resolve().parent / "java"
PEER = ("apache", "Apache's server")
_ROUNDS = 5
_STARTS = 3
_LOADS: peers.Loads = {
    "loadTable at 1, plain": (1, (), 4.0),
    "loadTable at 1,000, gzip": (1000, (GZIP,), 25.0),
}
_COMMITS: peers.Commits = {1: 4.0, 100: 4.0, 1000: 8.0}


def goal(bench: Bench) -> list[Line]:
    """Goal 14: loads, commits, memory and start beside Apache's server, with the same tables."""
    classpath, absent = prepare(bench.cache)
    if absent:
        return [Line("14", "beside Apache's RESTCatalogServer", note=f"skipped: {absent}")]
    place = bench.place("apache")
    serve = {
        "ours": partial(servers.ours, place / "ours"),
        "apache": partial(servers.apache, place / "apache", classpath),
    }
    with serve["ours"]() as ours, serve["apache"]() as apache:
        cells: peers.Cells = {}
        for server in (ours, apache):
            open_namespace(server)
            cells |= peers.cells(bench, server, _LOADS, _COMMITS)
        interleave(1, cells)  # what Java runs often it compiles first
        found = interleave(min(bench.rounds, _ROUNDS), cells)
        memory = {server.name: server.memory_bytes() / MEBIBYTE for server in (ours, apache)}
    small = Table("s1", "", 1).load()
    started = {name: partial(first_answer, serve[name], small) for name in serve}
    starts = interleave(min(bench.rounds, _STARTS), started)
    return [
        *peers.load_lines("14", PEER, _LOADS, found),
        *peers.commit_lines("14", PEER, _COMMITS, found),
        Line(
            "14",
            "memory after the run: Apache's server's over ours",
            (memory["apache"] / memory["ours"],),
            at_least=6,
            note=f"{memory['ours']:.0f} MB, {memory['apache']:.0f} MB",
        ),
        Line(
            "14",
            "cold start to the first loaded table: Apache's server's over ours",
            quotients(starts["apache"], starts["ours"]),
            at_least=8,
            note=", ".join(f"{statistics.median(starts[name]):.0f} ms" for name in serve),
        ),
    ]


def prepare(cache: Path, *profiles: str) -> tuple[str, str]:
    """Return the classpath of Apache's server, as ``fetch``, and why it cannot run, or ""."""
    if absent := missing_tools():
        return "", absent
    try:
        return fetch(cache, *profiles), ""
    except subprocess.CalledProcessError as error:
        return "", f"{error.cmd[0]} failed"


def missing_tools() -> str:
    """Return what this machine lacks to run Apache's server, or ""."""
    absent = [tool for tool in ("java", "javac", "mvn") if shutil.which(tool) is None]
    return f"no {', no '.join(absent)} on the PATH (it needs a JDK 17 and Maven)" if absent else ""


def fetch(cache: Path, *profiles: str) -> str:
    """Return the classpath of Apache's server, which Maven fetches once.

    Args:
        cache: a folder in which the jars stay.
        profiles: of the pom, for jars that only some measurements need.

    Raises:
        subprocess.CalledProcessError: Maven or javac failed; they have said why.
    """
    pom, source = _JAVA / "pom.xml", _JAVA / "Listening.java"
    digest = hashlib.sha256(pom.read_bytes() + source.read_bytes()).hexdigest()
    folder = cache / "-".join(("apache", *profiles, digest[:12]))
    if not folder.exists():
        with tempfile.TemporaryDirectory(dir=cache) as name:
            fresh = Path(name) / "jars"
            maven = ["mvn", "--batch-mode", "--quiet", f"--file={pom}"]
            maven += [f"--activate-profiles={name}" for name in profiles]
            copy = ["dependency:copy-dependencies", f"-DoutputDirectory={fresh}"]
            # What is run is what this file and its folder say.
            subprocess.run([*maven, *copy], check=True)  # noqa: S603
            compiler = ["javac", "-proc:none", "-cp", f"{fresh}/*", "-d", str(fresh), str(source)]
            subprocess.run(compiler, check=True)  # noqa: S603
            fresh.rename(folder)
    return f"{folder}/*{os.pathsep}{folder}"
