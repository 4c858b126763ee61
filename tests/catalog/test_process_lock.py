"""The lock between processes: who waits has a place in the queue, and may give up."""

import contextlib
import fcntl
import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from falcon_catalog.errors import ServiceUnavailableError
from falcon_catalog.store import open_database
from falcon_catalog.store.sqlite.locks import WriteLock
from tests.processes import wait_for

FOREVER = 20.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "lock"


@pytest.fixture
def lock(path: Path) -> Iterator[WriteLock]:
    lock = WriteLock(path)
    yield lock
    lock.close()


@contextlib.contextmanager
def held(path: Path) -> Iterator[None]:
    """Hold the lock as another process does: over a descriptor of one's own."""
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def is_free(path: Path) -> bool:
    with path.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def waiting() -> int:
    """Count those of this process that wait for such a lock."""
    told = Path("/proc/locks").read_text()
    return len(re.findall(rf"-> FLOCK +ADVISORY +WRITE +{os.getpid()} ", told))


def test_it_is_held_by_one_at_a_time(path: Path, lock: WriteLock) -> None:
    for _ in range(2):
        assert lock.acquire(0)
        assert not is_free(path)
        lock.release()
        assert is_free(path)


def test_who_gives_up_leaves_nothing_held(path: Path, lock: WriteLock) -> None:
    with held(path):
        assert not lock.acquire(0.01)
        wait_for(lambda: waiting() == 1)
    wait_for(lambda: waiting() == 0)
    wait_for(lambda: is_free(path))
    assert lock.acquire(FOREVER)


def test_the_next_one_takes_the_place_of_who_gave_up(path: Path, lock: WriteLock) -> None:
    taken: list[bool] = []
    with held(path):
        assert not lock.acquire(0.01)
        assert not lock.acquire(0)
        wait_for(lambda: waiting() == 1)
        thread = threading.Thread(target=lambda: taken.append(lock.acquire(FOREVER)))
        thread.start()
        place = lock._place
        assert place is not None
        wait_for(lambda: place.awaited)
        assert waiting() == 1  # not at the end of the queue once more
    thread.join(FOREVER)
    assert taken == [True]
    assert not is_free(path)
    lock.release()
    assert is_free(path)


def test_queues_are_served_in_order(path: Path) -> None:
    order: list[int] = []
    locks = [WriteLock(path) for _ in range(4)]

    def take(number: int) -> None:
        assert locks[number].acquire(FOREVER)
        order.append(number)
        locks[number].release()

    threads = [threading.Thread(target=take, args=(number,)) for number in range(4)]
    with held(path):
        for number, thread in enumerate(threads):
            thread.start()
            wait_for(lambda number=number: waiting() == number + 1)
    for thread in threads:
        thread.join(FOREVER)
    assert order == [0, 1, 2, 3]
    for lock in locks:
        lock.close()


def test_it_can_be_closed_while_it_waits(path: Path, lock: WriteLock) -> None:
    with held(path):
        assert not lock.acquire(0.01)
        wait_for(lambda: waiting() == 1)
        lock.close()
    wait_for(lambda: is_free(path))
    assert lock.acquire(FOREVER)


def test_where_no_lock_can_be_made_it_is_told(tmp_path: Path) -> None:
    lock = WriteLock(tmp_path / "nowhere" / "lock")
    with pytest.raises(FileNotFoundError):
        lock.acquire(1)


def test_a_change_gives_up_when_another_process_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("falcon_catalog.store.sqlite.writer._LONGEST_WAIT_SECONDS", 0.05)
    database = open_database(f"sqlite:///{tmp_path}/catalog.db")
    with (
        held(Path(f"{database.path}-lock")),
        pytest.raises(ServiceUnavailableError, match="another process holds it"),
        database.write(),
    ):
        pass
    monkeypatch.undo()
    with database.write() as tx:
        tx.change("CREATE TABLE marks (name TEXT)")
    database.close()
