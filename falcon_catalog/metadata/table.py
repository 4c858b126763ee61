"""Metadata of a table: pure functions over JSON-shaped dicts that create and update it.

Source: the table specification and ``TableUpdate`` of the REST specification; rules and
texts follow ``TableMetadata.Builder`` of Apache Iceberg's Java library.
"""

import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from falcon_catalog.errors import BadRequestError
from falcon_catalog.metadata import (
    clock,
    columns,
    partitioning,
    properties,
    refs,
    schemas,
    snapshots,
    sorting,
    statistics,
)
from falcon_catalog.metadata.builder import (
    FIRST_PARTITION_ID,
    ORDERS,
    SCHEMAS,
    SPECS,
    Part,
    TableBuilder,
    for_new,
    from_base,
)
from falcon_catalog.metadata.defaults import with_defaults
from falcon_catalog.metadata.json_fields import (
    JSON,
    actions,
    as_object,
    as_texts,
    optional,
    required,
)
from falcon_catalog.metadata.refs import filter_snapshots_to_refs
from falcon_catalog.metadata.replay import is_replay
from falcon_catalog.metadata.requirements import check_requirements
from falcon_catalog.metadata.validation import check_readable, complete, validate

__all__ = [
    "JSON",
    "apply",
    "check_readable",
    "check_requirements",
    "complete",
    "create",
    "dropped_metadata_files",
    "filter_snapshots_to_refs",
    "is_replay",
    "validate",
    "with_defaults",
]

REMOVE_SNAPSHOTS = "remove-snapshots"
# Between these and a removal the order matters.
_NEEDS_SNAPSHOTS = frozenset(
    {"add-snapshot", "set-snapshot-ref", "set-statistics", "set-partition-statistics"}
)
UPDATES: dict[str, Callable[[TableBuilder, Mapping[str, Any]], None]] = {
    "assign-uuid": properties.assign_uuid,
    "upgrade-format-version": properties.upgrade_version,
    "add-schema": schemas.add,
    "set-current-schema": SCHEMAS.set_current,
    "remove-schemas": SCHEMAS.remove,
    "add-spec": partitioning.add,
    "set-default-spec": SPECS.set_current,
    "remove-partition-specs": SPECS.remove,
    "add-sort-order": sorting.add,
    "set-default-sort-order": ORDERS.set_current,
    "add-snapshot": snapshots.add,
    REMOVE_SNAPSHOTS: snapshots.remove,
    "set-snapshot-ref": refs.set_ref,
    "remove-snapshot-ref": refs.remove_ref,
    "set-location": properties.set_location,
    "set-properties": properties.set_properties,
    "remove-properties": properties.remove_properties,
    "set-statistics": statistics.set_file,
    "remove-statistics": statistics.remove_file,
    "set-partition-statistics": statistics.set_file,
    "remove-partition-statistics": statistics.remove_file,
    "add-encryption-key": properties.add_key,
    "remove-encryption-key": properties.remove_key,
}


def create(request: Mapping[str, Any], *, location: str, table_uuid: str, now_ms: int) -> JSON:
    """Return the metadata of a new table.

    ``request`` is a CreateTableRequest: {name, schema, partition-spec?, write-order?,
    properties?}. Its columns are numbered afresh from 1, its partition fields from 1000;
    schema and spec get id 0, the sort order 1, or 0 when it sorts by nothing. Times are
    milliseconds since 1970.

    Raises:
        BadRequestError: the request is malformed or breaks a rule of the specification.
    """
    where = "create table request"
    source = as_object(request, where)
    schema, by_id = required(source, "schema", schemas.parse, where)
    given = optional(source, "properties", as_texts, where) or {}
    fresh, new_ids = schemas.fresh(schema)
    spec = optional(source, "partition-spec", partitioning.parse_fields, where) or []
    order = optional(source, "write-order", sorting.parse_fields, where) or []
    numbered = [
        {**field, "field-id": FIRST_PARTITION_ID + position} for position, field in enumerate(spec)
    ]
    partitioning.check_sources(numbered, by_id)
    sorting.check_sources(order, by_id)
    names = {column.full_name for column in by_id.values()}
    version = properties.initial_version(given)
    updates: list[JSON] = [
        {"action": "assign-uuid", "uuid": table_uuid},
        {"action": "upgrade-format-version", "format-version": version},
        {"action": "add-schema", "schema": fresh},
        {"action": "add-spec", "spec": {"fields": _renumbered(numbered, new_ids)}},
        {"action": "set-default-spec", "spec-id": -1},
        {"action": "add-sort-order", "sort-order": {"fields": _renumbered(order, new_ids)}},
        {"action": "set-default-sort-order", "sort-order-id": -1},
        {"action": "set-location", "location": location},
        {"action": "set-properties", "updates": properties.of_new_table(given, names)},
    ]
    return apply(None, updates, now_ms=now_ms)


