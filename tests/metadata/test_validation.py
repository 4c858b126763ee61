import copy
from typing import Any

import pytest
from pyiceberg.table.metadata import TableMetadataUtil

from falcon_catalog.errors import BadRequestError
from falcon_catalog.metadata import table


@pytest.mark.parametrize("version", [1, 2, 3])
def test_what_this_catalog_writes_is_valid_as_it_is(make: Any, version: int) -> None:
    meta = make.history(2, version)
    assert table.validate(meta) is meta


def old_v1(make: Any) -> dict[str, Any]:
    """Return a v1 file from before schemas, specs and orders had ids."""
    schema = {"type": "struct", "fields": make.events()["fields"]}
    return {
        "format-version": 1,
        "table-uuid": make.uuid,
        "location": "file:/old",
        "last-updated-ms": make.created_ms,
        "last-column-id": 5,
        "schema": schema,
        "partition-spec": [make.partition(3, "day", "at_day")],
        "properties": None,
        "current-snapshot-id": -1,
        "snapshots": None,
    }


def test_an_old_file_is_filled_in(make: Any) -> None:
    full = table.validate(old_v1(make))
    assert full["schemas"] == [{**old_v1(make)["schema"], "schema-id": 0}]
    assert full["partition-specs"] == [
        {"spec-id": 0, "fields": [make.partition(3, "day", "at_day", field_id=1000)]}
    ]
    assert full["sort-orders"] == [{"order-id": 0, "fields": []}]
    assert full["last-partition-id"] == 1000
    assert full["properties"] == full["refs"] == {}
    assert full["snapshots"] == full["snapshot-log"] == []
    assert "current-snapshot-id" not in full
    assert TableMetadataUtil.parse_obj(full).format_version == 1


def test_an_old_file_can_be_committed_to(make: Any) -> None:
    base = table.with_defaults(old_v1(make))
    same_ref = {"action": "remove-snapshot-ref", "ref-name": "main"}
    assert make.apply(base, same_ref) is base
    new = make.apply(base, *make.append(1), metadata_location="0.json")
    assert table.validate(new) is new
    assert new["current-snapshot-id"] == 1
    table.check_requirements(base, [{"type": "assert-default-spec-id", "default-spec-id": 0}])


def test_main_and_the_current_snapshot_follow_from_each_other(make: Any) -> None:
    meta = make.history(1)
    without_refs = {key: value for key, value in meta.items() if key != "refs"}
    assert table.validate(without_refs)["refs"] == meta["refs"]
    without_current = {k: v for k, v in meta.items() if k != "current-snapshot-id"}
    assert table.validate(without_current)["current-snapshot-id"] == 1


@pytest.mark.parametrize(
    "key",
    [
        "format-version",
        "table-uuid",
        "location",
        "last-updated-ms",
        "last-column-id",
        "current-schema-id",
        "schemas",
        "default-spec-id",
        "partition-specs",
    ],
)
def test_what_cannot_be_guessed_must_be_there(make: Any, key: str) -> None:
    meta = {name: value for name, value in make.history(1).items() if name != key}
    with pytest.raises(BadRequestError) as refusal:
        table.validate(meta)
    assert refusal.value.message == f"Invalid table metadata: missing field {key}"


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"format-version": 4}, "Unsupported format version: v4 (supported: v3)"),
        ({"current-schema-id": 9}, "current-schema-id 9 is not in schemas"),
        ({"default-spec-id": 9}, "default-spec-id 9 is not in partition-specs"),
        ({"default-sort-order-id": 9}, "default-sort-order-id 9 is not in sort-orders"),
        ({"location": 5}, "field location: must be a string, got 5"),
        ({"snapshots": [{}]}, "snapshots: missing field snapshot-id"),
        ({"snapshots": {}}, "field snapshots: must be an array, got an object"),
        ({"refs": {"x": {"type": "tag", "snapshot-id": 4}}}, "snapshot 4 is not in snapshots"),
        ({"refs": {"x": 4}}, "refs.x: must be an object, got 4"),
        ({"current-snapshot-id": 7}, "does not match main branch (7 != 1)"),
        ({"schemas": [{"schema-id": 0}]}, "schemas: missing field fields"),
        ({"partition-specs": [{"spec-id": 0, "fields": [{}]}]}, "missing field name"),
        ({"sort-orders": [{"fields": []}]}, "sort-orders: missing field order-id"),
        ({"snapshot-log": [{}]}, "snapshot-log: missing field snapshot-id"),
        ({"metadata-log": [{}]}, "metadata-log: missing field metadata-file"),
        ({"statistics": [{}]}, "statistics: missing field snapshot-id"),
        ({"properties": {"a": 1}}, "value of 'a': must be a string, got 1"),
        ({"last-sequence-number": "x"}, "last-sequence-number: must be an integer, got 'x'"),
    ],
)
def test_what_is_wrong_is_named(make: Any, change: dict[str, Any], text: str) -> None:
    with pytest.raises(BadRequestError) as refusal:
        table.validate({**make.history(1), **change})
    assert text in refusal.value.message


