from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from falcon_catalog.errors import BadRequestError, CatalogError, CommitFailedError
from falcon_catalog.metadata import clock, snapshots, table


def refusal(make: Any, base: Any, *updates: dict[str, Any]) -> str:
    with pytest.raises(BadRequestError) as error:
        make.apply(base, *updates)
    return error.value.message


def test_an_append_moves_main_and_is_logged_at_its_own_time(make: Any) -> None:
    new = make.apply(make.table(), *make.append(7), now_ms=make.created_ms + 999)
    assert new["snapshots"] == [make.snapshot(7)]
    assert new["current-snapshot-id"] == 7
    assert new["refs"] == {"main": {"snapshot-id": 7, "type": "branch"}}
    assert new["snapshot-log"] == [{"snapshot-id": 7, "timestamp-ms": make.created_ms + 7}]
    assert new["last-sequence-number"] == 7
    assert new["last-updated-ms"] == make.created_ms + 999


def test_last_updated_never_falls_behind_a_client_whose_clock_is_ahead(make: Any) -> None:
    new = make.apply(make.table(), *make.append(7), now_ms=make.created_ms)
    assert new["last-updated-ms"] == make.created_ms + 7
    later = make.apply(new, {"action": "remove-properties", "removals": ["x"]}, now_ms=5)
    assert later["last-updated-ms"] == make.created_ms + 7


def test_two_snapshots_in_one_request_log_only_the_last(make: Any) -> None:
    new = make.apply(make.history(1), *make.append(2, 1), *make.append(3, 2))
    assert [snapshot["snapshot-id"] for snapshot in new["snapshots"]] == [1, 2, 3]
    assert [entry["snapshot-id"] for entry in new["snapshot-log"]] == [1, 3]
    assert new["last-sequence-number"] == 3


def test_a_snapshot_without_ref_is_staged(make: Any) -> None:
    new = make.apply(make.history(1), make.add_snapshot(2, 1))
    assert new["current-snapshot-id"] == 1
    assert len(new["snapshots"]) == 2
    assert len(new["snapshot-log"]) == 1


def test_a_known_id_is_refused(make: Any) -> None:
    base = make.history(1)
    text = refusal(make, base, make.add_snapshot(1, sequence_number=9))
    assert text == "Snapshot already exists for id: 1"


def test_a_stale_sequence_number_is_a_conflict(make: Any) -> None:
    with pytest.raises(CommitFailedError) as conflict:
        make.apply(make.history(2), *make.append(9, 1, sequence_number=2))
    assert conflict.value.message == (
        "Cannot add snapshot with sequence number 2 older than last sequence number 2"
    )


def test_a_late_snapshot_without_parent_never_counts_back(make: Any) -> None:
    base = make.history(2)
    new = make.apply(base, *make.append(9, sequence_number=1))
    assert new["last-sequence-number"] == 2


def test_v1_has_no_sequence_numbers(make: Any) -> None:
    new = make.apply(make.table(1), *make.append(1), *make.append(2, 1))
    assert "last-sequence-number" not in new
    assert not any("sequence-number" in snapshot for snapshot in new["snapshots"])


def test_v3_counts_rows(make: Any) -> None:
    base = make.table(3)
    one = make.apply(base, *make.append(1, first_row_id=0, added_rows=10))
    two = make.apply(one, *make.append(2, 1, first_row_id=10, added_rows=5))
    assert (one["next-row-id"], two["next-row-id"]) == (10, 15)
    assert two["snapshots"][1]["first-row-id"] == 10
    gap = make.apply(base, *make.append(1, first_row_id=100, added_rows=5))
    assert gap["next-row-id"] == 105


def test_a_stale_first_row_id_is_a_conflict(make: Any) -> None:
    base = make.history(2, version=3)
    with pytest.raises(CommitFailedError) as conflict:
        make.apply(base, *make.append(3, 2, first_row_id=1, added_rows=1))
    assert conflict.value.message == (
        "Cannot add a snapshot, first-row-id is behind table next-row-id: 1 < 2"
    )


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({}, "Cannot add a snapshot: first-row-id is null"),
        (
            {"first_row_id": 0},
            "Invalid added-rows (required when first-row-id is set): null",
        ),
        ({"first_row_id": -1, "added_rows": 1}, "first-row-id (cannot be negative): -1"),
        ({"first_row_id": 0, "added_rows": -1}, "added-rows (cannot be negative): -1"),
        ({"first_row_id": 2**63 - 1, "added_rows": 9}, "an integer beyond 64 bits"),
    ],
)
def test_v3_needs_row_ids(make: Any, more: dict[str, int], text: str) -> None:
    assert text in refusal(make, make.table(3), *make.append(1, **more))


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({"sequence_number": None}, "field sequence-number: must be an integer, got null"),
        ({"timestamp_ms": "now"}, "field timestamp-ms: must be an integer, got 'now'"),
        ({"manifest_list": None}, "field manifest-list: must be a string, got null"),
        ({"summary": {}}, "field summary: missing field operation"),
        ({"summary": {"operation": "merge"}}, "operation must be one of append, replace"),
        ({"summary": {"operation": "append", "n": 1}}, "value of 'n': must be a string, got 1"),
        ({"schema_id": True}, "field schema-id: must be an integer, got true"),
        ({"parent_snapshot_id": 2**63}, "an integer beyond 64 bits does not fit in 64 bits"),
    ],
)
def test_a_malformed_snapshot_is_refused_by_name(
    make: Any, more: dict[str, Any], text: str
) -> None:
    message = refusal(make, make.table(), make.add_snapshot(1, **more))
    assert message.startswith("Invalid snapshot of add-snapshot update")
    assert text in message


