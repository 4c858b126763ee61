"""Power is cut at any moment of a real server's life: nothing acknowledged is lost.

strace writes down what the server asks of the kernel and what it answers to its clients. That is
replayed to the states a power cut may leave, and each is opened as SQLite opens it after one.
"""

import random
import re
import shutil
import sqlite3
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.durability.disk import DROPPED, KEPT, Disk, Remains, by_chance
from tests.durability.processes import PROCESSES, SCALE, SEED, Catalog, wait_for, why_no_strace
from tests.durability.sessions import Session, State
from tests.durability.store import Store
from tests.durability.syscalls import Event, events, tracing

SESSIONS = 4
LIVES = 2
STEPS = 50  # of each session in each life
STATES = round(1500 * SCALE)
CONTROL_STATES = 300

pytestmark = pytest.mark.skipif(bool(why_no_strace()), reason=why_no_strace())


@dataclass
class Recording:
    """What a server did, and what each session's steps make of its part of the catalog."""

    root: str
    events: list[Event]
    states: dict[str, list[State]]


def record(folder: Path, **settings: object) -> Recording:
    """Let sessions work on a traced server, from its first start to its second end."""
    root = folder / "state"
    root.mkdir()
    catalog = Catalog(root, **settings)
    sessions = [Session(f"s{number}", SEED) for number in range(SESSIONS)]
    states = {session.name: [session.state] for session in sessions}
    happened: list[Event] = []
    try:
        for life in range(LIVES):
            log = folder / f"strace{life}"
            catalog.start(*tracing(log))
            threads = [
                threading.Thread(target=_work, args=(catalog, session, states[session.name]))
                for session in sessions
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert catalog.stop() == 0
            _wait_for_end(log, catalog.pid)
            happened += events(log)
    finally:
        catalog.kill()
    assert all(len(made) == LIVES * STEPS + 1 for made in states.values())
    return Recording(str(root), happened, states)


def _wait_for_end(log: Path, pid: int) -> None:
    last = re.compile(rf"^{pid} +\+\+\+ exited with 0", re.MULTILINE)  # narrow ones are padded
    wait_for(lambda: last.search(log.read_text()[-1000:]) is not None, "strace's last line")


def _work(catalog: Catalog, session: Session, states: list[State]) -> None:
    with catalog.client() as client:
        for _ in range(STEPS):
            step = session.next()
            answer = step.send(client)
            assert answer.done, (step, answer)
            session.state = step.after
            states.append(step.after)


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
    """Yield states that power cuts leave: where, how, how many answers were given, what is left."""
    changes = sum(event.what not in ("answer", "syncing") for event in recording.events)
    share = count / (3 * changes)
    chance = random.Random(SEED)
    disk, answered = Disk(recording.root, syncs), dict.fromkeys(recording.states, 0)
    for number, event in enumerate(recording.events):
        if event.what == "answer":
            if (name := event.to.partition("-")[0]) in answered:  # else it is part of a step
                answered[name] += 1
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
    for name, states in recording.states.items():
        done = answered[name]
        if found.seen(name) not in states[done : done + 2]:
            return f"{name} had {done} answers: {states[done]}, found {found.seen(name)}"
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
        recording = record(tmp_path, server__processes=processes)
    looked, wrong = losses(recording, scratch, count=STATES)
    tell(f"seed {SEED}: {len(recording.events)} events, {looked} states, {len(wrong)} wrong")
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
