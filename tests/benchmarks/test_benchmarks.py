"""The benchmarks measure what they say, and hold it against the right bound."""

import gzip
import itertools
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from benchmarks import (
    apache,
    bench,
    cluster,
    on_postgres,
    rustberg,
    servers,
    statements,
    store,
    tables,
    wrk,
)
from benchmarks.client import Connection, Request, UnexpectedAnswerError, drive
from benchmarks.processes import Server
from benchmarks.rounds import Line, Sample, interleave, quotients
from falcon_catalog.store.sqlite import writer

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def ours(tmp_path: Path) -> Iterator[Server]:
    with servers.ours(tmp_path / "ours") as server:
        tables.open_namespace(server)
        yield server


@pytest.mark.parametrize(
    "goals",
    [
        ["4", "10"],
        ["12", "13", "scans", "signing", "vending", "memory"],
        ["14"],
        ["17"],
        ["s3"],
        ["postgres"],
        ["permissions"],
        ["pages"],
    ],
    ids="-".join,
)
def test_what_is_asked_is_measured_and_told(tmp_path: Path, goals: list[str]) -> None:
    report = measured(tmp_path, goals)
    assert list(dict.fromkeys(line["goal"] for line in report["lines"])) == goals
    assert report["machine"]["load generator"] in ("wrk", "benchmarks.client")
    for line in report["lines"]:
        assert all(value > 0 for value in line["values"])
        bounded = line["at_least"] is not None or line["at_most"] is not None
        assert (line["met"] is None) == (not bounded or not line["values"])
        assert line["values"] or line["note"]