def _renumbered(fields: Sequence[JSON], new_ids: Mapping[int, int]) -> list[JSON]:
    """Replace the ids of source columns; a void field may have lost its column."""
    return [
        {**field, "source-id": new_ids.get(field["source-id"], field["source-id"])}
        for field in fields
    ]


def apply(
    base: JSON | None,
    updates: Sequence[Mapping[str, Any]],
    *,
    now_ms: int,
    metadata_location: str | None = None,
) -> JSON:
    """Return the metadata after the updates: ``base`` itself when they change nothing.

    ``base`` has all defaults (``with_defaults``) and is never changed; None means that a staged
    create is committed, from nothing.
    ``metadata_location`` is the file ``base`` was read from, for the metadata log. Times are
    milliseconds since 1970.

    Raises:
        BadRequestError: an update is unknown, malformed or breaks a rule.
        CommitFailedError: a snapshot's sequence number or first row id is stale, or one is
            removed that a ref is at, which is not removed with it.
    """
    named = actions(updates, UPDATES)
    if base is None:
        builder = for_new(_staged_version([update for _, update in named]), now_ms)
    else:
        builder = from_base(base, now_ms)
    for action, update in _with_removals_joined(named):
        UPDATES[action](builder, update)
    if base is not None and not builder.changed:
        return base
    return _finish(builder, base, metadata_location)


def _with_removals_joined(
    named: Sequence[tuple[str, Mapping[str, Any]]],
) -> list[tuple[str, Mapping[str, Any]]]:
    """Return updates with each ``remove-snapshots`` at the first one before which it may stand.

    Clients send one for each snapshot, often thousands, and each rewrites the list of snapshots.
    """
    joined: list[tuple[str, Mapping[str, Any]]] = []
    ids: list[int] | None = None
    for action, update in named:
        if action != REMOVE_SNAPSHOTS:
            ids = None if action in _NEEDS_SNAPSHOTS else ids
            joined.append((action, update))
        elif ids is None:
            ids = list(snapshots.removed_ids(update))
            joined.append((action, {"snapshot-ids": ids}))
        else:
            ids += snapshots.removed_ids(update)
    return joined


def _staged_version(updates: Sequence[Mapping[str, Any]]) -> int:
    """Return the version of the first upgrade, which a new table starts with."""
    for update in updates:
        if update["action"] == "upgrade-format-version":
            version = update.get("format-version")
            if isinstance(version, int) and not isinstance(version, bool):
                properties.check_version(version)
                return version
    return properties.DEFAULT_VERSION


def _finish(builder: TableBuilder, base: JSON | None, metadata_location: str | None) -> JSON:
    """Check the result as a whole, then write the logs, the times and the fields of version 1."""
    meta = builder.meta
    if builder.creating:
        _check_created(builder)
    if builder.creating or builder.layout_changed:
        _check_layout(meta)
    refs.check_dangling(builder)
    refs.settle_log(builder)
    refs.check_log(builder)
    if base is not None and metadata_location is not None:
        meta["metadata-log"] = properties.metadata_log(meta, metadata_location)
    logged_ms = clock.logged_ms(meta["snapshot-log"])
    meta["last-updated-ms"] = max(builder.now_ms, logged_ms, meta["last-updated-ms"])
    meta.pop("schema", None)
    meta.pop("partition-spec", None)
    if builder.version == 1:  # its readers look for these fields
        spec = SPECS.current(meta)
        meta["schema"] = SCHEMAS.current(meta)
        meta["partition-spec"] = spec["fields"] if spec else []
    return meta


def _check_created(builder: TableBuilder) -> None:
    meta = builder.meta
    for key in ("schemas", "partition-specs", "sort-orders"):
        if not meta[key]:
            raise BadRequestError(f"{key.replace('-', ' ').capitalize()} cannot be null or empty")
    if meta["location"] is None:
        raise BadRequestError("Location cannot be null: a set-location update is missing")
    if meta["table-uuid"] is None:
        meta["table-uuid"] = str(uuid.uuid4())


def _check_layout(meta: JSON) -> None:
    """Check that the defaults exist, and that the current schema fits them and all specs."""
    schema, spec, order = (_require_current(part, meta) for part in (SCHEMAS, SPECS, ORDERS))
    by_id = columns.index(schema)
    partitioning.check_sources(spec["fields"], by_id)
    partitioning.check_bindings(meta["partition-specs"], by_id)
    sorting.check_sources(order["fields"], by_id)


def _require_current(part: Part, meta: JSON) -> JSON:
    item = part.current(meta)
    if item is None:
        raise BadRequestError(f"Cannot find {part.role}: {meta[part.current_key]}")
    return item


def dropped_metadata_files(base: JSON, new: JSON) -> list[str]:
    """Return the files that the base's metadata log names and the new one's no longer does."""
    kept = {entry["metadata-file"] for entry in new["metadata-log"]}
    files = [entry["metadata-file"] for entry in base["metadata-log"]]
    return [file for file in files if file not in kept]
