"""Power is cut at any moment of a real server's life: nothing acknowledged is lost.

strace writes down what the server asks of the kernel and what it answers to its clients. That is
replayed to the states a power cut may leave, and each is opened as SQLite opens it after one.
"""

import random
import shutil
import sqlite3
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.durability import wire
from tests.durability.disk import DROPPED, KEPT, Disk, Remains, by_chance, missed
from tests.durability.processes import (
    PROCESSES,
    SCALE,
    SEED,
    Catalog,
    Client,
    why_no_strace,
)
from tests.durability.sessions import Session, State, Step
from tests.durability.store import Store
from tests.durability.syscalls import Event, events, has_ended, tracing
from tests.processes import wait_for

SESSIONS = 4
LIVES = ("stopped", "killed", "killed", "stopped")
STEPS = 30  # of each session in a life that is not cut short
STATES = round(1500 * SCALE)
CONTROL_STATES = 300

pytestmark = pytest.mark.skipif(bool(why_no_strace()), reason=why_no_strace())


@dataclass
class Work:
    """A session that goes on over the lives of a server, and what each step makes of its part."""

    session: Session
    path: list[tuple[str, State]] = field(default_factory=lambda: [("", State())])
    """After each operation that was done."""
    pending: Step | None = None
    """What was asked, and not answered."""

    def go_on(self, catalog: Catalog) -> None:
        """Make steps while they are answered, after what the last life left open."""
        with catalog.client() as client:
            if (step := self.pending) is not None:
                self.pending = None
                if step.key:
                    self._ask(client, step)
                else:
                    self._look(catalog, client, step)
            for _ in range(STEPS):
                if self.pending is None:
                    self._ask(client, self.session.next())

    def _ask(self, client: Client, step: Step) -> None:
        answer = step.send(client)
        if answer.status is None:
            self.pending = step
            return
        assert answer.done, (step, answer)
        self._done(step)

    def _look(self, catalog: Catalog, client: Client, step: Step) -> None:
        """See whether it was done; what is there once the server serves must stay."""
        found = State.of(Store(catalog.store)).seen(self.session.name)
        if found == self.session.state:
            return
        assert found == step.after, (step, found)
        client.ok("GET", wire.namespace(), mark=step.op)
        self._done(step)

    def _done(self, step: Step) -> None:
        self.session.state = step.after
        self.path.append((step.op, step.after))


@dataclass
class Recording:
    """What a server did, and what each session's steps make of its part of the catalog."""

    root: str
    events: list[Event]
    paths: dict[str, list[tuple[str, State]]]
    open: int
    """Requests that were open when it was killed."""


def record(folder: Path, **settings: object) -> Recording:
    """Let sessions work on a traced server, from its first start to its last end."""
    root = folder / "state"
    root.mkdir()
    catalog = Catalog(root, **settings)
    works = [Work(Session(f"s{number}", SEED)) for number in range(SESSIONS)]
    happened: list[Event] = []
    unanswered = 0
    try:
        for life, ending in enumerate(LIVES):
            log = folder / f"strace{life}"
            catalog.start(*tracing(log))
            _live(catalog, works, ending)
            wait_for(lambda log=log: has_ended(log, catalog.pid), "strace's last line")
            happened += events(log)
            unseen = missed(str(root), happened)
            assert ending == "killed" or not unseen, unseen
            happened += unseen
            unanswered += sum(work.pending is not None for work in works)
    finally:
        catalog.kill()
    assert not any(work.pending for work in works)
    paths = {work.session.name: work.path for work in works}
    return Recording(str(root), happened, paths, unanswered)


def _live(catalog: Catalog, works: list[Work], ending: str) -> None:
    threads = [threading.Thread(target=work.go_on, args=(catalog,)) for work in works]
    until = sum(len(work.path) for work in works) + SESSIONS * STEPS // 2
    for thread in threads:
        thread.start()
    if ending == "killed":
        wait_for(lambda: sum(len(work.path) for work in works) >= until, "half of the answers")
        catalog.kill()
    for thread in threads:
        thread.join()
    if ending == "stopped":
        assert catalog.stop() == 0


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    return record(tmp_path_factory.mktemp("power"))


