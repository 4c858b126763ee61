"""Changes that come together: one transaction, and yet each is whole and has its own end."""

import contextlib
import fcntl
import os
import random
import re
import resource
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from falcon_catalog.errors import ServiceUnavailableError
from falcon_catalog.settings import StoreSettings
from falcon_catalog.store import open_database
from falcon_catalog.store.database import OutcomeUnknownError, StoreError, Transaction
from falcon_catalog.store.sqlite import locks
from falcon_catalog.store.sqlite.connection import SqliteDatabase
from falcon_catalog.store.sqlite.writer import Writer
from tests.processes import wait_for

pytestmark = pytest.mark.serverless

Work = Callable[[Transaction], Any]


@pytest.fixture
def database(tmp_path: Path) -> Any:
    one = open_database(f"sqlite:///{tmp_path}/catalog.db")
    with one.write() as tx:
        tx.change("CREATE TABLE marks (name TEXT PRIMARY KEY)")
    yield one
    one.close()


def mark(name: str) -> Work:
    return lambda tx: tx.change("INSERT INTO marks VALUES (?)", (name,))


def fail(name: str) -> Work:
    def work(tx: Transaction) -> None:
        mark(name)(tx)
        raise KeyError(name)

    return work


def marks(path: Path) -> set[str]:
    """Return what is stored, seen over a connection that knows nothing."""
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    found = {row[0] for row in connection.execute("SELECT name FROM marks")}
    connection.close()
    return found


def together(database: SqliteDatabase, *works: Work) -> list[BaseException | None]:
    """Make changes in one batch, in this order; return what each of them raised."""
    writer, raised = database.writer, [None] * len(works)  # type: list[BaseException | None]
    entered, go_on = threading.Event(), threading.Event()

    def make(place: int) -> None:
        try:
            with database.write() as tx:
                if place == 0:
                    entered.set()
                    go_on.wait(20)
                works[place](tx)
        except BaseException as error:  # noqa: BLE001 - it is what is asked for
            raised[place] = error

    threads = []
    for place in range(len(works)):
        threads.append(threading.Thread(target=make, args=(place,)))
        threads[-1].start()
        if place == 0:
            assert entered.wait(20)
        else:
            wait_for(lambda: writer._waiting == len(threads) - 1)
    with pytest.MonkeyPatch.context() as patch:
        # However slow the machine: none commits before its turn because the next is not there yet.
        patch.setattr("falcon_catalog.store.sqlite.writer._LOOK_AGAIN_SECONDS", 20.0)
        go_on.set()
        for thread in threads:
            thread.join(20)
    return raised


def test_they_share_one_transaction(database: SqliteDatabase) -> None:
    batches = database.writer.batches
    assert together(database, *(mark(str(n)) for n in range(6))) == [None] * 6
    assert marks(database.path) == set("012345")
    assert database.writer.batches == batches + 1
    assert database.writer.largest_batch == 6


def test_one_that_is_refused_takes_back_its_own_alone(database: SqliteDatabase) -> None:
    raised = together(database, mark("a"), fail("b"), mark("c"), mark("a"), fail("d"), mark("e"))
    assert [type(error) for error in raised if error] == [
        KeyError,
        sqlite3.IntegrityError,
        KeyError,
    ]
    assert [error is None for error in raised] == [True, False, True, False, False, True]
    assert marks(database.path) == {"a", "c", "e"}


def test_a_batch_of_refusals_stores_nothing_and_syncs_nothing(database: SqliteDatabase) -> None:
    wal = Path(f"{database.path}-wal").stat().st_size
    batches = database.writer.batches
    raised = together(database, fail("a"), fail("b"))
    assert [type(error) for error in raised] == [KeyError, KeyError]
    assert (marks(database.path), database.writer.batches) == (set(), batches)
    assert Path(f"{database.path}-wal").stat().st_size == wal


