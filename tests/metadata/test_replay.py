from typing import Any

import pytest

from falcon_catalog.metadata.table import is_replay


def test_a_commit_that_comes_again_is_a_replay(make: Any) -> None:
    base = make.history(1)
    updates = make.append(2, 1)
    assert not is_replay(base, updates)
    assert is_replay(make.apply(base, *updates), updates)


def test_two_snapshots_in_one_commit_are_replayed_too(make: Any) -> None:
    updates = [*make.append(2, 1), *make.append(3, 2)]
    assert is_replay(make.apply(make.history(1), *updates), updates)


@pytest.mark.parametrize("version", [1, 2, 3])
def test_every_version_replays(make: Any, version: int) -> None:
    more = {"first_row_id": 5, "added_rows": 1} if version == 3 else {}
    updates = make.append(9, 1, **more)
    assert is_replay(make.apply(make.history(1, version), *updates), updates)


def test_other_content_under_the_same_id_is_none(make: Any) -> None:
    updates = make.append(2, 1)
    base = make.apply(make.history(1), *updates)
    assert not is_replay(base, make.append(2, 1, manifest_list="file:/other.avro"))
    assert not is_replay(base, make.append(2, 1, summary={"operation": "delete"}))


def test_a_commit_that_others_built_on_is_a_replay(make: Any) -> None:
    """Told that it failed, its writer would delete files that the table is made of."""
    base = make.history(3)
    assert is_replay(base, make.append(2, 1))
    assert is_replay(base, make.append(3, 2))


def test_a_commit_that_was_rolled_back_is_none(make: Any) -> None:
    base = make.apply(make.history(2), make.set_ref("main", 1))
    assert not is_replay(base, make.append(2, 1))


def test_a_commit_without_snapshot_or_ref_is_none(make: Any) -> None:
    base = make.history(1)
    assert not is_replay(base, [])
    assert not is_replay(base, [make.set_ref("main", 1)])
    assert not is_replay(base, [make.add_snapshot(1)])
    assert not is_replay(None, make.append(1))


def test_part_of_a_commit_is_none(make: Any) -> None:
    base = make.history(1)
    assert not is_replay(base, [*make.append(1), *make.append(2, 1)])
    assert not is_replay(base, [*make.append(1), make.set_ref("audit", 1)])


@pytest.mark.parametrize(
    "updates",
    [None, 5, [5], [{"action": "add-snapshot"}], [{"action": "add-snapshot", "snapshot": {}}]],
)
def test_malformed_updates_are_none(make: Any, updates: Any) -> None:
    assert not is_replay(make.history(1), updates)
    unhashable = {"action": "set-snapshot-ref", "ref-name": [], "type": "tag", "snapshot-id": 1}
    assert not is_replay(make.history(1), [*make.append(1), unhashable])
