"""Format version, uuid, location, properties and encryption keys of a table.

Source: the table specification, "Table Metadata Fields"; rules and texts follow
``TableMetadata.Builder`` and ``TableProperties`` of Apache Iceberg's Java library.
"""

from collections.abc import Mapping
from typing import Any

from falcon_catalog.errors import BadRequestError, show
from falcon_catalog.metadata.builder import Builder, TableBuilder, counters, find
from falcon_catalog.metadata.json_fields import (
    JSON,
    Maybe,
    array_of,
    as_base64,
    as_integer,
    as_text,
    as_texts,
    as_uuid,
    integer_text,
    object_of,
    required,
)

DEFAULT_VERSION = 2
LATEST_VERSION = 3
ENCRYPTION_KEYS_VERSION = 3

FORMAT_VERSION = "format-version"
# Names of the metadata itself: clients may set them, but they are not stored as properties.
RESERVED = frozenset(
    {
        FORMAT_VERSION,
        "uuid",
        "snapshot-count",
        "current-snapshot-id",
        "current-snapshot-summary",
        "current-snapshot-timestamp-ms",
        "current-schema",
        "default-partition-spec",
        "default-sort-order",
    }
)
NEW_TABLE_DEFAULTS = {"write.parquet.compression-codec": "zstd"}
PREVIOUS_VERSIONS_MAX = "write.metadata.previous-versions-max"
PREVIOUS_VERSIONS_DEFAULT = 100
METRICS_COLUMN_PREFIX = "write.metadata.metrics.column."
RETRY_PROPERTIES = (
    "commit.retry.num-retries",
    "commit.retry.min-wait-ms",
    "commit.retry.max-wait-ms",
    "commit.retry.total-timeout-ms",
)


def initial_version(properties: Mapping[str, str]) -> int:
    """Return the format version that a new table's properties request."""
    text = properties.get(FORMAT_VERSION, str(DEFAULT_VERSION))
    version = as_integer_property(FORMAT_VERSION, text)
    check_version(version)
    return version


def check_version(version: int) -> int:
    """Return a format version; raise BadRequestError if it is not supported."""
    if not 1 <= version <= LATEST_VERSION:
        raise BadRequestError(
            f"Unsupported format version: v{version} (supported: v{LATEST_VERSION})"
        )
    return version


def of_new_table(properties: Mapping[str, str], column_names: set[str]) -> dict[str, str]:
    """Return the properties that a new table stores: with defaults, without reserved ones."""
    for key in RETRY_PROPERTIES:
        if key in properties:
            number = integer_text(properties[key])
            if number is None:
                raise BadRequestError(f"Table property {key} must have integer value")
            if number < 0:
                raise BadRequestError(f"Table property {key} must have non negative integer value")
    for key in properties:
        column = key.removeprefix(METRICS_COLUMN_PREFIX)
        if column != key and column not in column_names:
            raise BadRequestError(
                f"Invalid metrics config, could not find column {column} from table prop {key}"
            )
    return NEW_TABLE_DEFAULTS | _unreserved(properties)


def _unreserved(properties: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in properties.items() if key not in RESERVED}


def previous_versions_max(properties: Mapping[str, str]) -> int:
    """Return how many metadata files the metadata log keeps, at least 1."""
    text = properties.get(PREVIOUS_VERSIONS_MAX, str(PREVIOUS_VERSIONS_DEFAULT))
    return max(1, as_integer_property(PREVIOUS_VERSIONS_MAX, text))


def metadata_log(base: Mapping[str, Any], metadata_location: str) -> list[JSON]:
    """Return the metadata log of the next version, after the base that was read from a file."""
    entry = {"metadata-file": metadata_location, "timestamp-ms": base["last-updated-ms"]}
    return [*base["metadata-log"], entry][-previous_versions_max(base["properties"]) :]


def as_integer_property(key: str, text: str) -> int:
    """Return the 32-bit integer that a property's text spells."""
    number = integer_text(text)
    if number is None:
        raise BadRequestError(f"Invalid property {key}: {show(text)} is not an integer")
    return number


def strip_trailing_slash(location: str) -> str:
    """Return a location without slashes at its end, except those of ``scheme://``."""
    while location.endswith("/") and not location.endswith("://"):
        location = location[:-1]
    return location


