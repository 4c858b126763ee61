"""Other writers at work: nothing of theirs is lost, nothing they deleted comes back."""

import datetime as dt
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import duckdb
import pytest
from pyiceberg.catalog.rest import RestCatalog

from jobs.maintenance import (
    OutcomeUnknownError,
    Plan,
    compact,
    expire_snapshots,
    remove_orphans,
    rewrite_manifests,
)
from tests.maintenance.lake import SCHEMA, Lake, append_each, is_commit, observations

YOUNG = dt.timedelta(0)


def meanwhile(change: Callable[[], object]) -> Callable[[str], None]:
    """Make a listener of progress that changes the table when the first group is written."""
    pending = [change]

    def say(message: str) -> None:
        if "group" in message and pending:
            pending.pop()()

    return say


def once_before_a_commit(lake: Lake, change: Callable[[], object]) -> None:
    """Change a table after the next commit was sent and before it is served."""

    def hook(verb: str, path: str) -> None:
        if is_commit(verb, path):
            lake.wire.before.remove(hook)
            change()

    lake.wire.before.append(hook)


@pytest.fixture
def other(lake: Lake) -> RestCatalog:
    """Another client, for writers in other threads."""
    return RestCatalog("other", uri=lake.url, warehouse="default")


def make(lake: Lake) -> None:
    append_each(lake.catalog.create_table("ns.t", SCHEMA), 6)


def test_rows_appended_meanwhile_stay(lake: Lake) -> None:
    make(lake)
    append = meanwhile(lambda: lake.load("ns.t").append(observations(100, 10)))
    result = compact(lake.catalog, "ns.t", progress=append)
    assert result.after["data files"].files == 2
    assert lake.ids("ns.t") == [*range(60), *range(100, 110)]


def test_a_commit_that_came_first_makes_compaction_look_again(
    lake: Lake, other: RestCatalog
) -> None:
    make(lake)
    once_before_a_commit(lake, lambda: other.load_table("ns.t").append(observations(100, 10)))
    result = compact(lake.catalog, "ns.t")
    assert len(result.snapshots) == 1
    assert lake.ids("ns.t") == [*range(60), *range(100, 110)]
    assert not lake.missing("ns.t")
    assert not lake.unreferenced("ns.t"), "the lost try's manifests are deleted"


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM lake.ns.t WHERE id IN (3, 33)",
        "UPDATE lake.ns.t SET station = 'new' WHERE id = 3",
        "DELETE FROM lake.ns.t",
    ],
)
def test_rows_deleted_meanwhile_do_not_come_back(lake: Lake, statement: str) -> None:
    make(lake)
    seen = []

    def change() -> None:
        lake.sql(statement)
        seen.append(lake.duck_rows("ns.t"))

    result = compact(lake.catalog, "ns.t", progress=meanwhile(change))
    assert lake.rows("ns.t") == lake.duck_rows("ns.t") == seen[0]
    assert not lake.missing("ns.t")
    assert result.after["delete files"].files == 0, "the group was planned again and rewritten"


def test_a_file_overwritten_meanwhile_does_not_come_back(lake: Lake) -> None:
    make(lake)
    change = meanwhile(
        lambda: lake.load("ns.t").overwrite(observations(3, 1), overwrite_filter="id < 20")
    )
    compact(lake.catalog, "ns.t", Plan(min_input_files=2), progress=change)
    assert lake.ids("ns.t") == [3, *range(20, 60)]
    assert not lake.missing("ns.t")


def test_deletes_taken_back_meanwhile_are_taken_back(lake: Lake) -> None:
    make(lake)
    before = lake.load("ns.t").current_snapshot()
    assert before is not None
    lake.sql("DELETE FROM lake.ns.t WHERE id < 5")

    def roll_back() -> None:
        lake.load("ns.t").manage_snapshots().rollback_to_snapshot(before.snapshot_id).commit()

    compact(lake.catalog, "ns.t", progress=meanwhile(roll_back))
    assert lake.ids("ns.t") == [*range(60)]


def test_a_table_dropped_and_made_again_is_not_touched(lake: Lake) -> None:
    make(lake)

    def replace() -> None:
        lake.catalog.drop_table("ns.t")
        lake.catalog.create_table("ns.t", SCHEMA).append(observations(500, 3))

    compact(lake.catalog, "ns.t", progress=meanwhile(replace))
    assert lake.ids("ns.t") == [500, 501, 502]