def test_the_id_that_means_no_snapshot_is_refused(make: Any) -> None:
    text = "field snapshot-id: -1 means that there is no snapshot"
    assert text in refusal(make, make.table(), *make.append(-1, sequence_number=1, timestamp_ms=1))
    broken = make.history(1) | {"refs": {}, "snapshots": [make.snapshot(-1)]}
    del broken["current-snapshot-id"]
    with pytest.raises(BadRequestError, match="-1 means that there is no snapshot"):
        table.check_readable(table.validate(broken))


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("schemas", "Attempting to add a snapshot before a schema is added"),
        ("partition-specs", "Attempting to add a snapshot before a partition spec is added"),
        ("sort-orders", "Attempting to add a snapshot before a sort order is added"),
    ],
)
def test_a_snapshot_needs_a_table_around_it(make: Any, key: str, text: str) -> None:
    steps = {
        "schemas": {"action": "add-schema", "schema": make.events()},
        "partition-specs": make.add_spec(),
        "sort-orders": make.add_order(),
    }
    before = list(steps)[: list(steps).index(key)]
    updates = [steps[name] for name in before]
    assert refusal(make, None, *updates, make.add_snapshot(1)) == text


def test_a_snapshot_far_older_than_the_log_is_refused(make: Any) -> None:
    base = make.history(1)
    at = make.created_ms + 1
    fine = make.apply(base, *make.append(2, 1, timestamp_ms=at - 60_000))
    assert fine["snapshot-log"][-1]["timestamp-ms"] == at - 60_000
    text = refusal(make, base, *make.append(2, 1, timestamp_ms=at - 60_001))
    assert text == (
        f"Invalid snapshot timestamp {at - 60_001}: before last snapshot log entry at {at}"
    )


def test_a_snapshot_ahead_of_the_clock_cannot_be_main(make: Any) -> None:
    now = make.created_ms + 2_000_000
    base = make.history(1)
    fine = make.apply(base, *make.append(2, 1, timestamp_ms=now + 60_000), now_ms=now)
    assert fine["last-updated-ms"] == fine["snapshot-log"][-1]["timestamp-ms"] == now + 60_000
    assert make.apply(fine, *make.append(3, 2, timestamp_ms=now), now_ms=now)
    for ahead in (now + 60_001, 1000 * now):  # the last are microseconds
        with pytest.raises(BadRequestError) as error:
            make.apply(base, *make.append(2, 1, timestamp_ms=ahead), now_ms=now)
        assert error.value.message == (
            f"Invalid update timestamp {now}: before last snapshot log entry at {ahead}. "
            f"The snapshot's timestamp is {ahead - now} ms ahead of the server's clock, "
            "at most 60000 are allowed"
        )


def test_a_snapshot_ahead_of_the_clock_is_fine_on_another_branch(make: Any) -> None:
    now, ahead = make.created_ms + 2_000_000, make.created_ms + 10_000_000
    on_branch = [make.add_snapshot(2, 1, timestamp_ms=ahead), make.set_ref("audit", 2)]
    base = make.apply(make.history(1), *on_branch, now_ms=now)
    assert base["last-updated-ms"] == now
    new = make.apply(base, make.set_ref("main", 2), now_ms=now)
    assert new["snapshot-log"][-1] == {"snapshot-id": 2, "timestamp-ms": now}
    assert make.apply(new, *make.append(3, 2, timestamp_ms=now), now_ms=now)


def test_only_the_last_of_a_request_s_snapshots_must_be_in_time(make: Any) -> None:
    now, ahead = make.created_ms + 1_000, make.created_ms + 10_000_000
    base = make.history(1)
    first = make.append(2, 1, timestamp_ms=ahead)
    new = make.apply(base, *first, *make.append(3, 2, timestamp_ms=now), now_ms=now)
    assert [entry["snapshot-id"] for entry in new["snapshot-log"]] == [1, 3]
    with pytest.raises(BadRequestError, match="ahead of the server's clock"):
        make.apply(base, *make.append(2, 1), *make.append(3, 2, timestamp_ms=ahead), now_ms=now)