def measured(folder: Path, goals: list[str], **environ: str) -> dict[str, Any]:
    """Return the report of a short run."""
    file, cache = folder / "report.json", folder / "cache"
    command = [sys.executable, "-m", "benchmarks", "--quick", "--goals", ",".join(goals)]
    done = subprocess.run(
        [*command, "--json", str(file), "--cache", str(cache)],
        cwd=REPOSITORY,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(file.read_text())
    assert all(line["text"] in done.stdout for line in report["lines"])
    assert not list(cache.glob("run-*"))
    return report


def test_an_unknown_goal_is_refused() -> None:
    command = [sys.executable, "-m", "benchmarks", "--goals", "4,99"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "no goal '99'" in done.stderr


@pytest.mark.parametrize(
    ("values", "bounds", "met"),
    [
        ((1.0, 3.0, 9.0), {"at_least": 3.0}, True),
        ((1.0, 2.9, 9.0), {"at_least": 3.0}, False),
        ((1.0, 2.0, 9.0), {"at_most": 2.0}, True),
        ((1.0, 2.1, 9.0), {"at_most": 2.0}, False),
        ((1.0, 2.0, 9.0), {"at_most": 2.0, "judged": "worst"}, False),
        ((0.8,), {"at_least": 0.85, "at_most": 1.15}, False),
        ((1.2,), {"at_least": 0.85, "at_most": 1.15}, False),
        ((1.0,), {"at_least": 0.85, "at_most": 1.15}, True),
        ((1.0,), {}, None),
        ((), {"at_least": 1.0}, None),
    ],
)
def test_a_goal_is_met_by_what_was_measured(
    values: tuple[float, ...], bounds: dict[str, float], met: bool | None
) -> None:
    assert Line("1", "text", values, **bounds).met is met


def test_rounds_take_turns() -> None:
    order: list[str] = []
    cells = {name: lambda name=name: order.append(name) for name in "ABC"}
    interleave(2, cells)
    assert "".join(order) == "ABCABC"
    assert quotients([4, 9], [2, 3]) == (2, 3)


def test_naive_and_ours_do_the_same_work(tmp_path: Path, ours: Server) -> None:
    with servers.naive(tmp_path / "naive") as naive:
        _do_the_same_work(naive, ours)


@pytest.mark.skipif(apache.missing_tools() != "", reason=apache.missing_tools())
def test_apache_and_ours_do_the_same_work(tmp_path: Path, ours: Server) -> None:
    classpath = apache.fetch(tmp_path)
    with servers.apache(tmp_path / "apache", classpath) as server:
        _do_the_same_work(server, ours)
        long = tables.put(server, "long", 1000)
        with Connection(server.address) as connection:
            answer = connection.ask(long.load())
            assert answer.header("transfer-encoding") == "chunked"
            assert len(answer.json()["metadata"]["snapshots"]) == 1000
            compressed = connection.ask(long.load(bench.GZIP))
            assert gzip.decompress(compressed.body) == answer.body
    assert (tmp_path / "apache" / "catalog.db").is_file()


def test_without_java_goal_14_is_skipped_with_a_note(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    [line] = apache.goal(bench.Bench(tmp_path / "run", tmp_path))
    assert (line.goal, line.values, line.met) == ("14", (), None)
    assert line.note.startswith("skipped: no java, no javac, no mvn on the PATH")


def test_when_maven_fails_goal_14_is_skipped_with_a_note(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for tool in ("java", "javac", "mvn"):
        (tmp_path / tool).write_text("#!/bin/sh\nexit 1\n")
        (tmp_path / tool).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    [line] = apache.goal(bench.Bench(tmp_path / "run", tmp_path))
    assert (line.values, line.note) == ((), "skipped: mvn failed")
    assert not list(tmp_path.glob("apache-*"))


@pytest.mark.skipif(cluster.missing() != "", reason=cluster.missing())
def test_a_server_on_postgresql_keeps_its_tables_in_the_cluster(tmp_path: Path) -> None:
    with cluster.durable() as database:
        assert database.sql("SHOW fsync") == [("on",)]
        with servers.ours(tmp_path / "ours", store=database.schema("ours")) as server:
            tables.open_namespace(server)
            tables.put(server, "t", 1)
        assert database.sql("SELECT name FROM ours.tabulars") == [("t",)]
    assert not database.folder.exists()


def test_without_postgresql_its_goal_is_skipped_with_a_note(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "_programs", lambda: None)
    [line] = on_postgres.goal(bench.Bench(tmp_path / "run", tmp_path))
    assert (line.goal, line.values, line.met) == ("postgres", (), None)
    assert line.note.startswith("skipped: ")


@pytest.mark.skipif(rustberg.find()[1] != "", reason=rustberg.find()[1])
def test_rustberg_and_ours_do_the_same_work(tmp_path: Path, ours: Server) -> None:
    with servers.rustberg(tmp_path / "rustberg", rustberg.find()[0]) as server:
        _do_the_same_work(server, ours)


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("", "no rustberg on the PATH (cargo install rustberg --version 0.3.0 --locked)"),
        ("echo rustberg 0.4.0", "is rustberg 0.4.0, not rustberg 0.3.0"),
        ("exit 1", "is another program, not rustberg 0.3.0"),
    ],
)
def test_without_the_rustberg_that_is_meant_goal_17_is_skipped_with_a_note(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, reason: str
) -> None:
    if program:
        (tmp_path / "rustberg").write_text(f"#!/bin/sh\n{program}\n")
        (tmp_path / "rustberg").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    [line] = rustberg.goal(bench.Bench(tmp_path / "run", tmp_path))
    assert (line.goal, line.values, line.met) == ("17", (), None)
    assert line.note.startswith("skipped: ")
    assert line.note.endswith(reason)


def _do_the_same_work(*compared: Server) -> None:
    tables.open_namespace(compared[0])
    for server in compared:
        for codec in ("none", "gzip"):
            table = tables.put(server, f"t-{codec}", 3, codec=codec)
            bench.times(server, [itertools.islice(table.appends(bench.GZIP), 2)])
            with Connection(server.address) as connection:
                metadata = connection.ask(table.load()).json()["metadata"]
            # rustberg keeps snapshots in no order
            assert sorted(one["snapshot-id"] for one in metadata["snapshots"]) == [1, 2, 3, 4, 5]
            assert metadata["current-snapshot-id"] == 5
            assert metadata["table-uuid"] == table.uuid
            assert len(metadata["snapshot-log"]) == 5


def test_an_answer_that_is_an_error_is_never_measured(ours: Server) -> None:
    missing = Request(f"/v1/namespaces/{tables.NAMESPACE}/tables/missing")
    with Connection(ours.address) as connection, pytest.raises(UnexpectedAnswerError, match="404"):
        connection.ask(missing)
    with pytest.raises(UnexpectedAnswerError, match="404"):
        drive(ours.address, [[missing]], 1)
    driven = drive(ours.address, [[missing, missing]], 9, passed_over=[404])
    assert (driven.statuses, driven.latencies) == ({404: 2}, [[]])
    if tool := wrk.path():
        with pytest.raises(ValueError, match="Non-2xx"):
            wrk.run(tool, ours.address, missing, 1, 1)


def test_a_rate_is_measured_without_wrk(ours: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wrk, "path", lambda: None)
    table = tables.put(ours, "t", 1)
    sample = bench.rate(ours, table.load(bench.GZIP), 1, connections=3)
    assert sample.answers == len(sample.latencies) > 3
    # A clock's tick is what the time of a processor is told in.
    assert 0 < sample.cpu_seconds <= sample.seconds * 8


def test_a_sample_tells_rate_and_cost() -> None:
    sample = Sample(answers=4, seconds=2.0, cpu_seconds=0.001, latencies=[0.001, 0.002, 0.009])
    assert (sample.rate, sample.cpu_us, sample.p50_ms) == (2.0, 250.0, 2.0)


def test_connections_that_are_closed_after_each_answer_are_opened_again() -> None:
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))

        def answer() -> None:
            for _ in range(6):
                with listener.accept()[0] as peer:
                    peer.settimeout(10)
                    if peer.recv(1000):
                        peer.sendall(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        stack.callback(thread.join, 10)
        driven = drive(listener.getsockname(), [[Request("/")] * 5], 10)
    assert (driven.statuses, len(driven.latencies[0])) == ({204: 5}, 5)


def test_answers_in_pieces_are_put_together_and_closed_connections_opened_again() -> None:
    answers = [
        [b"HTTP/1.1 200 OK\r\nContent-Le", b'ngth: 5\r\nETag: "x"\r\n\r\nhe', b"llo"],
        [b"HTTP/1.1 304 Not Modified\r\nConnection: close\r\n\r\n"],
        [b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"],
        [
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
            b"lo\r\n1\r\n,\r\n0A;x=",
            b"y\r\n by\r\n0\r\nye\r\n0\r",
            b"\n\r\n",
        ],
    ]
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))

        def answer() -> None:
            peer = listener.accept()[0]
            for number, pieces in enumerate(answers):
                peer.recv(1000)
                for piece in pieces:
                    peer.sendall(piece)
                if number == 1:
                    peer.close()
                    peer = listener.accept()[0]
            peer.close()

        thread = threading.Thread(target=answer)
        thread.start()
        stack.callback(thread.join, 10)
        with Connection(listener.getsockname()) as connection:
            first = connection.ask(Request("/"))
            assert (first.body, first.header("etag"), first.status) == (b"hello", '"x"', 200)
            assert connection.ask(Request("/"), 304).body == b""
            assert connection.ask(Request("/")).body == b""
            assert connection.ask(Request("/")).body == b"hello, by\r\n0\r\nye"


def test_without_group_commit_each_change_is_a_transaction(tmp_path: Path) -> None:
    with store.opened(tmp_path) as database:
        store.fill(database, "ns", [(f"t{n}", f"/nowhere/t{n}/metadata/0.json") for n in range(8)])
        before = writer._LARGEST_BATCH
        assert store._swaps(database, 1, 0.2) > 0
        assert before == writer._LARGEST_BATCH
        assert database.writer.changes == database.writer.batches > 8


def test_the_test_that_counts_statements_is_there() -> None:
    assert (REPOSITORY / statements.TEST).is_file()
