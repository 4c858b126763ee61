from typing import Any

import pytest
from pyiceberg.table.metadata import TableMetadataUtil

from falcon_catalog.errors import BadRequestError
from falcon_catalog.metadata import table

FULL = {
    "format-version",
    "table-uuid",
    "location",
    "last-updated-ms",
    "last-column-id",
    "current-schema-id",
    "schemas",
    "default-spec-id",
    "partition-specs",
    "last-partition-id",
    "default-sort-order-id",
    "sort-orders",
    "properties",
    "refs",
    "snapshots",
    "statistics",
    "partition-statistics",
    "snapshot-log",
    "metadata-log",
}


@pytest.mark.parametrize(
    ("version", "more"),
    [
        (1, {"schema", "partition-spec"}),
        (2, {"last-sequence-number"}),
        (3, {"last-sequence-number", "next-row-id"}),
    ],
)
def test_a_new_table_has_every_field_of_its_version_and_no_null(
    make: Any, version: int, more: set[str]
) -> None:
    meta = make.table(version)
    assert set(meta) == FULL | more
    assert None not in meta.values()
    assert meta["format-version"] == version
    assert meta["table-uuid"] == make.uuid
    assert meta["last-updated-ms"] == make.created_ms
    assert TableMetadataUtil.parse_obj(meta).format_version == version


def test_the_location_loses_its_trailing_slashes(make: Any) -> None:
    meta = table.create(make.request(), location="s3://bucket/t//", table_uuid=make.uuid, now_ms=1)
    assert meta["location"] == "s3://bucket/t"


def test_columns_are_numbered_afresh_outer_before_inner(make: Any) -> None:
    inner = {"type": "struct", "fields": [make.column(70, "x"), make.column(71, "y")]}
    listed = {"type": "list", "element-id": 60, "element": inner, "element-required": True}
    mapped = {
        "type": "map",
        "key-id": 50,
        "key": "string",
        "value-id": 51,
        "value": listed,
        "value-required": False,
    }
    schema = make.schema(make.column(3, "a", mapped), make.column(4, "b", inner | {"fields": []}))
    fields = make.create(make.request(schema))["schemas"][0]["fields"]
    assert [field["id"] for field in fields] == [1, 2]
    kind = fields[0]["type"]
    assert (kind["key-id"], kind["value-id"]) == (3, 4)
    assert kind["value"]["element-id"] == 5
    assert [field["id"] for field in kind["value"]["element"]["fields"]] == [6, 7]


def test_specs_orders_and_identifiers_follow_their_columns(make: Any) -> None:
    schema = make.schema(
        make.column(30, "b", "string"),
        make.column(10, "a", "long", required=True),
        identifier_field_ids=[10],
    )
    meta = make.create(
        make.request(
            schema,
            partition_spec={"spec-id": 7, "fields": [make.partition(10, "bucket[4]", "a_bucket")]},
            write_order={"order-id": 9, "fields": [make.sort(30)]},
        )
    )
    assert meta["last-column-id"] == 2
    assert meta["schemas"][0]["schema-id"] == meta["current-schema-id"] == 0
    assert meta["schemas"][0]["identifier-field-ids"] == [2]
    assert meta["partition-specs"] == [
        {
            "spec-id": 0,
            "fields": [
                {"source-id": 2, "transform": "bucket[4]", "name": "a_bucket", "field-id": 1000}
            ],
        }
    ]
    assert meta["last-partition-id"] == 1000
    assert meta["sort-orders"] == [{"order-id": 1, "fields": [make.sort(1)]}]
    assert meta["default-sort-order-id"] == 1


def test_a_table_without_spec_and_order_gets_the_empty_ones(make: Any) -> None:
    meta = make.table()
    assert meta["partition-specs"] == [{"spec-id": 0, "fields": []}]
    assert meta["sort-orders"] == [{"order-id": 0, "fields": []}]
    assert (meta["default-spec-id"], meta["default-sort-order-id"]) == (0, 0)
    assert meta["last-partition-id"] == 999


def test_reserved_properties_are_consumed_and_zstd_is_the_default(make: Any) -> None:
    given = {"format-version": "1", "uuid": "x", "snapshot-count": "3", "owner": "me"}
    meta = make.create(make.request(properties=given))
    assert meta["format-version"] == 1
    assert meta["properties"] == {"write.parquet.compression-codec": "zstd", "owner": "me"}


def test_a_compression_the_client_chose_stays(make: Any) -> None:
    meta = make.table(properties={"write.parquet.compression-codec": "snappy"})
    assert meta["properties"] == {"write.parquet.compression-codec": "snappy"}


def test_the_default_version_is_2(make: Any) -> None:
    assert make.create(make.request())["format-version"] == 2


@pytest.mark.parametrize(
    ("properties", "text"),
    [
        ({"format-version": "4"}, "Unsupported format version: v4 (supported: v3)"),
        ({"format-version": "0"}, "Unsupported format version: v0 (supported: v3)"),
        ({"format-version": "two"}, "Invalid property format-version: 'two' is not an integer"),
        (
            {"commit.retry.num-retries": "x"},
            "Table property commit.retry.num-retries must have integer value",
        ),
        (
            {"commit.retry.min-wait-ms": "-1"},
            "Table property commit.retry.min-wait-ms must have non negative integer value",
        ),
        (
            {"write.metadata.metrics.column.nope": "full"},
            (
                "Invalid metrics config, could not find column nope from table prop "
                "write.metadata.metrics.column.nope"
            ),
        ),
        (
            {"owner": 5},
            (
                "Invalid create table request, field properties, value of 'owner': "
                "must be a string, got 5"
            ),
        ),
    ],
)
def test_bad_properties_are_refused(make: Any, properties: dict[str, Any], text: str) -> None:
    with pytest.raises(BadRequestError) as refusal:
        make.create(make.request(properties=properties))
    assert refusal.value.message == text


def test_metrics_of_a_nested_column_are_fine(make: Any) -> None:
    key = "write.metadata.metrics.column.place.city"
    assert make.table(properties={key: "full"})["properties"][key] == "full"


@pytest.mark.parametrize(
    ("more", "text"),
    [
        (
            {"partition_spec": {"fields": [{"source-id": 9, "transform": "day", "name": "d"}]}},
            "Cannot find source column for partition field: 1000: d: day(9)",
        ),
        (
            {
                "write_order": {
                    "fields": [
                        {
                            "source-id": 9,
                            "transform": "identity",
                            "direction": "desc",
                            "null-order": "nulls-last",
                        }
                    ]
                }
            },
            "Cannot find source column for sort field: identity(9) DESC NULLS LAST",
        ),
        (
            {"schema": None},
            "Invalid create table request, field schema: must be an object, got null",
        ),
    ],
)
def test_bad_parts_are_refused(make: Any, more: dict[str, Any], text: str) -> None:
    with pytest.raises(BadRequestError) as refusal:
        make.create(make.request() | {key.replace("_", "-"): v for key, v in more.items()})
    assert refusal.value.message == text


def test_a_request_without_schema_names_it(make: Any) -> None:
    with pytest.raises(BadRequestError, match="Invalid create table request: missing field schema"):
        make.create({"name": "events"})


def test_the_request_is_not_changed(make: Any) -> None:
    request = make.request(partition_spec={"fields": [make.partition(3, "day", "at_day")]})
    before = repr(request)
    make.create(request)
    assert repr(request) == before
