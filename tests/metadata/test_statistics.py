from typing import Any

import pytest

from falcon_catalog.errors import BadRequestError


def file(snapshot_id: int, **more: Any) -> dict[str, Any]:
    blob = {
        "type": "apache-datasketches-theta-v1",
        "snapshot-id": snapshot_id,
        "sequence-number": 1,
        "fields": [1],
        "properties": {"ndv": "3"},
    }
    return {
        "snapshot-id": snapshot_id,
        "statistics-path": "file:/s.puffin",
        "file-size-in-bytes": 40,
        "file-footer-size-in-bytes": 4,
        "blob-metadata": [blob],
        **more,
    }


def partition_file(snapshot_id: int, size: int = 9) -> dict[str, Any]:
    return {"snapshot-id": snapshot_id, "statistics-path": "p", "file-size-in-bytes": size}


def test_a_snapshot_has_one_statistics_file(make: Any) -> None:
    first = {"action": "set-statistics", "snapshot-id": 1, "statistics": file(1)}
    other = {"action": "set-statistics", "statistics": file(2)}
    second = {"action": "set-statistics", "statistics": file(1, **{"statistics-path": "t"})}
    new = make.apply(make.history(2), first, other, second)
    assert new["statistics"] == [other["statistics"], second["statistics"]]


def test_a_snapshot_has_one_partition_statistics_file(make: Any) -> None:
    updates = [
        {"action": "set-partition-statistics", "partition-statistics": partition_file(1, size)}
        for size in (9, 10)
    ]
    new = make.apply(make.history(1), *updates)
    assert new["partition-statistics"] == [partition_file(1, 10)]


def test_statistics_are_removed_and_absent_ones_are_no_change(make: Any) -> None:
    base = make.apply(
        make.history(2),
        {"action": "set-statistics", "statistics": file(1)},
        {"action": "set-partition-statistics", "partition-statistics": partition_file(1)},
    )
    new = make.apply(
        base,
        {"action": "remove-statistics", "snapshot-id": 1},
        {"action": "remove-partition-statistics", "snapshot-id": 1},
    )
    assert new["statistics"] == new["partition-statistics"] == []
    assert make.apply(base, {"action": "remove-statistics", "snapshot-id": 2}) is base
    assert make.apply(base, {"action": "remove-partition-statistics", "snapshot-id": 2}) is base


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({"file-size-in-bytes": -1}, "field file-size-in-bytes: must not be negative, got -1"),
        ({"blob-metadata": None}, "field blob-metadata: must be an array, got null"),
        ({"blob-metadata": [{}]}, "field blob-metadata[0]: missing field type"),
        ({"statistics-path": 1}, "field statistics-path: must be a string, got 1"),
    ],
)
def test_malformed_statistics_are_refused(make: Any, more: dict[str, Any], text: str) -> None:
    with pytest.raises(BadRequestError) as refusal:
        make.apply(make.history(1), {"action": "set-statistics", "statistics": file(1, **more)})
    assert refusal.value.message.startswith("Invalid set-statistics update, field statistics")
    assert text in refusal.value.message