def test_a_table_that_is_created_with_a_snapshot_ahead_is_refused(make: Any) -> None:
    steps = [
        {"action": "add-schema", "schema": make.events()},
        make.set_schema(-1),
        make.add_spec(),
        make.set_spec(-1),
        make.add_order(),
        make.set_order(-1),
        {"action": "set-location", "location": "file:/warehouse/t"},
    ]
    now = make.created_ms
    assert make.apply(None, *steps, *make.append(1, timestamp_ms=now), now_ms=now)
    with pytest.raises(BadRequestError, match="ahead of the server's clock"):
        make.apply(None, *steps, *make.append(1, timestamp_ms=now + 70_000), now_ms=now)


@pytest.mark.parametrize("version", [1, 2, 3])
def test_times_that_are_ahead_are_set_back(make: Any, version: int) -> None:
    now, ahead = make.created_ms + 1_000, 1000 * make.created_ms
    base = make.history(2, version)
    more = {"first_row_id": 2, "added_rows": 1} if version == 3 else {}
    blocked = make.apply(base, *make.append(3, 2, timestamp_ms=ahead, **more), now_ms=ahead)
    blocked = make.apply(
        blocked, make.set_ref("main", 2), now_ms=now, metadata_location="file:/1.json"
    )
    assert clock.is_ahead(blocked, now)
    assert not clock.is_ahead(base, now)
    new = clock.set_back(blocked, "file:/2.json", now)
    assert not clock.is_ahead(new, now)
    assert table.validate(new) is new
    assert [entry["snapshot-id"] for entry in new["snapshot-log"]] == [1, 2, 3, 2]
    assert [entry["timestamp-ms"] - make.created_ms for entry in new["snapshot-log"]] == [
        1,
        2,
        1_000,
        1_000,
    ]
    assert [snapshot["timestamp-ms"] - make.created_ms for snapshot in new["snapshots"]] == [
        1,
        2,
        1_000,
    ]
    assert new["last-updated-ms"] == now
    assert new["metadata-log"] == [
        {"metadata-file": "file:/1.json", "timestamp-ms": now},
        {"metadata-file": "file:/2.json", "timestamp-ms": now},
    ]
    more = {"first_row_id": 3, "added_rows": 1} if version == 3 else {}
    assert make.apply(new, *make.append(4, 2, timestamp_ms=now, **more), now_ms=now)


def statistics(snapshot_id: int) -> dict[str, Any]:
    return {
        "snapshot-id": snapshot_id,
        "statistics-path": f"s{snapshot_id}.puffin",
        "file-size-in-bytes": 1,
        "file-footer-size-in-bytes": 1,
        "blob-metadata": [],
    }


def test_removed_snapshots_take_statistics_and_older_history_along(make: Any) -> None:
    base = make.apply(
        make.history(3),
        make.set_ref("old", 2, "tag"),
        *({"action": "set-statistics", "statistics": statistics(n)} for n in (2, 3)),
        *(
            {
                "action": "set-partition-statistics",
                "partition-statistics": {
                    "snapshot-id": n,
                    "statistics-path": "p",
                    "file-size-in-bytes": 1,
                },
            }
            for n in (2, 3)
        ),
    )
    new = make.apply(
        base,
        {"action": "remove-snapshots", "snapshot-ids": [2, 55]},
        {"action": "remove-snapshot-ref", "ref-name": "old"},
    )
    assert [snapshot["snapshot-id"] for snapshot in new["snapshots"]] == [1, 3]
    assert set(new["refs"]) == {"main"}
    assert [entry["snapshot-id"] for entry in new["snapshot-log"]] == [3]
    assert [file["snapshot-id"] for file in new["statistics"]] == [3]
    assert [file["snapshot-id"] for file in new["partition-statistics"]] == [3]
    assert new["snapshots"][1]["parent-snapshot-id"] == 2


def test_removing_the_current_snapshot_leaves_none(make: Any) -> None:
    new = make.apply(
        make.history(2),
        {"action": "remove-snapshot-ref", "ref-name": "main"},
        {"action": "remove-snapshots", "snapshot-ids": [2]},
    )
    assert "current-snapshot-id" not in new
    assert new["refs"] == {}
    assert new["snapshot-log"] == []


