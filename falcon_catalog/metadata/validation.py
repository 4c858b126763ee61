"""Check a metadata file that somebody else wrote, before a catalog serves it.

Source: ``TableMetadata`` of the REST specification; what clients do without a field is
a crash at worst, so nothing they read may be missing.
"""

from collections.abc import Callable, Iterable
from typing import Any

from falcon_catalog.errors import BadRequestError
from falcon_catalog.metadata import partitioning, properties, refs, schemas, sorting
from falcon_catalog.metadata import statistics as statistics_files
from falcon_catalog.metadata.builder import find
from falcon_catalog.metadata.defaults import with_defaults
from falcon_catalog.metadata.json_fields import (
    JSON,
    array_of,
    as_integer,
    as_long,
    as_object,
    as_text,
    as_texts,
    optional,
    required,
)

WHERE = "table metadata"

# What `with_defaults` reads before anything else was looked at.
_SHAPES: dict[str, Callable[[object, str], Any]] = {
    "schema": as_object,
    "partition-spec": array_of(as_object),
    "schemas": array_of(as_object),
    "partition-specs": array_of(as_object),
    "sort-orders": array_of(as_object),
    "snapshots": array_of(as_object),
    "snapshot-log": array_of(as_object),
    "metadata-log": array_of(as_object),
    "statistics": array_of(as_object),
    "partition-statistics": array_of(as_object),
    "encryption-keys": array_of(as_object),
    "refs": as_object,
    "properties": as_texts,
    "current-snapshot-id": as_long,
    "table-uuid": as_text,
    "location": as_text,
}
_NUMBERS = (
    "last-updated-ms",
    "last-column-id",
    "current-schema-id",
    "default-spec-id",
    "default-sort-order-id",
    "last-partition-id",
)


def validate(metadata: JSON) -> JSON:
    """Return metadata read from a file, with the defaults of what older versions leave out.

    It is the same object when nothing was left out.

    Raises:
        BadRequestError: a part is missing or wrong; the message names it.
    """
    source = as_object(metadata, WHERE)
    properties.check_version(required(source, "format-version", as_integer, WHERE))
    for key in ("table-uuid", "location"):
        required(source, key, as_text, WHERE)
    for key, read in _SHAPES.items():
        optional(source, key, read, WHERE)
    for spec in source.get("partition-specs") or ():
        _numbered_fields(spec)
    for position, field in enumerate(source.get("partition-spec") or ()):
        optional(field, "field-id", as_integer, f"{WHERE}, partition-spec[{position}]")
    full = with_defaults(metadata)
    for key in _NUMBERS:
        required(full, key, as_long, WHERE)
    _check_layouts(full)
    _check_snapshots(full)
    _check_files(full)
    return full


def _numbered_fields(spec: Any) -> list[JSON]:
    where = f"{WHERE}, partition-specs"
    fields = partitioning.parse_fields(spec, where)
    for field in fields:
        required(field, "field-id", as_integer, where)
    return fields


def _check_layouts(full: JSON) -> None:
    for schema in required(full, "schemas", array_of(as_object), WHERE):
        required(schema, "schema-id", as_integer, f"{WHERE}, schemas")
        schemas.parse(schema, f"{WHERE}, schemas")
    for spec in required(full, "partition-specs", array_of(as_object), WHERE):
        required(spec, "spec-id", as_integer, f"{WHERE}, partition-specs")
    for order in full["sort-orders"]:
        required(order, "order-id", as_integer, f"{WHERE}, sort-orders")
        sorting.parse_fields(order, f"{WHERE}, sort-orders")
    for key, id_key, current_key in (
        ("schemas", "schema-id", "current-schema-id"),
        ("partition-specs", "spec-id", "default-spec-id"),
        ("sort-orders", "order-id", "default-sort-order-id"),
    ):
        if find(full[key], id_key, full[current_key]) is None:
            raise BadRequestError(
                f"Invalid {WHERE}: {current_key} {full[current_key]} is not in {key}"
            )


def _check_snapshots(full: JSON) -> None:
    known = set()
    for snapshot in full["snapshots"]:
        where = f"{WHERE}, snapshots"
        known.add(required(snapshot, "snapshot-id", as_long, where))
        required(snapshot, "timestamp-ms", as_long, where)
        for key in ("parent-snapshot-id", "sequence-number", "first-row-id", "added-rows"):
            optional(snapshot, key, as_long, where)
        optional(snapshot, "summary", as_texts, where)
    for name, ref in full["refs"].items():
        where = f"{WHERE}, refs.{name}"
        if refs.parse(as_object(ref, where), where)["snapshot-id"] not in known:
            raise BadRequestError(
                f"Invalid {where}: snapshot {ref['snapshot-id']} is not in snapshots"
            )
    current, main = full.get("current-snapshot-id"), full["refs"].get(refs.MAIN)
    if main is not None and main["snapshot-id"] != current:
        raise BadRequestError(
            f"Current snapshot ID does not match main branch ({current} != {main['snapshot-id']})"
        )


def _check_files(full: JSON) -> None:
    for key in ("last-sequence-number", "next-row-id"):
        if key in full:
            required(full, key, as_long, WHERE)
    _check_entries(full, "snapshot-log", {"snapshot-id": as_long, "timestamp-ms": as_long})
    _check_entries(full, "metadata-log", {"metadata-file": as_text, "timestamp-ms": as_long})
    _check_entries(full, "encryption-keys", {"key-id": as_text})
    for file in full["statistics"]:
        statistics_files.parse(file, f"{WHERE}, statistics")
    for file in full["partition-statistics"]:
        statistics_files.parse_partition(file, f"{WHERE}, partition-statistics")


def _check_entries(full: JSON, key: str, fields: dict[str, Callable[[object, str], Any]]) -> None:
    entries: Iterable[JSON] = full.get(key, ())
    for entry in entries:
        for field, read in fields.items():
            required(entry, field, read, f"{WHERE}, {key}")
