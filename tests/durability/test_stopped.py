"""A process is stopped while it holds the database: the others answer, and go on afterwards."""

import os
import re
import signal
import threading
from collections.abc import Iterator
from operator import gt
from pathlib import Path
from typing import Self

import pytest

from tests.durability import wire
from tests.durability.processes import Answer, Catalog
from tests.durability.requests import Request, requests
from tests.durability.store import Store
from tests.durability.test_faults import KINDS, works
from tests.processes import wait_for

TABLES = 4


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    catalog = Catalog(tmp_path, processes=3, server__threads=len(KINDS))
    try:
        catalog.start()
        with catalog.client() as client:
            client.ok("POST", wire.namespace(), {"namespace": ["ns"]})
            for number in range(TABLES):
                client.ok("POST", wire.table(""), wire.creation(f"h{number}", "start"))
        works(catalog, "warm")
        yield catalog
    finally:
        catalog.kill()  # this ends stopped ones, too


class Hammer:
    """Writers that commit one after another, until one of them is told to wait."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self.answers: list[list[Answer]] = [[] for _ in range(TABLES)]
        self._over = False
        self._threads = [threading.Thread(target=self._run, args=(n,)) for n in range(TABLES)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over = True
        for thread in self._threads:
            thread.join()

    def _run(self, number: int) -> None:
        answers = self.answers[number]
        while not self._over:
            with self.catalog.client() as client:
                change = wire.change(f"op{len(answers)}")
                answers.append(client.ask("POST", wire.table(f"h{number}"), change))

    def done(self) -> list[int]:
        """Return how many commits to each table are acknowledged."""
        return [sum(answer.done for answer in answers) for answers in self.answers]

    def check(self, store: Store) -> None:
        """Hold that each table is as its last effect left it, or what may have been one."""
        for number, answers in enumerate(self.answers):
            done = [n for n, answer in enumerate(answers) if answer.done]
            later = [n for n, answer in enumerate(answers) if answer.unknown and n > done[-1]]
            allowed = {f"op{n}" for n in [done[-1], *later]}
            assert store.tables()[f"ns.h{number}"] in allowed, answers[-3:]
            assert all(a.done or a.unknown or a.status == 503 for a in answers), answers


def holder(catalog: Catalog) -> int | None:
    """Return the worker that holds the lock between processes."""
    inode = Path(f"{catalog.store}-lock").stat().st_ino
    held = re.search(
        rf"^\d+: FLOCK +ADVISORY +WRITE +(\d+) \S+:{inode} ",
        Path("/proc/locks").read_text(),
        re.MULTILINE,
    )
    return int(held[1]) if held else None


def is_stopped(pid: int) -> bool:
    """Tell whether all threads of a process are: one may have to end a call first."""
    told = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/stat")]
    return all(line.rpartition(")")[2].split()[0] == "T" for line in told)


def stop_a_holder(catalog: Catalog) -> int:
    """Stop a worker at a moment when it holds the lock; return its number."""
    stopped = []

    def stopped_one() -> bool:
        pid = holder(catalog)
        if pid is None:
            return False
        os.kill(pid, signal.SIGSTOP)
        wait_for(lambda: is_stopped(pid), "its stop")
        if holder(catalog) == pid:
            stopped.append(pid)
            return True
        os.kill(pid, signal.SIGCONT)
        return False

    wait_for(stopped_one, "a worker that holds the lock")
    return stopped[0]


@pytest.mark.parametrize("ending", [signal.SIGCONT, signal.SIGKILL], ids=["goes on", "is killed"])
def test_a_stopped_process_keeps_nobody_waiting_for_ever(
    catalog: Catalog, ending: signal.Signals
) -> None:
    with catalog.client() as client:
        prepared = [(one, one.prepare(client)) for one in requests("f").values()]
    answers: dict[str, Answer] = {}

    def ask(one: Request, need: object) -> None:
        with catalog.client() as client:
            answers[one.kind] = one.ask(client, need)

    with Hammer(catalog) as hammer:
        stopped = stop_a_holder(catalog)
        try:
            threads = [threading.Thread(target=ask, args=told) for told in prepared]
            for thread in threads:
                thread.start()
            with catalog.client() as client:
                client.ok("GET", wire.table("h0"))  # who only reads does not wait
            for thread in threads:
                thread.join()
            assert holder(catalog) == stopped, (catalog.workers(), is_stopped(stopped))
            assert {(a.status, a.kind) for a in answers.values()} == {(503, "SlowDownException")}
            for one, _ in prepared:
                one.judge(answers[one.kind], Store(catalog.store))
            before = hammer.done()
        finally:
            os.kill(stopped, ending)
        wait_for(lambda: all(map(gt, hammer.done(), before)), "writers that go on")
    hammer.check(Store(catalog.store))
    works(catalog, "after")
    if ending == signal.SIGCONT:
        assert stopped in catalog.workers()
    assert catalog.stop() == 0
