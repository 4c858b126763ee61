import re
from typing import Any

import pytest
from pyiceberg.table.metadata import TableMetadataUtil

from falcon_catalog.errors import BadRequestError
from falcon_catalog.metadata import table


def duckdb_commit(make: Any, staged: dict[str, Any], version: int = 2) -> list[dict[str, Any]]:
    """Return the updates in the order DuckDB commits a staged create: current schema last."""
    return [
        {"action": "assign-uuid", "uuid": staged["table-uuid"]},
        {"action": "upgrade-format-version", "format-version": version},
        {"action": "add-schema", "schema": staged["schemas"][0], "last-column-id": 5},
        {"action": "add-spec", "spec": staged["partition-specs"][0]},
        make.set_spec(0),
        {"action": "add-sort-order", "sort-order": staged["sort-orders"][0]},
        make.set_order(staged["default-sort-order-id"]),
        {"action": "set-location", "location": staged["location"]},
        {"action": "set-properties", "updates": staged["properties"]},
        make.set_schema(0),
    ]


@pytest.mark.parametrize("version", [1, 2, 3])
@pytest.mark.parametrize("order", [None, 2])
def test_a_staged_create_becomes_what_was_staged(
    make: Any, version: int, order: int | None
) -> None:
    staged = make.table(
        version,
        partition_spec={"fields": [make.partition(3, "day", "at_day")]},
        write_order={"fields": [make.sort(order)] if order else []},
    )
    updates = duckdb_commit(make, staged, version)
    assert make.apply(None, *updates, now_ms=make.created_ms) == staged


def test_repeating_the_creation_on_the_table_changes_nothing(make: Any) -> None:
    base = make.table(properties={"a": "1"})
    updates = duckdb_commit(make, base)
    without_properties = [item for item in updates if item["action"] != "set-properties"]
    assert make.apply(base, *without_properties) is base


def test_create_table_as_select_is_one_commit(make: Any) -> None:
    new = make.apply(None, *duckdb_commit(make, make.table()), *make.append(1))
    assert new["current-snapshot-id"] == 1
    assert [entry["snapshot-id"] for entry in new["snapshot-log"]] == [1]
    assert TableMetadataUtil.parse_obj(new).current_snapshot_id == 1


def test_the_first_upgrade_names_the_version_and_2_is_the_default(make: Any) -> None:
    updates = duckdb_commit(make, make.table(1))
    plain = [item for item in updates if item["action"] != "upgrade-format-version"]
    upgrade = {"action": "upgrade-format-version", "format-version": 1}
    assert make.apply(None, *plain)["format-version"] == 2
    assert make.apply(None, *plain, upgrade)["format-version"] == 1
    assert make.apply(None, *plain, upgrade, {**upgrade, "format-version": 3})["next-row-id"] == 0


def test_reserved_properties_are_consumed(make: Any) -> None:
    updates = duckdb_commit(make, make.table())
    reserved = {"action": "set-properties", "updates": {"format-version": "2", "b": "1"}}
    assert "format-version" not in make.apply(None, *updates, reserved)["properties"]


def test_a_create_without_uuid_gets_one(make: Any) -> None:
    new = make.apply(None, *duckdb_commit(make, make.table())[1:])
    assert re.fullmatch(r"[0-9a-f-]{36}", new["table-uuid"])


@pytest.mark.parametrize(
    ("missing", "text"),
    [
        ({"add-schema", "add-spec", "add-sort-order"}, "Schemas cannot be null or empty"),
        ({"add-schema"}, "Cannot add a partition spec before a schema is added"),
        ({"add-spec"}, "Partition specs cannot be null or empty"),
        ({"add-sort-order"}, "Sort orders cannot be null or empty"),
        ({"set-location"}, "Location cannot be null: a set-location update is missing"),
    ],
)
def test_an_incomplete_create_is_refused(make: Any, missing: set[str], text: str) -> None:
    updates = [item for item in duckdb_commit(make, make.table()) if item["action"] not in missing]
    with pytest.raises(BadRequestError) as refusal:
        make.apply(None, *updates)
    assert refusal.value.message == text


def test_a_create_in_version_4_is_refused(make: Any) -> None:
    with pytest.raises(BadRequestError, match=r"Unsupported format version: v4 \(supported: v3\)"):
        make.apply(None, {"action": "upgrade-format-version", "format-version": 4})


def test_an_order_that_is_the_default_must_exist(make: Any) -> None:
    updates = [
        {**item, "sort-order": {"order-id": 1, "fields": [make.sort(1)]}}
        if item["action"] == "add-sort-order"
        else item
        for item in duckdb_commit(make, make.table())
    ]
    with pytest.raises(BadRequestError, match="Cannot find default sort order: 0"):
        table.apply(None, updates, now_ms=1)