def test_no_batch_grows_without_end(
    database: SqliteDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("falcon_catalog.store.sqlite.writer._LARGEST_BATCH", 3)
    assert together(database, *(mark(str(n)) for n in range(8))) == [None] * 8
    assert database.writer.largest_batch == 3
    assert len(marks(database.path)) == 8


@contextlib.contextmanager
def ending_badly() -> Iterator[None]:
    """Let a COMMIT fail at its very end."""
    yield
    raise MemoryError("too little of it")


def test_an_unknown_end_is_unknown_to_all(database: SqliteDatabase) -> None:
    database.writer.time_commit = ending_badly
    raised = together(database, mark("a"), fail("refused"), mark("b"), mark("c"))
    assert [type(error) for error in raised] == [
        OutcomeUnknownError,
        ServiceUnavailableError,
        OutcomeUnknownError,
        OutcomeUnknownError,
    ]
    assert len({id(error) for error in raised}) == 4
    assert marks(database.path) in (set(), {"a", "b", "c"})
    with pytest.raises(ServiceUnavailableError, match="restarts"), database.write():
        pass


def test_a_log_that_cannot_be_written_refuses_all_of_a_batch(database: SqliteDatabase) -> None:
    wal = Path(f"{database.path}-wal").stat().st_size
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(tx: Transaction) -> None:
        mark("b")(tx)
        resource.setrlimit(resource.RLIMIT_FSIZE, (wal + 100, hard))

    try:
        raised = together(database, mark("a"), fail("refused"), fill, mark("c"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [type(error) for error in raised] == [ServiceUnavailableError] * 4
    assert marks(database.path) == set()
    assert together(database, mark("d")) == [None]
    assert marks(database.path) == {"d"}


@pytest.mark.parametrize("place", [0, 1, 2])
def test_where_sqlite_takes_back_all_nothing_is_acknowledged(
    database: SqliteDatabase, place: int
) -> None:
    def roll_back(tx: Transaction) -> None:
        mark("x")(tx)
        tx.change("INSERT OR ROLLBACK INTO marks VALUES ('x')")

    works = [mark("a"), mark("b")]
    works.insert(place, roll_back)
    raised = together(database, *works)
    stored = {
        name
        for name, error in zip("ab", raised[:place] + raised[place + 1 :], strict=True)
        if not error
    }
    assert isinstance(raised[place], sqlite3.IntegrityError)
    # The first is made before all others; who of those that wait comes next, nobody can say.
    assert place == 0 or isinstance(raised[0], ServiceUnavailableError)
    others = [error for error in raised if error not in (None, raised[place])]
    assert all(isinstance(error, ServiceUnavailableError) for error in others)
    assert marks(database.path) == stored
    assert together(database, mark("later")) == [None]


def test_a_full_disk_refuses_those_it_hits_and_no_lie_is_told(database: SqliteDatabase) -> None:
    with database.read() as tx:
        pages = tx.one("PRAGMA page_count")[0]

    def fill(tx: Transaction) -> None:
        tx.one(f"PRAGMA max_page_count = {pages}")
        tx.change("INSERT INTO marks VALUES (hex(zeroblob(1000000)))")

    raised = together(database, mark("a"), fill, mark("c"))
    assert isinstance(raised[1], ServiceUnavailableError)
    assert marks(database.path) == {n for n, error in zip("axc", raised, strict=True) if not error}
    with database.write() as tx:
        tx.one("PRAGMA max_page_count = 1000000")
        mark("later")(tx)


def test_who_gives_up_waiting_leaves_no_change_behind_uncommitted(
    database: SqliteDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was waited for, and does not come: whoever waits for the commit then makes it."""
    monkeypatch.setattr(database.writer, "_waiting", 1)
    with database.write() as tx:
        mark("a")(tx)
    assert marks(database.path) == {"a"}


def test_who_waits_too_long_is_told_to_come_again(
    database: SqliteDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("falcon_catalog.store.sqlite.writer._LONGEST_WAIT_SECONDS", 0.05)
    refused: list[BaseException] = []

    def late() -> None:
        try:
            with database.write() as tx:
                mark("late")(tx)
        except ServiceUnavailableError as error:
            refused.append(error)

    with database.write() as tx:
        mark("a")(tx)
        thread = threading.Thread(target=late)
        thread.start()
        thread.join(20)
    assert "Nothing was changed" in str(refused[0])
    assert marks(database.path) == {"a"}


def test_a_failed_rollback_ends_all_changes(database: SqliteDatabase) -> None:
    class Stubborn(sqlite3.Connection):
        def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
            if sql.startswith("ROLLBACK"):
                raise sqlite3.OperationalError("disk I/O error")
            return super().execute(sql, *parameters)

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(
            database.path, isolation_level=None, check_same_thread=False, factory=Stubborn
        )

    writer = Writer(connect, database.path)
    with pytest.raises(ServiceUnavailableError, match="disk I/O"), writer.change() as tx:  # noqa: PT012
        mark("a")(tx)
        raise KeyError
    with pytest.raises(ServiceUnavailableError, match="ROLLBACK failed"), writer.change():
        pass
    writer.close()
    assert marks(database.path) == set()
    with pytest.raises(ServiceUnavailableError, match="in another process"):
        database.check()
    database.close()
    with locks.shared(database.path):
        again = open_database(f"sqlite:///{database.path}")
        assert together(again, mark("later")) == [None]
        again.close()


def test_what_is_acknowledged_is_what_is_stored(database: SqliteDatabase) -> None:
    stored: set[str] = set()

    def work(worker: int) -> None:
        draw = random.Random(worker)  # noqa: S311
        for number in range(60):
            name = f"{worker}.{number}"
            try:
                with database.write() as tx:
                    mark(name)(tx)
                    if draw.random() < 0.3:
                        raise KeyError
                stored.add(name)
            except KeyError:
                pass
            else:
                with database.read() as tx:
                    assert tx.one("SELECT 1 FROM marks WHERE name = ?", (name,))

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert marks(database.path) == stored
    assert database.writer.changes == len(stored) + 1
    assert database.writer.batches < database.writer.changes


def test_processes_take_turns_and_lose_nothing(database: SqliteDatabase) -> None:
    program = """
import sys, threading
from falcon_catalog.store import open_database
from falcon_catalog.store.sqlite.connection import SqliteDatabase
database = open_database(sys.argv[1])
def work(worker):
    for number in range(40):
        with database.write() as tx:
            tx.change("INSERT INTO marks VALUES (?)", (f"{sys.argv[2]}.{worker}.{number}",))
threads = [threading.Thread(target=work, args=(worker,)) for worker in range(3)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
database.close()
"""
    command = [sys.executable, "-c", program, f"sqlite:///{database.path}"]
    processes = [subprocess.Popen([*command, str(number)]) for number in range(4)]
    assert [process.wait(60) for process in processes] == [0] * 4
    assert len(marks(database.path)) == 4 * 3 * 40


def test_the_lock_between_processes_is_free_between_changes(database: SqliteDatabase) -> None:
    with database.write() as tx:
        mark("a")(tx)
        with (
            Path(f"{database.path}-lock").open("rb") as lock,
            pytest.raises(BlockingIOError),
        ):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    for refused in (KeyError, None):
        try:
            with database.write():
                if refused:
                    raise refused
        except KeyError:
            pass
        with Path(f"{database.path}-lock").open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_relaxed_durability_is_asked_of_sqlite(tmp_path: Path) -> None:
    database = open_database(
        StoreSettings(url=f"sqlite:///{tmp_path}/catalog.db", durability="relaxed")
    )
    with database.read() as tx:
        assert tx.one("PRAGMA synchronous") == (1,)
    with database.write() as tx:
        assert tx.one("PRAGMA synchronous") == (1,)
    database.close()


def test_a_writer_that_waits_for_its_turn_sees_the_fence(database: SqliteDatabase) -> None:
    url = f"sqlite:///{database.path}"
    failing, waiting = (open_database(url) for _ in range(2))
    failing.writer.time_commit = ending_badly
    waits = re.compile(rf"-> FLOCK +ADVISORY +WRITE +{os.getpid()} ")
    refused: list[BaseException] = []

    def wait() -> None:
        try:
            with waiting.write() as tx:
                mark("later")(tx)
        except ServiceUnavailableError as error:
            refused.append(error)

    thread = threading.Thread(target=wait)
    with pytest.raises(OutcomeUnknownError), failing.write() as tx:  # noqa: PT012
        mark("unknown")(tx)
        thread.start()  # it waits for the lock between processes
        wait_for(lambda: bool(waits.search(Path("/proc/locks").read_text())))
    thread.join()
    assert "a COMMIT failed in another process" in str(refused[0])
    for one in (failing, waiting):
        with pytest.raises(ServiceUnavailableError, match="restarts"):
            one.check()
        one.close()


OTHER = """
import sys
from falcon_catalog.errors import ServiceUnavailableError
from falcon_catalog.store.sqlite import locks
from falcon_catalog.store import open_database
from falcon_catalog.store.sqlite.connection import SqliteDatabase
from pathlib import Path
with locks.shared(Path(sys.argv[1])):
    database = open_database(f"sqlite:///{sys.argv[1]}")
    for name in ("before", "after"):
        try:
            with database.write() as tx:
                tx.change("INSERT INTO marks VALUES (?)", (name,))
            print("written", flush=True)
        except ServiceUnavailableError as error:
            print(error, flush=True)
        sys.stdin.readline()
    print(database.writer.broken, flush=True)
    database.close()
"""


@pytest.fixture
def other(database: SqliteDatabase) -> Iterator[subprocess.Popen[str]]:
    """Another process that has the store open, and writes once a line is sent to it."""
    command = [sys.executable, "-c", OTHER, str(database.path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as process:  # type: ignore[call-overload]
        yield process
        process.kill()


def fail_a_commit(database: SqliteDatabase) -> None:
    database.writer.time_commit = ending_badly
    with pytest.raises(OutcomeUnknownError), database.write() as tx:
        mark("unknown")(tx)


def ask(process: subprocess.Popen[str]) -> str:
    """Let the other process go on; return what it says."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("\n")
    process.stdin.flush()
    return process.stdout.readline()


def test_a_fenced_store_is_written_by_no_process_until_it_is_recovered(
    database: SqliteDatabase, other: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert other.stdout is not None
    assert other.stdout.readline() == "written\n"
    assert not locks.is_fenced(database.path)
    fail_a_commit(database)
    assert locks.is_fenced(database.path)
    assert "No changes until the server restarts" in ask(other)
    database.close()
    with pytest.raises(StoreError, match="is fenced"):
        open_database(f"sqlite:///{database.path}")
    monkeypatch.setattr(locks, "_RECOVERY_SECONDS", 0.3)  # the other one has it open still
    with pytest.raises(StoreError, match="must end before"), locks.shared(database.path):
        pass
    assert locks.is_fenced(database.path)
    assert "a COMMIT failed in another process" in ask(other)
    assert other.wait(20) == 0
    with locks.shared(database.path):
        assert not locks.is_fenced(database.path)
        assert not Path(f"{database.path}-wal").exists()
        again = open_database(f"sqlite:///{database.path}")
        assert together(again, mark("later")) == [None]
        again.close()
    assert marks(database.path) - {"unknown"} == {"before", "later"}


def test_a_fence_that_cannot_be_read_now_ends_no_process(database: SqliteDatabase) -> None:
    assert together(database, mark("before")) == [None]
    lock = locks.write_lock_path(database.path)
    aside = lock.rename(lock.with_name("aside"))
    lock.symlink_to(lock)
    with pytest.raises(OSError, match="symbolic links"):
        locks.is_fenced(database.path)
    assert database.broken is None
    aside.rename(lock)
    other = open_database(f"sqlite:///{database.path}")
    fail_a_commit(other)
    other.close()
    assert "a COMMIT failed in another process" in str(database.broken)


def test_who_must_wait_for_a_fenced_store_goes_on_once_it_is_closed(
    database: SqliteDatabase, other: subprocess.Popen[str]
) -> None:
    fail_a_commit(database)
    database.close()
    threading.Timer(0.3, other.kill).start()
    with locks.shared(database.path):
        assert other.wait(20) == -9
        assert not locks.is_fenced(database.path)


def test_all_who_start_on_a_fenced_store_wait_for_its_recovery(
    database: SqliteDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_a_commit(database)
    database.close()
    recover, recovering = locks._recover, threading.Event()

    def slowly(path: Path) -> None:
        recovering.set()
        time.sleep(0.3)
        recover(path)

    def start() -> None:
        with locks.shared(database.path):
            started.append(not locks.is_fenced(database.path))

    monkeypatch.setattr(locks, "_recover", slowly)
    started: list[bool] = []
    first = threading.Thread(target=start)
    first.start()
    assert recovering.wait(20)
    start()
    first.join(20)
    assert started == [True, True]


def test_a_fence_needs_no_space(database: SqliteDatabase) -> None:
    with database.write() as tx:
        mark("a")(tx)
    assert locks.write_lock_path(database.path).stat().st_size == 2


def test_a_store_held_exclusively_is_recovered(database: SqliteDatabase) -> None:
    fail_a_commit(database)
    database.close()
    with locks.exclusive(database.path):
        assert not locks.is_fenced(database.path)
