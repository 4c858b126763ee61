"""Damaged requests: whatever a client sends, nothing is raised but a CatalogError."""

import copy
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from falcon_catalog.errors import CatalogError
from falcon_catalog.metadata import table

FUZZ = settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow], derandomize=True)

Updates = list[dict[str, Any]]

LAYOUT = ("add-schema", "add-spec", "add-sort-order", "set-statistics")
VERSION_WITH_DEFAULTS = 3
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 8),
    st.sampled_from([2**31, 2**63 - 1, 2**63, -(2**64), 1.5]),
    st.sampled_from(["", "main", "struct", "list", "map", "int", "tag", "day", "void", "x", "4"]),
)
KEYS = st.sampled_from(["type", "fields", "id", "name", "source-id", "snapshot-id", "x"])
JUNK = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=5,
)


def paths(value: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the way to every value inside a JSON value."""
    if not isinstance(value, dict | list):
        return [here]
    inside = value.items() if isinstance(value, dict) else enumerate(value)
    return [here, *(path for key, item in inside for path in paths(item, (*here, key)))]


def damage(data: st.DataObject, value: Any) -> Any:
    """Return a copy with one value somewhere inside replaced or removed."""
    broken = copy.deepcopy(value)
    *way, last = data.draw(st.sampled_from([path for path in paths(value) if path]))
    parent = broken
    for key in way:
        parent = parent[key]
    if data.draw(st.booleans()):
        parent[last] = data.draw(JUNK)
    else:
        del parent[last]
    return broken


def fits_in_a_file(value: Any) -> bool:
    try:
        return bool(orjson.dumps(value))
    except TypeError:  # an integer beyond 64 bits
        return False


def every_update(make: Any) -> Updates:
    """Return one valid update of each kind, for a table of two snapshots."""
    file = {"snapshot-id": 1, "statistics-path": "p", "file-size-in-bytes": 1}
    blob = {"type": "t", "snapshot-id": 1, "sequence-number": 1, "fields": [1], "properties": {}}
    footer = {"file-footer-size-in-bytes": 1, "blob-metadata": [blob]}
    listed = {"type": "list", "element-id": 8, "element": "string", "element-required": True}
    mapped = {"type": "map", "key-id": 10, "key": "int", "value-id": 11, "value": listed}
    columns = [
        *make.events()["fields"],
        make.column(9, "m", {**mapped, "value-required": False}),
        make.column(12, "d", "decimal(9, 2)", doc="d", initial_default="1.00"),
    ]
    return [
        {"action": "assign-uuid", "uuid": make.uuid},
        {"action": "upgrade-format-version", "format-version": 3},
        make.add_schema(*columns, identifier_field_ids=[1]),
        make.set_schema(-1),
        make.add_spec(make.partition(3, "day", "at_day", field_id=1000)),
        make.set_spec(-1),
        make.add_order(make.sort(2)),
        make.set_order(-1),
        make.add_snapshot(7, 2, first_row_id=50, added_rows=2),
        make.set_ref("main", 7, min_snapshots_to_keep=1, max_snapshot_age_ms=1, max_ref_age_ms=1),
        make.set_ref("t", 1, "tag"),
        {"action": "remove-snapshot-ref", "ref-name": "t"},
        {"action": "set-statistics", "statistics": {**file, **footer}},
        {"action": "set-partition-statistics", "partition-statistics": file},
        {"action": "remove-statistics", "snapshot-id": 1},
        {"action": "remove-partition-statistics", "snapshot-id": 1},
        {"action": "remove-snapshots", "snapshot-ids": [1]},
        {"action": "remove-schemas", "schema-ids": [0]},
        {"action": "remove-partition-specs", "spec-ids": [0]},
        {"action": "set-location", "location": "file:/x"},
        {"action": "set-properties", "updates": {"a": "b"}},
        {"action": "remove-properties", "removals": ["a"]},
        {
            "action": "add-encryption-key",
            "encryption-key": {"key-id": "k", "encrypted-key-metadata": "", "properties": {}},
        },
        {"action": "remove-encryption-key", "key-id": "k"},
    ]


def test_the_updates_that_are_damaged_below_are_all_23_and_sound(make: Any) -> None:
    updates = every_update(make)
    assert {update["action"] for update in updates} == set(table.UPDATES)
    new = make.apply(make.history(2), *updates)
    assert table.validate(new) is new


@pytest.mark.parametrize("version", [1, 2, 3])
@FUZZ
@given(data=st.data())
def test_damaged_updates_raise_nothing_but_catalog_errors(
    make: Any, version: int, data: st.DataObject
) -> None:
    base = make.history(2, version) if data.draw(st.integers(0, 9)) else None
    updates = damage(data, every_update(make))
    if data.draw(st.booleans()):
        updates = damage(data, updates)
    before = copy.deepcopy(base)
    try:
        table.is_replay(base, updates)
        new = make.apply(base, *updates)
    except CatalogError:
        new = None
    assert base == before
    if new is not None:
        assert table.validate(new) is new
        assert orjson.loads(orjson.dumps(new)) == new


@FUZZ
@given(data=st.data())
def test_damaged_create_requests_raise_nothing_but_catalog_errors(
    make: Any, data: st.DataObject
) -> None:
    request = make.request(
        every_update(make)[2]["schema"],
        partition_spec={"spec-id": 0, "fields": [make.partition(3, "day", "at_day")]},
        write_order={"order-id": 1, "fields": [make.sort(2)]},
        properties={"format-version": "3", "a": "b"},
    )
    try:
        new = make.create(damage(data, request))
    except CatalogError:
        return
    assert table.validate(new) is new


@FUZZ
@given(data=st.data())
def test_damaged_requirements_raise_nothing_but_catalog_errors(
    make: Any, data: st.DataObject
) -> None:
    requirements = [
        {"type": "assert-table-uuid", "uuid": make.uuid},
        {"type": "assert-ref-snapshot-id", "ref": "main", "snapshot-id": 2},
        {"type": "assert-last-assigned-field-id", "last-assigned-field-id": 5},
        {"type": "assert-current-schema-id", "current-schema-id": 0},
        {"type": "assert-last-assigned-partition-id", "last-assigned-partition-id": 999},
        {"type": "assert-default-spec-id", "default-spec-id": 0},
        {"type": "assert-default-sort-order-id", "default-sort-order-id": 0},
    ]
    base = make.history(2) if data.draw(st.booleans()) else None
    try:
        table.check_requirements(base, damage(data, requirements))
    except CatalogError:
        return
    assert base is not None


@FUZZ
@given(data=st.data())
def test_damaged_metadata_is_refused_or_can_be_committed_to(make: Any, data: st.DataObject) -> None:
    version = data.draw(st.sampled_from([1, 2, 3]))
    layout = [update for update in every_update(make) if update["action"] in LAYOUT]
    sound = make.apply(make.history(2, version), *layout[version < VERSION_WITH_DEFAULTS :])
    damaged = damage(data, sound)
    assume(fits_in_a_file(damaged))
    try:
        meta = table.validate(damaged)
    except CatalogError:
        return
    assert table.validate(meta) is meta
    try:
        new = make.apply(meta, *every_update(make), metadata_location="0.json")
    except CatalogError:
        return
    assert orjson.dumps(new)


@FUZZ
@given(junk=JUNK)
def test_junk_raises_nothing_but_catalog_errors(make: Any, junk: Any) -> None:
    base = make.history(1)
    assert not table.is_replay(base, junk)
    for call in (
        lambda: table.apply(base, junk, now_ms=1),
        lambda: table.apply(None, junk, now_ms=1),
        lambda: table.check_requirements(base, junk),
        lambda: table.validate(junk),
        lambda: make.create(junk),
    ):
        try:
            call()
        except CatalogError:
            continue
