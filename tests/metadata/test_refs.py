from typing import Any

import pytest

from falcon_catalog.errors import BadRequestError


def refusal(make: Any, base: Any, *updates: dict[str, Any]) -> str:
    with pytest.raises(BadRequestError) as error:
        make.apply(base, *updates)
    return error.value.message


def test_branches_and_tags_are_set_with_their_retention(make: Any) -> None:
    new = make.apply(
        make.history(2),
        make.set_ref("audit", 1, min_snapshots_to_keep=2, max_snapshot_age_ms=3, max_ref_age_ms=4),
        make.set_ref("v1", 1, "TAG", max_ref_age_ms=5),
    )
    assert new["refs"]["audit"] == {
        "snapshot-id": 1,
        "type": "branch",
        "min-snapshots-to-keep": 2,
        "max-snapshot-age-ms": 3,
        "max-ref-age-ms": 4,
    }
    assert new["refs"]["v1"] == {"snapshot-id": 1, "type": "tag", "max-ref-age-ms": 5}
    assert len(new["snapshot-log"]) == 2


def test_the_same_ref_is_no_change(make: Any) -> None:
    base = make.history(1)
    assert make.apply(base, make.set_ref("main", 1)) is base


def test_a_rollback_is_logged_now(make: Any) -> None:
    now = make.created_ms + 5_000
    new = make.apply(make.history(2), make.set_ref("main", 1), now_ms=now)
    assert new["current-snapshot-id"] == 1
    assert new["snapshot-log"][-1] == {"snapshot-id": 1, "timestamp-ms": now}
    assert len(new["snapshots"]) == 2


def test_a_rollback_stays_in_order_when_the_last_writer_was_ahead(make: Any) -> None:
    ahead = make.created_ms + 10_000_000
    base = make.apply(make.history(1), *make.append(2, 1, timestamp_ms=ahead), now_ms=ahead)
    new = make.apply(base, make.set_ref("main", 1), now_ms=make.created_ms + 10)
    assert new["snapshot-log"][-1] == {"snapshot-id": 1, "timestamp-ms": ahead}


@pytest.mark.parametrize(
    ("ref", "text"),
    [
        ({"snapshot-id": 9}, "Cannot set audit to unknown snapshot: 9"),
        ({"type": "stick"}, "Invalid snapshot ref type: 'stick'"),
        ({"ref-name": "main", "type": "tag"}, "Cannot set main to a tag: main must be a branch"),
        ({"ref-name": ""}, "Invalid set-snapshot-ref update, field ref-name: must not be empty"),
        (
            {"type": "tag", "min-snapshots-to-keep": 1},
            "Tags do not support setting minSnapshotsToKeep",
        ),
        ({"type": "tag", "max-snapshot-age-ms": 1}, "Tags do not support setting maxSnapshotAgeMs"),
        ({"min-snapshots-to-keep": 0}, "Min snapshots to keep must be greater than 0"),
        ({"max-snapshot-age-ms": 0}, "Max snapshot age must be greater than 0 ms"),
        ({"max-ref-age-ms": -1}, "Max reference age must be greater than 0"),
    ],
)
def test_refs_that_break_a_rule_are_refused(make: Any, ref: dict[str, Any], text: str) -> None:
    assert refusal(make, make.history(1), make.set_ref("audit", 1) | ref) == text


def test_removing_main_leaves_no_current_snapshot_and_keeps_the_log(make: Any) -> None:
    new = make.apply(make.history(2), {"action": "remove-snapshot-ref", "ref-name": "main"})
    assert "current-snapshot-id" not in new
    assert new["refs"] == {}
    assert len(new["snapshots"]) == len(new["snapshot-log"]) == 2


def test_removing_an_absent_ref_is_no_change(make: Any) -> None:
    base = make.history(1)
    assert make.apply(base, {"action": "remove-snapshot-ref", "ref-name": "nope"}) is base


def test_a_replaced_table_keeps_its_log_and_uuid(make: Any) -> None:
    base = make.history(2)
    new = make.apply(
        base,
        {"action": "remove-snapshot-ref", "ref-name": "main"},
        make.add_schema(make.column(6, "other")),
        make.set_schema(-1),
        *make.append(3),
    )
    assert [entry["snapshot-id"] for entry in new["snapshot-log"]] == [1, 2, 3]
    assert new["table-uuid"] == base["table-uuid"]
    assert new["current-snapshot-id"] == 3
