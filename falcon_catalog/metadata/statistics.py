"""Statistics files of a table: one per snapshot, of each of the two kinds.

Source: the table specification, "Table Statistics" and "Partition Statistics".
"""

from collections.abc import Mapping
from typing import Any

from falcon_catalog.errors import BadRequestError
from falcon_catalog.metadata.builder import TableBuilder, find
from falcon_catalog.metadata.json_fields import (
    JSON,
    Fields,
    Maybe,
    array_of,
    as_integer,
    as_long,
    as_text,
    as_texts,
    object_of,
    required,
)


def _as_size(value: object, where: str) -> int:
    size = as_long(value, where)
    if size < 0:
        raise BadRequestError(f"Invalid {where}: must not be negative, got {size}")
    return size


_FILE = {"snapshot-id": as_long, "statistics-path": as_text, "file-size-in-bytes": _as_size}
_BLOB: Fields = {
    "type": as_text,
    "snapshot-id": as_long,
    "sequence-number": as_long,
    "fields": array_of(as_integer),
    "properties": Maybe(as_texts),
}
READERS = {
    "statistics": object_of(
        {
            **_FILE,
            "file-footer-size-in-bytes": _as_size,
            "key-metadata": Maybe(as_text),
            "blob-metadata": array_of(object_of(_BLOB)),
        }
    ),
    "partition-statistics": object_of(_FILE),
}
"""Readers of a file in its stored form, by the field of the metadata that lists such files."""


def set_file(builder: TableBuilder, update: Mapping[str, Any]) -> None:
    """Apply ``set-statistics`` or ``set-partition-statistics``."""
    key = update["action"].removeprefix("set-")
    file = required(update, key, READERS[key], f"set-{key} update")
    builder.put(key, [*_others(builder, key, file["snapshot-id"]), file])


def remove_file(builder: TableBuilder, update: Mapping[str, Any]) -> None:
    """Apply ``remove-statistics`` or ``remove-partition-statistics``, if the file exists."""
    key = update["action"].removeprefix("remove-")
    snapshot_id = required(update, "snapshot-id", as_long, f"remove-{key} update")
    if find(builder.meta[key], "snapshot-id", snapshot_id) is not None:
        builder.put(key, _others(builder, key, snapshot_id))


def _others(builder: TableBuilder, key: str, snapshot_id: int) -> list[JSON]:
    return [file for file in builder.meta[key] if file["snapshot-id"] != snapshot_id]
