"""Validation of a metadata file that another program wrote, before the catalog serves it.

Source: ``TableMetadata`` of the REST specification. Clients may crash without a field, so nothing
that they read may be missing.
"""

from falcon_catalog.errors import BadRequestError
from falcon_catalog.metadata import partitioning, properties, refs, schemas, snapshots, sorting
from falcon_catalog.metadata import statistics as statistics_files
from falcon_catalog.metadata.builder import ORDERS, SCHEMAS, SPECS
from falcon_catalog.metadata.defaults import EMPTY_ARRAYS, with_defaults
from falcon_catalog.metadata.json_fields import (
    JSON,
    Maybe,
    Reader,
    array_of,
    as_integer,
    as_long,
    as_object,
    as_text,
    as_texts,
    object_of,
    optional,
    required,
)

WHERE = "table metadata"


def _as_objects(value: object, where: str) -> list[JSON]:
    if isinstance(value, list) and all(isinstance(item, dict) for item in value):
        return value  # as almost always, of a hundred thousand snapshots
    array_of(as_object)(value, where)
    return list(value)  # type: ignore[call-overload,no-any-return]


# What `with_defaults` reads before anything else is checked.
_SHAPES: dict[str, Reader] = {
    "schema": as_object,
    **dict.fromkeys(
        ("schemas", "partition-specs", "sort-orders", *EMPTY_ARRAYS, "encryption-keys"),
        _as_objects,
    ),
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
_SNAPSHOT = object_of(
    {
        "snapshot-id": as_long,
        "timestamp-ms": as_long,
        **dict.fromkeys(
            ("parent-snapshot-id", "sequence-number", "first-row-id", "added-rows"), Maybe(as_long)
        ),
        "summary": Maybe(as_texts),
    }
)
# The logs are kept as they are; these are the fields that are read of them.
_ITEMS: dict[str, Reader] = {
    "snapshot-log": object_of({"snapshot-id": as_long, "timestamp-ms": as_long}),
    "metadata-log": object_of({"metadata-file": as_text, "timestamp-ms": as_long}),
    "encryption-keys": object_of({"key-id": as_text}),
    **statistics_files.READERS,
}


def complete(metadata: JSON) -> JSON:
    """Return metadata read from a file, with the defaults of fields that older versions omit.

    Only what that needs is checked: a table that was accepted once stays readable.

    Raises:
        BadRequestError: a part is missing or wrong; the message names it.
    """
    source = as_object(metadata, WHERE)
    version = properties.check_version(required(source, "format-version", as_integer, WHERE))
    for key in ("location",) if version == 1 else ("table-uuid", "location"):
        required(source, key, as_text, WHERE)
    for key, read in _SHAPES.items():
        optional(source, key, read, WHERE)
    for spec in source.get("partition-specs") or ():
        where = f"{WHERE}, partition-specs"
        for field in required(spec, "fields", array_of(partitioning.as_stored_field), where):
            required(field, "field-id", as_integer, where)
    optional(source, "partition-spec", array_of(partitioning.as_stored_field), WHERE)
    return with_defaults(metadata)


def validate(metadata: JSON) -> JSON:
    """Return metadata read from a file, with the defaults of fields that older versions omit.

    It is the same object if nothing is missing.

    Raises:
        BadRequestError: a part is missing or wrong; the message names it.
    """
    full = complete(metadata)
    for key in _NUMBERS:
        required(full, key, as_long, WHERE)
    _check_layouts(full)
    _check_snapshots(full)
    _check_items(full)
    return full


def check_readable(full: JSON) -> None:
    """Raise BadRequestError if other clients could not read valid metadata."""
    for schema in full["schemas"]:
        schemas.check_readable(schema, f"{WHERE}, schemas")
    for snapshot in full["snapshots"]:
        snapshots.check_id(snapshot["snapshot-id"], f"{WHERE}, snapshots")
    for key in full.get("encryption-keys", ()):
        properties.parse_key(key, f"{WHERE}, encryption-keys")
    _, by_id = schemas.parse(SCHEMAS.current(full), f"{WHERE}, schemas", stored=True)
    partitioning.check_bindings(full["partition-specs"], by_id)


def _check_layouts(full: JSON) -> None:
    for schema in required(full, "schemas", array_of(as_object), WHERE):
        required(schema, "schema-id", as_integer, f"{WHERE}, schemas")
        schemas.parse(schema, f"{WHERE}, schemas", stored=True)
    for spec in required(full, "partition-specs", array_of(as_object), WHERE):
        required(spec, "spec-id", as_integer, f"{WHERE}, partition-specs")
    for order in full["sort-orders"]:
        required(order, "order-id", as_integer, f"{WHERE}, sort-orders")
        required(order, "fields", array_of(sorting.as_stored_field), f"{WHERE}, sort-orders")
    for part in (SCHEMAS, SPECS, ORDERS):
        if part.current(full) is None:
            current = f"{part.current_key} {full[part.current_key]}"
            raise BadRequestError(f"Invalid {WHERE}: {current} is not in {part.key}")


def _check_snapshots(full: JSON) -> None:
    where = f"{WHERE}, snapshots"
    known = {_SNAPSHOT(snapshot, where)["snapshot-id"] for snapshot in full["snapshots"]}
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


def _check_items(full: JSON) -> None:
    for key in ("last-sequence-number", "next-row-id"):
        if key in full:
            required(full, key, as_long, WHERE)
    for key, read in _ITEMS.items():
        for item in full.get(key, ()):
            read(item, f"{WHERE}, {key}")
