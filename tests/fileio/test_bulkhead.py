import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from falcon_catalog.errors import WarehouseUnavailableError
from falcon_catalog.fileio.bulkhead import Bulkhead
from tests.processes import wait_for

pytestmark = pytest.mark.serverless


class Guests:
    """Threads that stay inside until they are told to leave."""

    def __init__(self, bulkhead: Bulkhead) -> None:
        self._bulkhead = bulkhead
        self._leave = threading.Event()
        self._threads = ThreadPoolExecutor(16)
        self.inside = 0
        self.refused = 0
        self._guard = threading.Lock()

    def come(self, count: int) -> None:
        for _ in range(count):
            self._threads.submit(self._stay)

    def _stay(self) -> None:
        try:
            with self._bulkhead:
                with self._guard:
                    self.inside += 1
                self._leave.wait(30)
                with self._guard:
                    self.inside -= 1
        except WarehouseUnavailableError:
            with self._guard:
                self.refused += 1

    def leave(self) -> None:
        self._leave.set()

    def close(self) -> None:
        self.leave()
        self._threads.shutdown()


@pytest.fixture
def bulkhead() -> Bulkhead:
    return Bulkhead("The store", 3)


@pytest.fixture
def guests(bulkhead: Bulkhead) -> Iterator[Guests]:
    guests = Guests(bulkhead)
    yield guests
    guests.close()


def test_those_without_a_place_are_refused_when_nothing_moves(
    bulkhead: Bulkhead, guests: Guests, monkeypatch: pytest.MonkeyPatch
) -> None:
    guests.come(3)
    wait_for(lambda: guests.inside == 3)
    with pytest.raises(WarehouseUnavailableError, match="The store is busy or does not answer"):
        bulkhead.__enter__()
    # Nothing has moved for long enough.
    monkeypatch.setattr(bulkhead._changed, "wait", lambda _: pytest.fail("it waits again"))
    with pytest.raises(WarehouseUnavailableError):
        bulkhead.__enter__()
    monkeypatch.undo()
    guests.leave()
    wait_for(lambda: guests.inside == 0)
    with bulkhead:
        pass


def test_who_waits_gets_the_place_that_becomes_free(bulkhead: Bulkhead, guests: Guests) -> None:
    guests.come(3)
    wait_for(lambda: guests.inside == 3)
    threading.Timer(0.2, guests.leave).start()
    with bulkhead:
        pass


def test_answers_are_progress(bulkhead: Bulkhead, guests: Guests) -> None:
    guests.come(3)
    wait_for(lambda: guests.inside == 3)
    over, answers = threading.Event(), list[float]()

    def answer() -> None:
        while not over.wait(0.1):
            bulkhead.report(timed_out=False)
            answers.append(time.monotonic())

    answering = threading.Thread(target=answer)
    answering.start()
    guests.come(1)
    # For more than twice as long as it waits without progress.
    wait_for(lambda: answers and answers[-1] - answers[0] > 2.5)
    assert guests.refused == 0
    over.set()
    answering.join()
    wait_for(lambda: guests.refused == 1)


def test_after_a_time_out_one_comes_in_at_a_time(bulkhead: Bulkhead, guests: Guests) -> None:
    bulkhead.report(timed_out=True)
    guests.come(3)
    wait_for(lambda: guests.inside + guests.refused == 3)
    assert (guests.inside, guests.refused) == (1, 2)
    bulkhead.report(timed_out=False)
    guests.come(2)
    wait_for(lambda: guests.inside == 3)


def test_all_places_are_taken_again_at_once_after_an_answer() -> None:
    bulkhead = Bulkhead("The store", 3, patience=60)
    bulkhead.report(timed_out=True)
    guests = Guests(bulkhead)
    try:
        guests.come(1)
        wait_for(lambda: guests.inside == 1)
        guests.come(2)
        wait_for(lambda: len(bulkhead._changed._waiters) == 2)
        bulkhead.report(timed_out=False)
        assert not bulkhead._changed._waiters  # both were woken
        wait_for(lambda: guests.inside == 3)
    finally:
        guests.close()


def test_a_thread_that_is_inside_may_come_in_again(bulkhead: Bulkhead, guests: Guests) -> None:
    guests.come(2)
    wait_for(lambda: guests.inside == 2)
    with ExitStack() as places:
        for _ in range(5):
            places.enter_context(bulkhead)
    guests.come(1)
    wait_for(lambda: guests.inside == 3)


def test_an_error_gives_the_place_back(bulkhead: Bulkhead) -> None:
    for _ in range(10):
        with pytest.raises(ValueError, match="x"), bulkhead:
            raise ValueError("x")
    with bulkhead:
        pass
