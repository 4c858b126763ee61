"""Room, memory, rights or files are missing: answers stay right, and it passes."""

import contextlib
import os
import resource
import sqlite3
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.durability import wire
from tests.durability.processes import Answer, Catalog, Client
from tests.durability.requests import Request, requests
from tests.durability.store import Store, read_file
from tests.durability.test_faults import KINDS, WRITING, served, works

MEBIBYTE = 1024 * 1024


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    catalog = served(tmp_path)
    yield catalog
    catalog.kill()


@pytest.fixture
def client(catalog: Catalog) -> Iterator[Client]:
    with catalog.client() as client:
        yield client


def asked(client: Client, kinds: tuple[str, ...]) -> list[tuple[Request, object]]:
    """Return requests of these types, with what they need made."""
    return [(one, one.prepare(client)) for one in map(requests("f").__getitem__, kinds)]


@contextlib.contextmanager
def mounted(folder: Path, size: str) -> Iterator[None]:
    """Put a file system of its own, in memory, at a folder."""
    told = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)]
    done = subprocess.run(told, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextlib.contextmanager
def filled(folder: Path) -> Iterator[None]:
    """Leave no room on the file system of a folder."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    try:
        yield
    finally:
        filler.unlink()


@pytest.mark.parametrize("where", ["store", "lake"])
def test_a_full_disk(tmp_path: Path, where: str, tell: Callable[[str], None]) -> None:
    (tmp_path / where).mkdir()
    with mounted(tmp_path / where, "4m"), contextlib.ExitStack() as stack:
        catalog = served(tmp_path)
        stack.callback(catalog.kill)
        with catalog.client() as client:
            statuses = []
            prepared = asked(client, KINDS if where == "store" else WRITING)
            # The log is reused from its beginning once it was folded into the database: then
            # there is room in it, and none is missing.
            with filled(tmp_path / where):
                for one, need in prepared:
                    answer = one.ask(client, need)
                    statuses.append(answer.status)
                    one.judge(answer, Store(catalog.store))
                assert 503 in statuses
                with catalog.client() as reader:
                    reader.ok("GET", wire.table(""))
        works(catalog, "after")
        assert catalog.stop() == 0
        tell(str(statuses))


def test_a_file_size_limit(catalog: Catalog, client: Client, tell: Callable[[str], None]) -> None:
    """Needs no rights, and hits the log and metadata files alike."""
    prepared = asked(client, KINDS)
    before = resource.prlimit(catalog.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(catalog.pid, resource.RLIMIT_FSIZE, (100, before[1]))
    statuses = []
    for one, need in prepared:
        answer = one.ask(client, need)
        assert answer.status == 503, (one.kind, answer)
        statuses.append(answer.status)
        one.judge(answer, Store(catalog.store))
    resource.prlimit(catalog.pid, resource.RLIMIT_FSIZE, before)
    works(catalog, "after")
    assert catalog.stop() == 0
    tell(str(statuses))


def test_a_read_only_warehouse(tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    lake.mkdir()
    with contextlib.ExitStack() as stack:
        if os.geteuid() == 0:  # whom no mode of a folder keeps from writing
            stack.enter_context(mounted(lake, "4m"))
        catalog = served(tmp_path)
        stack.callback(catalog.kill)
        client = stack.enter_context(catalog.client())
        prepared = asked(client, WRITING)
        with read_only(lake):
            for one, need in prepared:
                answer = one.ask(client, need)
                assert answer.status == 503, (one.kind, answer)
                one.judge(answer, Store(catalog.store))
        works(catalog, "after")
        assert catalog.stop() == 0


@contextlib.contextmanager
def read_only(folder: Path) -> Iterator[None]:
    if os.geteuid() == 0:
        subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
        yield
        subprocess.run(["mount", "-o", "remount,rw", str(folder)], check=True)
        return
    below = [path for path in folder.rglob("*") if path.is_dir()]
    for path in below:
        path.chmod(0o555)
    yield
    for path in below:
        path.chmod(0o755)


def test_a_database_that_somebody_else_has_locked(tmp_path: Path) -> None:
    catalog = served(tmp_path, server__threads=len(KINDS))
    answers: dict[str, Answer] = {}

    def ask(one: Request, need: object) -> None:
        with catalog.client() as client:
            answers[one.kind] = one.ask(client, need)

    try:
        with catalog.client() as client:
            prepared = asked(client, KINDS)
            with contextlib.closing(sqlite3.connect(catalog.store, isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                threads = [threading.Thread(target=ask, args=told) for told in prepared]
                for thread in threads:
                    thread.start()
                client.ok("GET", wire.table(""))  # who only reads does not wait
                for thread in threads:
                    thread.join()
                other.execute("ROLLBACK")
            assert {answer.status for answer in answers.values()} == {503}
            for one, _ in prepared:
                one.judge(answers[one.kind], Store(catalog.store))
        works(catalog, "after")
        assert catalog.stop() == 0
    finally:
        catalog.kill()


@pytest.mark.parametrize("damage", ["gone", "truncated", "empty"])
def test_a_metadata_file_is_damaged(catalog: Catalog, damage: str) -> None:
    with catalog.client() as client:
        client.ok("POST", wire.table(""), wire.creation("hurt", "start"))
    assert catalog.stop() == 0  # what is in memory is not missed
    location = Store(catalog.store).pointers()["ns.hurt"]
    content, path = read_file(location), Path(location.removeprefix("file://"))
    path.unlink()
    if damage != "gone":
        path.write_bytes(content[: len(content) // 2] if damage == "truncated" else b"")
    catalog.start()
    body = {"table-changes": [wire.part("hurt", "op"), wire.part("twarm", "later")]}
    with catalog.client() as client:
        for answer in (
            client.ask("GET", wire.table("hurt")),
            client.ask("POST", wire.table("hurt"), wire.change("op")),
            client.ask("POST", "/v1/transactions/commit", body),
        ):
            expected = (404, "NotFoundException")
            if damage != "gone":
                expected = (500, "InternalServerError")
            assert (answer.status, answer.kind) == expected
            assert location in answer.body["error"]["message"]
        client.ok("HEAD", wire.table("hurt"))
        assert {"namespace": ["ns"], "name": "hurt"} in client.ok("GET", wire.table(""))[
            "identifiers"
        ]
        client.ok("POST", "/v1/tables/rename", wire.renaming("hurt", "hurt2"))
        path.write_bytes(content)
        assert client.ok("GET", wire.table("hurt2"))["metadata"]["properties"]["op"] == "start"
        client.ok("POST", wire.table("hurt2"), wire.change("mended"))
    assert Store(catalog.store).tables()["ns.hurt2"] == "mended"
    assert Store(catalog.store).tables()["ns.twarm"] == "op"
    works(catalog, "after")


@pytest.mark.parametrize("damage", ["gone", "truncated"])
def test_a_table_whose_metadata_is_damaged_can_be_dropped(catalog: Catalog, damage: str) -> None:
    with catalog.client() as client:
        client.ok("POST", wire.table(""), wire.creation("hurt", "start"))
        path = Path(Store(catalog.store).pointers()["ns.hurt"].removeprefix("file://"))
        if damage == "gone":
            path.unlink()
        else:
            path.write_bytes(path.read_bytes()[:100])
        client.ok("DELETE", wire.table("hurt"))
        client.ok("POST", wire.table(""), wire.creation("hurt", "again"))
    assert Store(catalog.store).tables()["ns.hurt"] == "again"


def test_memory_is_short(tmp_path: Path, tell: Callable[[str], None]) -> None:
    """At many limits, requests are refused, fail, or end the process; nothing is half there."""
    catalog = served(tmp_path)
    statuses: list[int | None] = []
    restarts = 0
    try:
        for number, spare in enumerate((0, 1, 2, 4, 8, 12, 16, 24, 32, 48)):
            with catalog.client() as client:
                every, big_table = requests(f"m{number}"), f"big{number}"
                client.ok("POST", wire.table(""), wire.creation(big_table, "start"))
                prepared = [(one, one.prepare(client)) for one in every.values()]
                limit_memory(catalog.pid, spare * MEBIBYTE)
                big = [client.ask("POST", wire.table(big_table), grown(n)) for n in range(4)]
                answers = [one.ask(client, need) for one, need in prepared]
                big += [client.ask("GET", wire.table(big_table))]
                statuses += [answer.status for answer in [*big, *answers]]
            if catalog.alive():
                limit_memory(catalog.pid, None)
            assert {answer.status for answer in big} <= {200, 500, 503, None}, big
            for (one, _), answer in zip(prepared, answers, strict=True):
                one.judge(answer, Store(catalog.store))
            if not catalog.alive():
                restarts += 1
                catalog.start()
        works(catalog, "after")
    finally:
        catalog.kill()
    tell(f"{ {status: statuses.count(status) for status in set(statuses)} }, {restarts} restarts")


def grown(number: int) -> dict[str, Any]:
    """Return a commit of a few hundred kilobytes, and some more each time."""
    change = wire.change("op")
    change["updates"][0]["updates"][f"big{number}"] = "x" * (100_000 * 3**number)
    return change


def limit_memory(pid: int, spare: int | None) -> None:
    """Let a process take only so much more address space than it has; None: any amount."""
    limits = resource.prlimit(pid, resource.RLIMIT_AS)
    now = int(Path(f"/proc/{pid}/statm").read_text().split()[0]) * resource.getpagesize()
    soft = limits[1] if spare is None else now + spare
    resource.prlimit(pid, resource.RLIMIT_AS, (soft, limits[1]))