def assign_uuid(builder: TableBuilder, update: Mapping[str, Any]) -> None:
    """Apply ``assign-uuid``: only a table in creation takes one it does not have."""
    uuid = required(update, "uuid", as_uuid, "assign-uuid update")
    if builder.creating:
        builder.put("table-uuid", uuid)
    elif uuid.lower() != builder.meta["table-uuid"].lower():
        raise BadRequestError(
            f"Cannot reassign the table's UUID: {builder.meta['table-uuid']} != {uuid}"
        )


def upgrade_version(builder: TableBuilder, update: Mapping[str, Any]) -> None:
    """Apply ``upgrade-format-version``: up, never down."""
    version = required(update, FORMAT_VERSION, as_integer, "upgrade-format-version update")
    if version > LATEST_VERSION:
        raise BadRequestError(
            f"Cannot upgrade table to unsupported format version: v{version} "
            f"(supported: v{LATEST_VERSION})"
        )
    if version < builder.version:
        raise BadRequestError(f"Cannot downgrade v{builder.version} table to v{version}")
    if version > builder.version:
        builder.put(FORMAT_VERSION, version)
        builder.meta = counters(version) | builder.meta


def set_location(builder: Builder, update: Mapping[str, Any]) -> None:
    """Apply ``set-location``."""
    where = "set-location update"
    location = strip_trailing_slash(required(update, "location", as_text, where))
    if not location:
        raise BadRequestError(f"Invalid {where}, field location: must not be empty")
    if location != builder.meta["location"]:
        builder.put("location", location)


def set_properties(builder: TableBuilder, update: Mapping[str, Any]) -> None:
    """Apply ``set-properties``; reserved ones are not stored."""
    merge(builder, _unreserved(parse_properties(update)))


def parse_properties(update: Mapping[str, Any]) -> dict[str, str]:
    """Return what a ``set-properties`` update sets."""
    key = "updated" if "updates" not in update and "updated" in update else "updates"
    return required(update, key, as_texts, "set-properties update")


def merge(builder: Builder, updates: Mapping[str, str]) -> None:
    """Set properties; setting one to what it is already is still a change, as in Java."""
    if updates:
        _own(builder).update(updates)


def remove_properties(builder: Builder, update: Mapping[str, Any]) -> None:
    """Apply ``remove-properties``; removing what is not there is still a change, as in Java."""
    key = "removed" if "removals" not in update and "removed" in update else "removals"
    removals = required(update, key, array_of(as_text), "remove-properties update")
    if removals:
        owned = _own(builder)
        for name in removals:
            owned.pop(name, None)


def _own(builder: Builder) -> dict[str, str]:
    """Return the properties to change in place: copied once for all updates of a request."""
    if not builder.own_properties:
        builder.put("properties", dict(builder.meta["properties"]))
        builder.own_properties = True
    owned: dict[str, str] = builder.meta["properties"]
    return owned


parse_key = object_of(
    {
        "key-id": as_text,
        "encrypted-key-metadata": as_base64,
        "encrypted-by-id": Maybe(as_text),
        "properties": Maybe(as_texts),
    }
)


def add_key(builder: TableBuilder, update: Mapping[str, Any]) -> None:
    """Apply ``add-encryption-key``; the same key again is no change."""
    key = required(update, "encryption-key", parse_key, "add-encryption-key update")
    if builder.version < ENCRYPTION_KEYS_VERSION:
        raise BadRequestError(
            f"Encryption keys are not supported until v{ENCRYPTION_KEYS_VERSION}: {key['key-id']}"
        )
    keys = builder.meta.get("encryption-keys", [])
    known = find(keys, "key-id", key["key-id"])
    if known is None:
        builder.put("encryption-keys", [*keys, key])
    elif known != key:
        raise BadRequestError(f"Encryption key already exists for id: {key['key-id']}")


def remove_key(builder: TableBuilder, update: Mapping[str, Any]) -> None:
    """Apply ``remove-encryption-key``; an absent key is ignored."""
    key_id = required(update, "key-id", as_text, "remove-encryption-key update")
    keys = builder.meta.get("encryption-keys", [])
    kept = [key for key in keys if key["key-id"] != key_id]
    if len(kept) == len(keys):
        return
    if kept:
        builder.put("encryption-keys", kept)
    else:
        builder.remove("encryption-keys")