def test_a_lost_answer_is_found_out(lake: Lake) -> None:
    make(lake)
    before, lost = lake.rows("ns.t"), []

    def lose(verb: str, path: str) -> bool:
        if is_commit(verb, path) and not lost:
            lost.append(path)
            return True
        return False

    lake.wire.lose = lose
    result = compact(lake.catalog, "ns.t")
    assert lost
    assert len(result.snapshots) == 1
    assert len(lake.load("ns.t").snapshots()) == 7
    assert lake.rows("ns.t") == before
    assert not lake.missing("ns.t")


@pytest.mark.parametrize("operation", [compact, rewrite_manifests])
def test_nothing_is_deleted_when_nobody_knows(
    lake: Lake, operation: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.maintenance.publishing._FIRST_WAIT", 0)
    make(lake)
    before, silent = lake.rows("ns.t"), []

    def lose(verb: str, path: str) -> bool:
        if is_commit(verb, path):
            silent.append(path)
        return bool(silent)

    lake.wire.lose = lose
    with pytest.raises(OutcomeUnknownError, match="cannot tell whether a commit arrived"):
        operation(lake.catalog, "ns.t")
    lake.wire.lose = lambda _verb, _path: False
    assert len(lake.load("ns.t").snapshots()) == 7, "it did arrive"
    assert not lake.missing("ns.t")
    assert lake.rows("ns.t") == before


def test_an_expiry_deletes_nothing_when_nobody_knows(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.maintenance.publishing._FIRST_WAIT", 0)
    make(lake)
    compact(lake.catalog, "ns.t")
    files, silent = lake.files("ns.t"), []

    def lose(verb: str, path: str) -> bool:
        if is_commit(verb, path):
            silent.append(path)
        return bool(silent)

    lake.wire.lose = lose
    with pytest.raises(OutcomeUnknownError):
        expire_snapshots(lake.catalog, "ns.t", older_than=YOUNG)
    lake.wire.lose = lambda _verb, _path: False
    assert files <= lake.files("ns.t")


@dataclass
class Writers:
    """Threads that write at the same time, one with PyIceberg, one with DuckDB."""

    lake: Lake
    other: RestCatalog
    errors: list[BaseException] = field(default_factory=list)
    added: list[int] = field(default_factory=list)
    removed: list[int] = field(default_factory=list)

    def append(self) -> None:
        for number in range(1000, 1012):
            self.other.load_table("ns.t").append(observations(number, 1))
            self.added.append(number)

    def delete(self) -> None:
        for number in range(0, 60, 7):
            while not self.deleted(number):
                pass
            self.removed.append(number)

    def deleted(self, number: int) -> bool:
        """Delete a row; DuckDB itself does not try again after a lost race."""
        try:
            self.lake.sql(f"DELETE FROM lake.ns.t WHERE id = {number}")
        except duckdb.Error as error:
            if "branch main has changed" not in str(error):
                raise
            return False
        return True

    def watch(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - the test shows it
            self.errors.append(error)

    def start(self) -> list[threading.Thread]:
        threads = [
            threading.Thread(target=self.watch, args=(work,)) for work in (self.append, self.delete)
        ]
        for thread in threads:
            thread.start()
        return threads


def test_writers_and_maintenance_at_once(lake: Lake, other: RestCatalog) -> None:
    make(lake)
    writers = Writers(lake, other)
    threads = writers.start()
    committed = 0
    while not committed or any(thread.is_alive() for thread in threads):
        result = compact(lake.catalog, "ns.t", Plan(min_input_files=2, groups_per_commit=1))
        committed += len(result.snapshots)
        rewrite_manifests(lake.catalog, "ns.t")
        expire_snapshots(lake.catalog, "ns.t", keep_last=20, older_than=YOUNG)
    assert not writers.errors
    expected = sorted({*range(60), *writers.added} - set(writers.removed))
    assert len(expected) == 60 + 12 - 9
    assert lake.ids("ns.t") == expected
    assert not lake.missing("ns.t")
    # Nobody writes now: what failed tries left behind may go, and nothing else does.
    remove_orphans(lake.catalog, "ns.t", older_than=YOUNG, dry_run=False, allow_young=True)
    assert not lake.missing("ns.t")
    assert not lake.unreferenced("ns.t")
    assert lake.ids("ns.t") == expected
