"""Statistics files of a table: one per snapshot, of each of the two kinds.

Source: the table specification, "Table Statistics" and "Partition Statistics".
"""

from collections.abc import Mapping
from typing import Any

from falcon_catalog.errors import BadRequestError
from falcon_catalog.metadata.builder import TableBuilder, find
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


def _size(value: object, where: str) -> int:
    size = as_long(value, where)
    if size < 0:
        raise BadRequestError(f"Invalid {where}: must not be negative, got {size}")
    return size


def parse(value: object, where: str) -> JSON:
    """Return a statistics file in its stored form."""
    source = as_object(value, where)
    parsed: JSON = parse_partition(value, where)
    parsed["file-footer-size-in-bytes"] = required(
        source, "file-footer-size-in-bytes", _size, where
    )
    key_metadata = optional(source, "key-metadata", as_text, where)
    if key_metadata is not None:
        parsed["key-metadata"] = key_metadata
    parsed["blob-metadata"] = required(source, "blob-metadata", array_of(_parse_blob), where)
    return parsed


def parse_partition(value: object, where: str) -> JSON:
    """Return a partition statistics file in its stored form."""
    source = as_object(value, where)
    return {
        "snapshot-id": required(source, "snapshot-id", as_long, where),
        "statistics-path": required(source, "statistics-path", as_text, where),
        "file-size-in-bytes": required(source, "file-size-in-bytes", _size, where),
    }


def _parse_blob(value: object, where: str) -> JSON:
    source = as_object(value, where)
    blob: JSON = {
        "type": required(source, "type", as_text, where),
        "snapshot-id": required(source, "snapshot-id", as_long, where),
        "sequence-number": required(source, "sequence-number", as_long, where),
        "fields": required(source, "fields", array_of(as_integer), where),
    }
    properties = optional(source, "properties", as_texts, where)
    return blob if properties is None else {**blob, "properties": properties}


def set_file(builder: TableBuilder, update: Mapping[str, Any]) -> None:
    """Apply ``set-statistics``."""
    file = required(update, "statistics", parse, "set-statistics update")
    _replace(builder, "statistics", file)


def set_partition_file(builder: TableBuilder, update: Mapping[str, Any]) -> None:
    """Apply ``set-partition-statistics``."""
    where = "set-partition-statistics update"
    file = required(update, "partition-statistics", parse_partition, where)
    _replace(builder, "partition-statistics", file)


def remove_file(builder: TableBuilder, update: Mapping[str, Any]) -> None:
    """Apply ``remove-statistics``; an absent file is already gone."""
    _remove(
        builder, "statistics", required(update, "snapshot-id", as_long, "remove-statistics update")
    )


def remove_partition_file(builder: TableBuilder, update: Mapping[str, Any]) -> None:
    """Apply ``remove-partition-statistics``; an absent file is already gone."""
    where = "remove-partition-statistics update"
    _remove(builder, "partition-statistics", required(update, "snapshot-id", as_long, where))


def _replace(builder: TableBuilder, key: str, file: JSON) -> None:
    builder.put(key, [*_others(builder, key, file["snapshot-id"]), file])


def _remove(builder: TableBuilder, key: str, snapshot_id: int) -> None:
    if find(builder.meta[key], "snapshot-id", snapshot_id) is not None:
        builder.put(key, _others(builder, key, snapshot_id))


def _others(builder: TableBuilder, key: str, snapshot_id: int) -> list[JSON]:
    return [file for file in builder.meta[key] if file["snapshot-id"] != snapshot_id]
