"""Writers that hammer a catalog which is killed and started again, and remember what they saw."""

import contextlib
import random
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from tests.durability import wire
from tests.durability.linear import UNKNOWN, Read, Write, broken_chains
from tests.durability.processes import SEED, Answer, Catalog, Client
from tests.durability.sessions import Session, State, Step
from tests.durability.store import Store
from tests.processes import wait_for

SHARED = ("h0", "h1", "h2")
_UNAVAILABLE = 503
_CONFLICT = 409
_BACK_OFF_SECONDS = 0.02


class Crowd:
    """Threads that work while the catalog is up, and wait at a gate while it is not."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self.answered = 0
        """Acknowledged effects so far."""
        self.failure: BaseException | None = None
        self._up = threading.Event()
        self._over = threading.Event()
        self._guard = threading.Lock()
        self._parked = 0
        self._threads: list[threading.Thread] = []
        self._clients: list[Client] = []

    def client(self) -> Client:
        """Return a connection that is closed in the end."""
        self._clients.append(self.catalog.client())
        return self._clients[-1]

    def add(self, work: Callable[[], None]) -> None:
        """Let ``work`` be done again and again, in a thread of its own."""
        thread = threading.Thread(target=self._run, args=(work,))
        self._threads.append(thread)
        thread.start()

    def _run(self, work: Callable[[], None]) -> None:
        try:
            while self.wait_until_up():
                work()
        except BaseException as error:  # noqa: BLE001 - told by who waits for this thread
            self.failure = error

    def wait_until_up(self) -> bool:
        """Wait while the catalog is down; return False when it is over."""
        if not self._up.is_set():
            with self._guard:
                self._parked += 1
            self._up.wait()
            with self._guard:
                self._parked -= 1
        return not self._over.is_set()

    def back_off(self) -> None:
        """Wait a moment, as clients do that get 503 with Retry-After."""
        self._over.wait(_BACK_OFF_SECONDS)

    def count(self) -> None:
        with self._guard:
            self.answered += 1

    def go(self) -> None:
        self._up.set()

    def wait_for_answers(self, count: int) -> None:
        """Wait until so many more effects were acknowledged."""
        until = self.answered + count
        wait_for(lambda: self.failure is not None or self.answered >= until, "answers")
        self.check()

    def halt(self) -> None:
        """Let nobody begin anything new."""
        self._up.clear()

    def wait_until_parked(self) -> None:
        threads = len(self._threads)
        wait_for(lambda: self.failure is not None or self._parked == threads, "writers to wait")
        self.check()

    def check(self) -> None:
        if self.failure is not None:
            raise self.failure

    def end(self) -> None:
        self._over.set()
        self._up.set()
        for thread in self._threads:
            thread.join()
        for client in self._clients:
            client.close()


class Loner:
    """Works through a session; after a cut-off answer it asks again, or looks what was done."""

    def __init__(self, crowd: Crowd, name: str, seed: int) -> None:
        self.session = Session(name, seed)
        self.step: Step | None = None
        """What was begun and not yet known."""
        self.repeated = 0
        self._crowd = crowd
        self._client = crowd.client()

    def work(self) -> None:
        step = self.step or self.session.next()
        if self.step is not None and not step.key:
            found = State.of(self._crowd.catalog.look()).seen(self.session.name)
            self._conclude(done=found == step.after)
            return
        is_repeated = self.step is not None
        self.repeated += is_repeated
        self.step = step
        answer = step.send(self._client)
        assert answer.done or answer.unknown or answer.status == 503, (step, answer)
        if answer.done:
            self._crowd.count()
            self._conclude(done=True)
        elif answer.refused and not (is_repeated and answer.status == _UNAVAILABLE):
            self._conclude(done=False)  # a 503 says nothing of what was asked before
        if not answer.done:
            self._crowd.back_off()

    def _conclude(self, *, done: bool) -> None:
        assert self.step is not None
        if done:
            self.session.state = self.step.after
        self.step = None

    def wrong(self, found: State) -> str:
        """Say what is wrong with what a store holds of this session, or nothing."""
        seen = found.seen(self.session.name)
        allowed = [self.session.state] + ([self.step.after] if self.step else [])
        return "" if seen in allowed else f"{allowed} expected, {seen} found, {self.step}"


class Rival:
    """Commits to tables that others commit to, too, and writes down what it was told."""

    def __init__(self, crowd: Crowd, name: str, seed: int) -> None:
        self.name = name
        self.writes: list[Write] = []
        self.reads: list[Read] = []
        self.repeated = 0
        self._crowd = crowd
        self._client = crowd.client()
        self._chance = random.Random(f"{seed} {name}")
        self._drawn = 0

    def work(self) -> None:
        self._drawn += 1
        op = f"{self.name}-{self._drawn}"
        kind = self._chance.choice(("commit", "swap", "swap", "transaction", "read"))
        if kind == "transaction":
            names = tuple(self._chance.sample(SHARED, self._chance.choice((2, 3))))
            body = {"table-changes": [wire.part(name, op) for name in names]}
            self._write(op, names, "/v1/transactions/commit", body)
            return
        name = self._chance.choice(SHARED)
        if kind == "commit":
            self._write(op, (name,), wire.table(name), wire.change(op))
            return
        metadata = self._read(name)
        if metadata is not None and kind == "swap":
            self._swap(op, name, metadata)

    def _read(self, name: str) -> Any:
        began = time.monotonic()
        answer = self._client.ask("GET", wire.table(name))
        if not answer.done:
            self._crowd.back_off()
            return None
        location = answer.body["metadata-location"]
        self.reads.append(Read(name, location, began, time.monotonic()))
        return answer.body["metadata"]

    def _swap(self, op: str, name: str, metadata: Any) -> None:
        at = metadata.get("current-snapshot-id")
        at = None if at in (None, -1) else at
        snapshot = uuid.uuid5(uuid.NAMESPACE_OID, op).int >> 66
        updates = wire.appended(metadata, snapshot, op)
        body = wire.change(op, *updates, requirements=(wire.at_snapshot(at),))
        expected = next(
            (
                one["summary"]["op"]
                for one in metadata.get("snapshots", ())
                if one["snapshot-id"] == at
            ),
            "none",
        )
        self._write(op, (name,), wire.table(name), body, expected=expected)

    def _write(
        self, op: str, tables: tuple[str, ...], path: str, body: object, *, expected: str = ""
    ) -> None:
        keyed = self._chance.random() < 0.5
        key = str(uuid.uuid5(uuid.NAMESPACE_OID, op)) if keyed else ""
        began = time.monotonic()
        answer = self._client.ask("POST", path, body, key=key)
        is_open = answer.unknown
        while keyed and is_open and self._crowd.wait_until_up():
            self._crowd.back_off()
            self.repeated += 1
            answer = self._client.ask("POST", path, body, key=key)
            is_open = answer.unknown or answer.status == _UNAVAILABLE
        outcome = "unknown" if is_open else "done" if answer.done else "refused"
        assert answer.status in (200, 204, 409, 503, 500, None), answer
        ended = UNKNOWN if is_open else time.monotonic()
        location = _location(answer)
        self.writes.append(Write(op, tables, outcome, began, ended, location, expected))
        if answer.done:
            self._crowd.count()
        elif answer.status != _CONFLICT:
            self._crowd.back_off()


def _is_created(client: Client, path: str, body: object) -> bool:
    answer = client.ask("POST", path, body)
    assert answer.done or answer.status == _UNAVAILABLE, answer
    return answer.done


def _location(answer: Answer) -> str:
    return answer.body["metadata-location"] if answer.done and answer.body else ""


class Chains:
    """The versions of the shared tables, followed as they grow."""

    def __init__(self) -> None:
        self.versions: dict[str, list[tuple[str, str]]] = {name: [] for name in SHARED}

    def follow(self, store: Store) -> None:
        """Add what came since the last look; it must go on from there."""
        pointers = store.pointers()
        for name, versions in self.versions.items():
            location = pointers[f"ns.{name}"]
            metadata = store.metadata(location)
            chain = [entry["metadata-file"] for entry in metadata["metadata-log"]] + [location]
            if versions:
                last = versions[-1][0]
                assert last in chain, f"{name} does not go on from {last}"
                chain = chain[chain.index(last) + 1 :]
            versions += [(one, store.metadata(one)["properties"]["op"]) for one in chain]


def prepare(catalog: Catalog) -> None:
    """Make the shared tables."""
    client = catalog.client()
    client.ok("POST", wire.namespace(), {"namespace": ["ns"]})
    for name in SHARED:
        body = wire.creation(name, "start")
        body["properties"]["write.metadata.previous-versions-max"] = "200"
        # 503: a server looked before another one had written the warehouse's marker.
        wait_for(partial(_is_created, client, wire.table(""), body), "the shared tables")
    client.close()


def states_of(loners: Sequence[Loner], store: Store) -> list[str]:
    """Return what is wrong with what a store holds of the sessions."""
    found = State.of(store)
    return [said for said in (loner.wrong(found) for loner in loners) if said]


class Hammering:
    """Writers to tables of their own, and as many to shared ones, and what a store must hold."""

    def __init__(self, catalog: Catalog, writers: int) -> None:
        """Make the shared tables, and start the writers: they wait for ``crowd.go``."""
        prepare(catalog)
        self._catalog = catalog
        self.crowd = Crowd(catalog)
        self._chains = Chains()
        self._loners = [Loner(self.crowd, f"s{number}", SEED) for number in range(writers)]
        self._rivals = [Rival(self.crowd, f"r{number}", SEED) for number in range(writers)]
        for one in [*self._loners, *self._rivals]:
            self.crowd.add(one.work)

    def examine(self) -> None:
        """Hold that the store is sound, and has what was acknowledged."""
        store = self._catalog.look()
        store.check()
        self._chains.follow(store)
        wrong = states_of(self._loners, store)
        assert not wrong, wrong

    def finish(self) -> None:
        """Let some more be done, and end; hold that all of it is there, once, in one order."""
        self.crowd.go()
        self.crowd.wait_for_answers(20)
        self.crowd.halt()
        self.crowd.wait_until_parked()
        self.crowd.end()
        self.crowd.check()
        self.examine()
        writes = [write for rival in self._rivals for write in rival.writes]
        reads = [read for rival in self._rivals for read in rival.reads]
        outcomes = Counter(write.outcome for write in writes)
        self.summary = (
            f"seed {SEED}: {self.crowd.answered} effects acknowledged, all there, none twice;"
            f" shared tables: {outcomes['done']} done, {outcomes['refused']} refused,"
            f" {outcomes['unknown']} unknown, {len(reads)} reads;"
            f" {sum(one.repeated for one in [*self._loners, *self._rivals])} repeated by key"
        )
        assert outcomes["done"] > 0
        assert not broken_chains(self._chains.versions, writes, reads)


@contextlib.contextmanager
def hammering(catalog: Catalog, writers: int) -> Iterator[Hammering]:
    """Hammer a catalog, which the block kills and starts again; then hold that nothing is lost.

    At the end of the block the catalog serves.
    """
    running = Hammering(catalog, writers)
    try:
        yield running
        running.finish()
    finally:
        running.crowd.end()


def served_as_stored(catalog: Catalog) -> None:
    """Hold that each table is served from the metadata file that its row points at."""
    client = catalog.client()
    pointers = catalog.look().pointers()
    assert {f"ns.{name}" for name in SHARED} <= set(pointers)
    for full, location in pointers.items():
        space, _, name = full.partition(".")
        assert client.ok("GET", wire.table(name, space))["metadata-location"] == location
    client.close()


def wait_until_served(catalog: Catalog) -> None:
    """As ``served_as_stored``, once servers know that an object store which failed is back."""

    def is_served() -> bool:
        with contextlib.suppress(AssertionError):
            served_as_stored(catalog)
            return True
        return False

    wait_for(is_served, "every table to be served as it is stored")