def test_a_ref_goes_only_when_it_is_told_to(make: Any) -> None:
    """It may have come since the writer looked, who then would take it unseen."""
    base = make.apply(make.history(3), make.set_ref("kept", 1, "tag"))
    removal = {"action": "remove-snapshots", "snapshot-ids": [1]}
    with pytest.raises(CommitFailedError, match="tag kept is at it"):
        make.apply(base, removal)
    main = {"action": "remove-snapshots", "snapshot-ids": [3]}
    with pytest.raises(CommitFailedError, match="branch main is at it"):
        make.apply(base, main)
    moved = make.apply(base, removal, make.set_ref("kept", 2, "tag"))
    assert moved["refs"]["kept"]["snapshot-id"] == 2
    rolled_back = make.apply(base, make.set_ref("main", 2), main)
    assert rolled_back["current-snapshot-id"] == 2


def test_removing_unknown_snapshots_is_no_change(make: Any) -> None:
    base = make.history(1)
    assert make.apply(base, {"action": "remove-snapshots", "snapshot-ids": [9]}) is base


def test_refs_only_hides_other_snapshots_and_their_statistics(make: Any) -> None:
    base = make.apply(
        make.history(3),
        make.set_ref("first", 1, "tag"),
        *({"action": "set-statistics", "statistics": statistics(n)} for n in (1, 2, 3)),
    )
    shown = table.filter_snapshots_to_refs(base)
    assert [snapshot["snapshot-id"] for snapshot in shown["snapshots"]] == [1, 3]
    assert [file["snapshot-id"] for file in shown["statistics"]] == [1, 3]
    assert shown["refs"] == base["refs"]
    assert shown["snapshot-log"] == base["snapshot-log"]
    assert len(base["snapshots"]) == 3


def statistics_of(snapshot_id: int) -> dict[str, Any]:
    return {
        "snapshot-id": snapshot_id,
        "statistics-path": f"file:/warehouse/events/{snapshot_id}.puffin",
        "file-size-in-bytes": 1,
        "file-footer-size-in-bytes": 1,
        "blob-metadata": [],
    }


def removal(*ids: int) -> dict[str, Any]:
    return {"action": "remove-snapshots", "snapshot-ids": list(ids)}


def test_one_removal_for_each_snapshot_costs_as_much_as_one_list(
    make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Java's client sends one for each, with removals of refs and statistics between them."""
    count = 300
    tags = [make.set_ref(f"tag{n}", n, "tag") for n in range(1, count)]
    files = [
        {"action": "set-statistics", "snapshot-id": n, "statistics": statistics_of(n)}
        for n in range(1, count)
    ]
    base = make.apply(make.history(count), *tags, *files)
    calls: list[int] = []

    def counted(builder: Any, update: Any) -> None:
        calls.append(len(update["snapshot-ids"]))
        snapshots.remove(builder, update)

    monkeypatch.setitem(table.UPDATES, "remove-snapshots", counted)
    updates = []
    for number in range(1, count):
        updates += [
            {"action": "remove-snapshot-ref", "ref-name": f"tag{number}"},
            removal(number),
            {"action": "remove-statistics", "snapshot-id": number},
        ]
    one_by_one = make.apply(base, *updates)
    assert calls == [count - 1]
    refs = [update for update in updates if update["action"] == "remove-snapshot-ref"]
    at_once = make.apply(base, removal(*range(1, count)), *refs)
    assert {**one_by_one, "last-updated-ms": 0} == {**at_once, "last-updated-ms": 0}
    assert [one["snapshot-id"] for one in one_by_one["snapshots"]] == [count]
    assert one_by_one["statistics"] == []
    assert list(one_by_one["refs"]) == ["main"]


STEPS = st.one_of(
    st.lists(st.integers(1, 7), min_size=1, max_size=2).map(lambda ids: removal(*ids)),
    st.sampled_from(["main", "a", "b"]).map(
        lambda name: {"action": "remove-snapshot-ref", "ref-name": name}
    ),
    st.tuples(st.sampled_from(["main", "a", "b"]), st.integers(1, 7)).map(
        lambda pair: {
            "action": "set-snapshot-ref",
            "ref-name": pair[0],
            "type": "branch",
            "snapshot-id": pair[1],
        }
    ),
    st.integers(1, 7).map(lambda n: {"action": "remove-statistics", "snapshot-id": n}),
    st.integers(1, 7).map(
        lambda n: {"action": "set-statistics", "snapshot-id": n, "statistics": statistics_of(n)}
    ),
    st.just({"action": "set-properties", "updates": {"k": "v"}}),
)


@given(steps=st.lists(STEPS, max_size=8))
@settings(max_examples=300)
def test_removals_may_be_joined_wherever_they_stand(make: Any, steps: list[dict[str, Any]]) -> None:
    """The result is that of one update after the other, or the same kind of error."""
    base = make.apply(make.history(6), make.set_ref("a", 3), make.set_ref("b", 5))

    def outcome() -> Any:
        try:
            return make.apply(base, *steps)
        except CatalogError as error:
            return type(error)

    joined = outcome()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(table, "_with_removals_joined", lambda named: named)
        assert joined == outcome()
