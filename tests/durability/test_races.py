"""Clients race for a few names: what all of them were told can have happened in one order."""

import functools
import random
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.durability import wire
from tests.durability.linear import UNKNOWN, Op, linearizable
from tests.durability.processes import PROCESSES, SCALE, SEED, Answer, Catalog, Client
from tests.processes import wait_for

HISTORIES = max(1, round(10 * SCALE))
CLIENTS = 6
OPS = 70  # of each client in each history
NAMES = ("a", "b", "c")

Names = frozenset[tuple[str, str]]


def apply(names: Names, op: Op) -> tuple[Names, ...]:
    """Return what an operation leaves of the names, each with the operation that made it so."""
    kind, name, value = op.what
    now = dict(names)
    if op.told == "unknown":
        return (names, *_effect(now, kind, name, value))
    if op.told == "absent":
        return () if name in now else (names,)
    if op.told == "taken":
        return (names,) if (value if kind == "rename" else name) in now else ()
    if op.told == "nothing":
        return (names,)
    if kind == "load":
        return (names,) if now.get(name) == op.told else ()
    return _effect(now, kind, name, value)


def _effect(now: dict[str, str], kind: str, name: str, value: str) -> tuple[Names, ...]:
    """Return what is left if the effect is possible."""
    if kind == "create":
        return () if name in now else (frozenset({**now, name: value}.items()),)
    if name not in now:
        return ()
    if kind == "commit":
        return (frozenset({**now, name: value}.items()),)
    version = now.pop(name)
    if kind == "rename":
        return (
            () if value in now or value == name else (frozenset({**now, value: version}.items()),)
        )
    return (frozenset(now.items()),)


class Racer:
    """One client of a history."""

    def __init__(self, client: Client, name: str, seed: str) -> None:
        self.history: list[Op] = []
        self._client = client
        self._name = name
        self._chance = random.Random(f"{seed} {name}")

    def run(self, up: threading.Event) -> None:
        for number in range(OPS):
            up.wait()
            self._one(f"{self._name}-{number}")
        self._client.close()

    def _one(self, op: str) -> None:
        kind = self._chance.choice(("create", "create", "commit", "drop", "rename", "load", "load"))
        name, other = self._chance.sample(NAMES, 2)
        value = {"rename": other, "load": "", "drop": ""}.get(kind, op)
        began = time.monotonic()
        answer = self._ask(kind, name, value)
        told = _told(kind, answer)
        if kind == "load" and told == "unknown":
            return
        ended = UNKNOWN if told == "unknown" else time.monotonic()
        self.history.append(Op((kind, name, value), told, began, ended))

    def _ask(self, kind: str, name: str, value: str) -> Answer:
        ask = self._client.ask
        if kind == "create":
            return ask("POST", wire.table(""), wire.creation(name, value))
        if kind == "commit":
            return ask("POST", wire.table(name), wire.change(value))
        if kind == "rename":
            return ask("POST", "/v1/tables/rename", wire.renaming(name, value))
        return ask("GET" if kind == "load" else "DELETE", wire.table(name))


def _told(kind: str, answer: Answer) -> str:
    if answer.done:
        return answer.body["metadata"]["properties"]["op"] if kind == "load" else "done"
    if answer.kind in ("NoSuchTableException", "NoSuchNamespaceException"):
        return "absent"
    if answer.kind == "AlreadyExistsException":
        return "taken"
    if answer.refused:
        # Overtaken too often, or the server could not: nothing was done.
        assert answer.status in (409, 503), answer
        return "nothing"
    return "unknown"


@pytest.fixture(params=PROCESSES)
def catalog(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Catalog]:
    catalog = Catalog(tmp_path, processes=request.param)
    catalog.start()
    client = catalog.client()
    client.ok("POST", wire.namespace(), {"namespace": ["ns"]})
    client.close()
    yield catalog
    catalog.kill()


@pytest.mark.parametrize("kills", [0, 1], ids=["undisturbed", "killed"])
def test_races_for_names_have_an_order(
    catalog: Catalog, kills: int, tell: Callable[[str], None]
) -> None:
    total, unknown = 0, 0
    for number in range(HISTORIES):
        history = race(catalog, f"{SEED} {number}", kills)
        total += len(history)
        unknown += sum(op.told == "unknown" for op in history)
        assert linearizable(history, frozenset(), apply), f"seed {SEED}, history {number}"
        clear(catalog)
    tell(f"seed {SEED}: {HISTORIES} histories, {total} operations, {unknown} unknown")


def race(catalog: Catalog, seed: str, kills: int) -> list[Op]:
    up = threading.Event()
    racers = [Racer(catalog.client(), f"c{number}", seed) for number in range(CLIENTS)]
    threads = [threading.Thread(target=racer.run, args=(up,)) for racer in racers]
    for thread in threads:
        thread.start()
    up.set()
    chance = random.Random(seed)
    for _ in range(kills):
        enough = functools.partial(_are_done, racers, chance.randrange(CLIENTS * OPS // 2))
        wait_for(enough, "operations")
        up.clear()
        catalog.kill()
        catalog.start()
        up.set()
    for thread in threads:
        thread.join()
    return [op for racer in racers for op in racer.history]


def _are_done(racers: list[Racer], count: int) -> bool:
    return sum(len(racer.history) for racer in racers) >= count


def clear(catalog: Catalog) -> None:
    """Drop what is there, for the next history begins with nothing."""
    client = catalog.client()
    for identifier in client.ok("GET", wire.table(""))["identifiers"]:
        client.ok("DELETE", wire.table(identifier["name"]))
    client.close()


def test_the_model_finds_a_table_that_is_made_twice() -> None:
    history = [
        Op(("create", "a", "x"), "done", 0, 1),
        Op(("create", "a", "y"), "done", 2, 3),
    ]
    assert not linearizable(history, frozenset(), apply)
    history.insert(1, Op(("rename", "a", "b"), "unknown", 0.5, UNKNOWN))
    assert linearizable(history, frozenset(), apply)


def test_the_model_finds_a_table_that_is_there_after_its_drop() -> None:
    history = [
        Op(("create", "a", "x"), "done", 0, 1),
        Op(("drop", "a", ""), "done", 2, 3),
        Op(("load", "a", ""), "x", 4, 5),
    ]
    assert not linearizable(history, frozenset(), apply)
    assert linearizable(history[:2], frozenset(), apply)