@pytest.fixture
def scratch() -> Iterator[Path]:
    """Return a folder in memory, where there is one: thousands of databases are opened in it."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        yield Path(folder)


def cuts(
    recording: Recording, syncs: Callable[[str], bool], count: int
) -> Iterator[tuple[int, str, dict[str, int], Remains]]:
    """Yield states that power cuts leave: where, how, how far each session was answered, what is
    left."""
    changes = sum(event.what not in ("answer", "syncing") for event in recording.events)
    share = count / (3 * changes)
    chance = random.Random(SEED)
    disk, answered = Disk(recording.root, syncs), dict.fromkeys(recording.paths, 0)
    places = {
        op: (name, place)
        for name, path in recording.paths.items()
        for place, (op, _) in enumerate(path)
    }
    for number, event in enumerate(recording.events):
        if event.what == "answer":
            if event.to in places and event.data[:1] == b"2":  # else it is part of a step
                name, place = places[event.to]
                answered[name] = max(answered[name], place)  # it may be answered twice
        elif not disk.apply(event):
            continue
        for how, lot in {"kept": KEPT, "dropped": DROPPED, "chance": by_chance}.items():
            if chance.random() < share:
                seed = random.Random(f"{SEED} {number} {how}")
                yield number, how, dict(answered), disk.after_cut(lot, seed)


def lost(recording: Recording, remains: Remains, answered: dict[str, int], folder: Path) -> str:
    """Open what is left as after a power cut; return what is wrong with it, or nothing."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for path in remains.files:
        if path.startswith(f"{recording.root}/store/") and not path.endswith(("-shm", "-lock")):
            (folder / Path(path).name).write_bytes(remains.read(path))
    if not any(answered.values()) and not (folder / "catalog.db").exists():
        return ""
    try:
        store = Store(folder / "catalog.db", lambda at: remains.read(at.removeprefix("file://")))
        store.check()
        found = State.of(store)
    except sqlite3.OperationalError as error:
        # Before the first answer the schema may be on its way: the next start goes on with it.
        return str(error) if any(answered.values()) else ""
    except (AssertionError, sqlite3.Error, OSError, ValueError) as error:
        return f"{type(error).__name__}: {error}"
    for name, path in recording.paths.items():
        done, states = answered[name], [state for _, state in path]
        if found.seen(name) not in states[done : done + 2]:
            return f"{name} was answered {path[done]}, found {found.seen(name)}"
    return ""


def losses(
    recording: Recording,
    scratch: Path,
    syncs: Callable[[str], bool] = lambda _: True,
    count: int = CONTROL_STATES,
) -> tuple[int, list[str]]:
    """Return how many states were looked at, and what was wrong with each that was wrong."""
    looked, wrong = 0, []
    for number, how, answered, remains in cuts(recording, syncs, count):
        looked += 1
        if said := lost(recording, remains, answered, scratch / "cut"):
            wrong.append(f"cut at {number} ({how}): {said}")
    return looked, wrong


@pytest.mark.parametrize("processes", PROCESSES)
def test_a_power_cut_loses_nothing_acknowledged(
    processes: int,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    scratch: Path,
    tell: Callable[[str], None],
) -> None:
    if processes == 1:
        recording = request.getfixturevalue("recording")
    else:
        recording = record(tmp_path, processes=processes)
    looked, wrong = losses(recording, scratch, count=STATES)
    tell(
        f"seed {SEED}: {len(recording.events)} events, {LIVES.count('killed')} kills with"
        f" {recording.open} requests open, {looked} states, {len(wrong)} wrong"
    )
    assert recording.open
    assert looked > STATES / 4
    assert not wrong, "\n".join(wrong[:5])


@pytest.mark.parametrize(
    "unsynced",
    [
        pytest.param(lambda path: path.endswith("-wal"), id="the database's log"),
        pytest.param(lambda path: path.endswith(".json"), id="metadata files"),
        pytest.param(lambda path: path.endswith("/metadata"), id="folders of metadata files"),
    ],
)
def test_each_sync_is_needed(
    recording: Recording,
    scratch: Path,
    unsynced: Callable[[str], bool],
    tell: Callable[[str], None],
) -> None:
    """Were some of the syncs not made, these tests would find what is lost."""
    looked, wrong = losses(recording, scratch, lambda path: not unsynced(path))
    tell(f"seed {SEED}: {looked} states, {len(wrong)} wrong, as they must be")
    assert wrong


def test_relaxed_durability_loses_what_was_acknowledged(
    tmp_path: Path, scratch: Path, tell: Callable[[str], None]
) -> None:
    """The setting says so; and the search finds losses where there are some."""
    looked, wrong = losses(record(tmp_path, store__durability="relaxed"), scratch)
    tell(f"seed {SEED}: {looked} states, {len(wrong)} wrong, as they must be")
    assert wrong