@pytest.mark.parametrize("value", [None, 5, [], "x"])
def test_what_is_no_object_is_refused(value: Any) -> None:
    with pytest.raises(BadRequestError, match="Invalid table metadata: must be an object"):
        table.validate(value)


def with_transform(make: Any, version: int, transform: str) -> dict[str, Any]:
    """Return a table that is partitioned and sorted by a transform of the column ``name``."""
    meta = make.table(version, partition_spec=None)
    field = make.partition(2, transform, "part", field_id=1000)
    specs = [{"spec-id": 0, "fields": [field]}]
    order = {"order-id": 1, "fields": [make.sort(2, transform)]}
    meta |= {"partition-specs": specs, "last-partition-id": 1000}
    meta |= {"sort-orders": [order], "default-sort-order-id": 1}
    return meta | ({"partition-spec": [field]} if version == 1 else {})


@pytest.mark.parametrize("version", [1, 2, 3])
@pytest.mark.parametrize("transform", ["zorder", "bucketV2[8]", "cube[3,4]", "Geo-Hash", "[", ""])
def test_a_transform_of_a_later_version_can_be_read_but_not_written(
    make: Any, version: int, transform: str
) -> None:
    meta = with_transform(make, version, transform)
    assert table.validate(meta) is meta
    grown = [*make.events()["fields"], make.column(9, "more")]
    new = make.apply(meta, make.add_schema(*grown), make.set_schema(-1))
    assert new["current-schema-id"] == 1
    assert new["partition-specs"] == meta["partition-specs"]
    with pytest.raises(BadRequestError, match="unknown transform"):
        make.apply(meta, make.add_spec(make.partition(2, transform, "part2")))
    with pytest.raises(BadRequestError, match="unknown transform"):
        make.apply(meta, make.add_order(make.sort(2, transform)))


@pytest.mark.parametrize("transform", ["bucket[0]", "bucket[99999999999]", "truncate[0]"])
def test_a_known_transform_of_an_impossible_width_is_refused(make: Any, transform: str) -> None:
    with pytest.raises(BadRequestError, match=r"Invalid|transform"):
        table.validate(with_transform(make, 2, transform))


@pytest.mark.parametrize("part", [{"name": "x"}, {"source-id": 3, "transform": "day"}, 7])
def test_the_partition_fields_of_an_old_file_are_checked(make: Any, part: Any) -> None:
    with pytest.raises(BadRequestError, match="partition-spec"):
        table.validate({**old_v1(make), "partition-spec": [part]})


def test_a_v1_file_without_a_uuid_gets_one_that_every_reader_finds(make: Any) -> None:
    old = {key: value for key, value in old_v1(make).items() if key != "table-uuid"}
    full = table.validate(old)
    assert TableMetadataUtil.parse_obj(copy.deepcopy(full)).table_uuid
    assert table.validate(dict(old)) == full
    assert table.validate({**old, "table-uuid": None}) == full
    other = table.validate({**old, "location": "file:/other"})
    assert other["table-uuid"] != full["table-uuid"]
    assert make.apply(full, *make.append(1))["table-uuid"] == full["table-uuid"]
