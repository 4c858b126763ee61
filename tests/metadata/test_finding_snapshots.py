"""Finding snapshots, and what they belong to."""

import pytest

from falcon_catalog import summaries
from falcon_catalog.errors import BadRequestError
from falcon_catalog.metadata import history

DAY = 24 * 3600 * 1000


def snapshot(number: int, parent: int | None, **summary: str) -> dict[str, object]:
    found: dict[str, object] = {
        "snapshot-id": number,
        "timestamp-ms": number * DAY,
        "sequence-number": number,
        "summary": {"operation": "append", **summary},
    }
    return found if parent is None else found | {"parent-snapshot-id": parent}


METADATA = {
    "current-snapshot-id": 4,
    "snapshots": [
        snapshot(2, 1),  # whose parent was expired
        snapshot(3, 2),
        snapshot(4, 2, **{"total-records": "12", "added-records": "-1", "total-data-files": "x"}),
        snapshot(5, 3),
        snapshot(6, 2),
    ],
    "refs": {
        "main": {"type": "branch", "snapshot-id": 4},
        "audit": {"type": "branch", "snapshot-id": 5},
        "3": {"type": "tag", "snapshot-id": 2},
        "gone": {"type": "tag", "snapshot-id": 99},
    },
    "snapshot-log": [
        {"snapshot-id": 1, "timestamp-ms": DAY},
        {"snapshot-id": 2, "timestamp-ms": 2 * DAY},
        {"snapshot-id": 4, "timestamp-ms": 4 * DAY},
    ],
}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("5", 5),
        ("main", 4),
        ("audit", 5),
        ("3", 2),  # a tag before an id
        ("1970-01-03", 2),
        ("1970-01-04T12:00:00Z", 2),
        ("1970-01-05T01:00:00+01:00", 4),
        ("2026-11-30", 4),
    ],
)
def test_a_snapshot_is_found_by_ref_id_or_time(text: str, found: int) -> None:
    assert history.find(METADATA, text)["snapshot-id"] == found


@pytest.mark.parametrize(
    ("text", "message"),
    [
        *((text, "Snapshot does not exist") for text in ("1", "gone", "nothing", "", "9" * 30)),
        ("1970-01-01", "no snapshot at 1970-01-01T00:00:00Z; its history starts at 1970-01-02T00"),
        ("0001-01-01", "no snapshot at 0001-01-01T00:00:00Z; its history starts at 1970-01-02T00"),
        ("1970-01-02T12:00Z", "Snapshot 1, the one of '1970-01-02T12:00Z', has been expired"),
    ],
)
def test_what_names_no_snapshot_is_an_error(text: str, message: str) -> None:
    with pytest.raises(BadRequestError, match=message):
        history.find(METADATA, text)


def test_a_snapshot_belongs_to_the_first_branch_that_reaches_it() -> None:
    assert history.branches(METADATA) == {4: "main", 2: "main", 5: "audit", 3: "audit"}


def test_ancestors_end_at_an_expired_snapshot_and_in_a_circle() -> None:
    snapshots = history.by_id(METADATA)
    assert [each["snapshot-id"] for each in history.ancestors(snapshots, 5)] == [5, 3, 2]
    circle = {1: snapshot(1, 2), 2: snapshot(2, 1)}
    assert len(list(history.ancestors(circle, 1))) == 2


def test_numbers_that_are_none_are_unknown() -> None:
    table = {"format-version": 2}
    numbers = history.numbers(table, history.find(METADATA, "4"))
    assert (numbers.rows, numbers.added_rows, numbers.files) == (12, None, None)
    assert numbers.removed_rows == 0  # left out by a writer that counts rows
    assert history.numbers(table, None).rows == 0


@pytest.mark.parametrize(
    ("version", "deletes", "rows", "removed", "is_exact"),
    [
        (2, {"total-position-deletes": "3", "added-position-deletes": "2"}, 9, 2, True),
        (3, {"total-position-deletes": "3", "added-position-deletes": "2"}, 12, 2, False),
        (2, {"total-equality-deletes": "1", "added-equality-deletes": "1"}, 12, 1, False),
        (3, {"total-position-deletes": "0"}, 12, 0, True),
        # A compaction applies deletes: what it removes is no row any more.
        (2, {"deleted-records": "9", "removed-position-deletes": "3"}, 12, 6, True),
        (2, {"total-position-deletes": "99"}, 0, 0, True),
    ],
)
def test_rows_are_those_that_deletes_leave(
    version: int, deletes: dict[str, str], rows: int, removed: int, *, is_exact: bool
) -> None:
    found = summaries.rows({"total-records": "12", **deletes}, version)
    assert (found.total, found.removed, found.is_exact) == (rows, removed, is_exact)
    assert found.before_deletes == 12
