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
from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks import servers
from benchmarks.bench import GZIP, Bench, rate
from benchmarks.client import Request
from benchmarks.commits import appending, p50s
from benchmarks.loads import rates
from benchmarks.rounds import Line, Sample, cpu, interleave, quotients
from benchmarks.starts import first_answer
from benchmarks.tables import open_namespace, put

_JAVA = Path(__file__).resolve().parent / "java"
_ROUNDS = 5
_STARTS = 3
_LOADS = {"loadTable at 1, plain": (1, (), 4.0), "loadTable at 1,000, gzip": (1000, (GZIP,), 25.0)}
_COMMITS = {1: 4.0, 100: 4.0, 1000: 8.0}
_COMMITS_A_ROUND = 20
_MEBIBYTE = 1024 * 1024


def goal(bench: Bench) -> list[Line]:
    """Goal 14: loads, commits, memory and start beside Apache's server, with the same tables."""
    if lacking := missing_tools():
        return [_skipped(lacking)]
    try:
        classpath = fetch(bench.cache)
    except subprocess.CalledProcessError as error:
        return [_skipped(f"{error.cmd[0]} failed")]
    place = bench.place("apache")
    serve = {
        "ours": partial(servers.ours, place / "ours"),
        "apache": partial(servers.apache, place / "apache", classpath),
    }
    cells: dict[str, Callable[[], Sample]] = {}
    first: dict[str, Request] = {}
    with serve["ours"]() as ours, serve["apache"]() as apache:
        for name, server in (("ours", ours), ("apache", apache)):
            open_namespace(server)
            for text, (size, headers, _) in _LOADS.items():
                request = put(server, f"s{size}", size).load(*headers)
                cells[f"{name}: {text}"] = partial(rate, server, request, bench.seconds)
                first.setdefault(name, request)
            for size in _COMMITS:
                cells[f"{name}: {size}"] = appending(server, size, "none", _COMMITS_A_ROUND)
        interleave(1, cells)  # what Java runs often it compiles first
        found = interleave(min(bench.rounds, _ROUNDS), cells)
        memory = {server.name: server.memory_bytes() / _MEBIBYTE for server in (ours, apache)}
    started = {name: partial(first_answer, serve[name], first[name]) for name in serve}
    starts = interleave(min(bench.rounds, _STARTS), started)
    return [
        *(_load(text, bound, found) for text, (_, _, bound) in _LOADS.items()),
        *(_commit(size, bound, found) for size, bound in _COMMITS.items()),
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


def missing_tools() -> str:
    """Return what this machine lacks to run Apache's server, or ""."""
    absent = [tool for tool in ("java", "javac", "mvn") if shutil.which(tool) is None]
    return f"no {', no '.join(absent)} on the PATH (it needs a JDK 17 and Maven)" if absent else ""


def fetch(cache: Path) -> str:
    """Return the classpath of Apache's server, which Maven fetches once.

    Args:
        cache: a folder in which the jars stay.

    Raises:
        subprocess.CalledProcessError: Maven or javac failed; they have said why.
    """
    pom, source = _JAVA / "pom.xml", _JAVA / "Listening.java"
    digest = hashlib.sha256(pom.read_bytes() + source.read_bytes()).hexdigest()
    folder = cache / f"apache-{digest[:12]}"
    if not folder.exists():
        with tempfile.TemporaryDirectory(dir=cache) as name:
            fresh = Path(name) / "jars"
            maven = ["mvn", "--batch-mode", "--quiet", f"--file={pom}"]
            copy = ["dependency:copy-dependencies", f"-DoutputDirectory={fresh}"]
            # What is run is what this file and its folder say.
            subprocess.run([*maven, *copy], check=True)  # noqa: S603
            compiler = ["javac", "-proc:none", "-cp", f"{fresh}/*", "-d", str(fresh), str(source)]
            subprocess.run(compiler, check=True)  # noqa: S603
            fresh.rename(folder)
    return f"{folder}/*{os.pathsep}{folder}"


def _skipped(reason: str) -> Line:
    return Line("14", "beside Apache's RESTCatalogServer", note=f"skipped: {reason}")


def _load(text: str, bound: float, found: dict[str, list[Sample]]) -> Line:
    ours, apache = found[f"ours: {text}"], found[f"apache: {text}"]
    return Line(
        "14",
        f"{text}: rate over that of Apache's server",
        quotients(rates(ours), rates(apache)),
        at_least=bound,
        cpu_us=cpu(ours=ours, apache=apache),
        note=", ".join(f"{statistics.median(rates(some)):.0f}" for some in (ours, apache))
        + " a second",
    )


def _commit(size: int, bound: float, found: dict[str, list[Sample]]) -> Line:
    ours, apache = found[f"ours: {size}"], found[f"apache: {size}"]
    return Line(
        "14",
        f"durable commit at {size:,}, plain metadata: p50 of Apache's server over ours",
        quotients(p50s(apache), p50s(ours)),
        at_least=bound,
        cpu_us=cpu(ours=ours, apache=apache),
        note=", ".join(f"{statistics.median(p50s(some)):.2f} ms" for some in (ours, apache)),
    )
