"""Snapshots of a table: parse, add, remove.

Source: the table specification, "Snapshots" and "Row Lineage"; rules and texts follow
``SnapshotParser`` and ``TableMetadata.Builder`` of Apache Iceberg's Java library.
"""

from collections.abc import Mapping
from typing import Any

from falcon_catalog.errors import BadRequestError, CommitFailedError, show
from falcon_catalog.metadata import refs
from falcon_catalog.metadata.append_log import plus, with_values
from falcon_catalog.metadata.builder import (
    ROW_LINEAGE_VERSION,
    SEQUENCE_NUMBERS_VERSION,
    TableBuilder,
    find,
)
from falcon_catalog.metadata.defaults import NO_SNAPSHOT
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

OPERATIONS = ("append", "replace", "overwrite", "delete")


def parse(value: object, where: str, version: int) -> JSON:
    """Return a snapshot in the form a table of this format version stores."""
    source = as_object(value, where)
    snapshot: JSON = {"snapshot-id": required(source, "snapshot-id", check_id, where)}
    parent = optional(source, "parent-snapshot-id", as_long, where)
    if parent is not None:
        snapshot["parent-snapshot-id"] = parent
    if version >= SEQUENCE_NUMBERS_VERSION:  # v1 has none; DuckDB sends them nevertheless
        snapshot["sequence-number"] = _not_negative(source, "sequence-number", where)
    snapshot["timestamp-ms"] = _not_negative(source, "timestamp-ms", where)
    snapshot["manifest-list"] = required(source, "manifest-list", as_text, where)
    snapshot["summary"] = summary = required(source, "summary", as_texts, where)
    operation = required(summary, "operation", as_text, f"{where}, field summary")
    if operation not in OPERATIONS:
        raise BadRequestError(
            f"Invalid {where}: operation must be one of {', '.join(OPERATIONS)}, "
            f"got {show(operation)}"
        )
    schema_id = optional(source, "schema-id", as_integer, where)
    if schema_id is not None:
        snapshot["schema-id"] = schema_id
    if version >= ROW_LINEAGE_VERSION:
        if source.get("first-row-id") is None:
            raise BadRequestError("Cannot add a snapshot: first-row-id is null")
        if source.get("added-rows") is None:
            raise BadRequestError("Invalid added-rows (required when first-row-id is set): null")
        for key in ("first-row-id", "added-rows"):
            snapshot[key] = _not_negative(source, key, where)
        key_id = optional(source, "key-id", as_text, where)
        if key_id is not None:
            snapshot["key-id"] = key_id
    return snapshot


def check_id(value: object, where: str) -> int:
    """Return the id of a snapshot; 400 for the one that stands for no snapshot."""
    snapshot_id = as_long(value, where)
    if snapshot_id == NO_SNAPSHOT:
        raise BadRequestError(f"Invalid {where}: {NO_SNAPSHOT} means that there is no snapshot")
    return snapshot_id


def _not_negative(source: Mapping[str, Any], key: str, where: str) -> int:
    number = required(source, key, as_long, where)
    if number < 0:
        raise BadRequestError(f"Invalid {where}: {key} (cannot be negative): {number}")
    return number


def add(builder: TableBuilder, update: Mapping[str, Any]) -> None:
    """Apply ``add-snapshot``. 409 when its sequence number or first row id is stale."""
    where = "snapshot of add-snapshot update"
    given = required(update, "snapshot", as_object, "add-snapshot update")
    snapshot_id = required(given, "snapshot-id", as_long, where)
    for key, noun in (
        ("schemas", "schema"),
        ("partition-specs", "partition spec"),
        ("sort-orders", "sort order"),
    ):
        if not builder.meta[key]:
            raise BadRequestError(f"Attempting to add a snapshot before a {noun} is added")
    if find(builder.meta["snapshots"], "snapshot-id", snapshot_id) is not None:
        raise BadRequestError(f"Snapshot already exists for id: {snapshot_id}")
    snapshot = parse(given, where, builder.version)
    if builder.version >= SEQUENCE_NUMBERS_VERSION:
        _take_sequence_number(builder, snapshot)
    if builder.version >= ROW_LINEAGE_VERSION:
        _take_row_ids(builder, snapshot)
    builder.put("snapshots", plus(builder.meta["snapshots"], snapshot))
    builder.added_snapshots.add(snapshot_id)


def _take_sequence_number(builder: TableBuilder, snapshot: JSON) -> None:
    number, last = snapshot["sequence-number"], builder.meta["last-sequence-number"]
    if number <= last and "parent-snapshot-id" in snapshot:
        raise CommitFailedError(
            f"Cannot add snapshot with sequence number {number} "
            f"older than last sequence number {last}"
        )
    # A snapshot without a parent (a replaced table's first) may come late: never count back.
    builder.put("last-sequence-number", max(last, number))


def _take_row_ids(builder: TableBuilder, snapshot: JSON) -> None:
    first, next_row_id = snapshot["first-row-id"], builder.meta["next-row-id"]
    if first < next_row_id:
        raise CommitFailedError(
            "Cannot add a snapshot, first-row-id is behind table next-row-id: "
            f"{first} < {next_row_id}"
        )
    # Counting from first-row-id keeps next-row-id above every id given, gaps included.
    after = first + snapshot["added-rows"]
    builder.put("next-row-id", as_long(after, "snapshot, first-row-id plus added-rows"))


def remove(builder: TableBuilder, update: Mapping[str, Any]) -> None:
    """Apply ``remove-snapshots``, and remove their statistics.

    An update of the same request must remove or move the refs that are at them.
    """
    ids = set(removed_ids(update))
    known = with_values(builder.meta["snapshots"], "snapshot-id", ids)
    gone = {snapshot["snapshot-id"] for snapshot in known}
    if not gone:
        return
    for key in ("snapshots", "statistics", "partition-statistics"):
        builder.put(key, [item for item in builder.meta[key] if item["snapshot-id"] not in gone])
    bereft = {n: ref for n, ref in builder.meta["refs"].items() if ref["snapshot-id"] in gone}
    refs.drop(builder, *bereft)
    builder.dangling |= bereft
    builder.snapshots_removed = True


def removed_ids(update: Mapping[str, Any]) -> list[int]:
    """Return the ids of a ``remove-snapshots`` update."""
    return required(update, "snapshot-ids", array_of(as_long), "remove-snapshots update")
