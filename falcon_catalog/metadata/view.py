"""Metadata of a view: pure functions over JSON-shaped dicts that create, check and update it.

Source: the view specification and ``ViewUpdate`` of the REST specification; rules and texts
follow ``ViewMetadata.Builder`` of Apache Iceberg's Java library.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from falcon_catalog.errors import BadRequestError, show
from falcon_catalog.metadata import properties, schemas
from falcon_catalog.metadata import view_versions as versions
from falcon_catalog.metadata.builder import find
from falcon_catalog.metadata.json_fields import (
    JSON,
    actions,
    array_of,
    as_integer,
    as_long,
    as_object,
    as_text,
    as_texts,
    as_uuid,
    object_of,
    optional,
    required,
)
from falcon_catalog.metadata.requirements import uuid_check
from falcon_catalog.metadata.view_versions import ViewBuilder

__all__ = ["apply", "check_readable", "check_requirements", "create", "validate"]

VIEW_UUID = "assert-view-uuid"
LATEST_VERSION = 1
_WHERE = "view metadata"
_ENTRY = object_of({"timestamp-ms": as_long, "version-id": as_integer})


def check_version(version: int) -> None:
    """Raise BadRequestError for an unsupported format version."""
    if not 1 <= version <= LATEST_VERSION:
        raise BadRequestError(f"Unsupported format version: {version}")


def validate(metadata: JSON) -> JSON:
    """Return a view's metadata from a file, with defaults and without nulls.

    It is the same object if nothing changes. Source: ``ViewMetadata`` of the REST specification.

    Raises:
        BadRequestError: a part is missing or wrong; the message names it.
    """
    source = as_object(metadata, _WHERE)
    check_version(required(source, "format-version", as_integer, _WHERE))
    required(source, "view-uuid", as_uuid, _WHERE)
    required(source, "location", as_text, _WHERE)
    required(source, "current-version-id", as_integer, _WHERE)
    for schema in required(source, "schemas", array_of(as_object), _WHERE):
        required(schema, "schema-id", as_integer, f"{_WHERE}, schemas")
        schemas.parse(schema, f"{_WHERE}, schemas", stored=True)
    full: JSON = {key: value for key, value in source.items() if value is not None} | {
        "versions": required(source, "versions", array_of(versions.parse), _WHERE),
        "version-log": required(source, "version-log", array_of(_ENTRY), _WHERE),
        "properties": optional(source, "properties", as_texts, _WHERE) or {},
    }
    ids = [version["version-id"] for version in full["versions"]]
    if len(set(ids)) != len(ids):
        raise BadRequestError(f"Invalid {_WHERE}: versions share an id: {ids}")
    current = versions.current(full)
    if current is None:
        raise BadRequestError(
            f"Cannot find current version {full['current-version-id']} in view versions: {ids}"
        )
    if find(full["schemas"], "schema-id", current["schema-id"]) is None:
        known = [schema["schema-id"] for schema in full["schemas"]]
        raise BadRequestError(
            f"Cannot find current schema with id {current['schema-id']} in schemas: {known}"
        )
    return metadata if full == metadata else full


def check_readable(full: JSON) -> None:
    """Raise BadRequestError if other clients could not read valid metadata."""
    for schema in full["schemas"]:
        schemas.check_readable(schema, f"{_WHERE}, schemas")


def complete(metadata: JSON) -> JSON:
    """Return metadata read from a file, checking only that it is a view's.

    Raises:
        BadRequestError: it has no uuid.
    """
    required(as_object(metadata, _WHERE), "view-uuid", as_text, _WHERE)
    return metadata


def create(request: Mapping[str, Any], *, location: str, view_uuid: str, now_ms: int) -> JSON:
    """Return the metadata of a new view.

    ``request`` is a CreateViewRequest: {name, schema, view-version, properties?}. Its columns
    keep their ids; the schema gets id 0, the version id 1. Times are milliseconds since 1970.

    Raises:
        BadRequestError: the request is malformed or breaks a rule of the specification.
    """
    where = "create view request"
    source = as_object(request, where)
    schema, _ = required(source, "schema", schemas.parse, where)
    version = required(source, "view-version", versions.parse, where)
    given = optional(source, "properties", as_texts, where) or {}
    empty: JSON = {
        "view-uuid": view_uuid,
        "format-version": LATEST_VERSION,
        "location": properties.strip_trailing_slash(location),
        "current-version-id": 0,
        "versions": [],
        "version-log": [],
        "schemas": [],
        "properties": {},
    }
    builder = ViewBuilder(meta=empty, now_ms=now_ms)
    _run(
        builder,
        [
            {"action": "set-properties", "updates": given},
            {"action": "add-schema", "schema": schema},
            {"action": "add-view-version", "view-version": {**version, "schema-id": -1}},
            {"action": "set-current-view-version", "view-version-id": -1},
        ],
    )
    return _finish(builder, previous=None)


def apply(base: JSON, updates: Sequence[Mapping[str, Any]], *, now_ms: int) -> JSON:
    """Return the metadata after the updates: ``base`` itself when they change nothing.

    ``base`` is never changed. Times are milliseconds since 1970.

    Raises:
        BadRequestError: an update is unknown, malformed or breaks a rule.
    """
    full = validate(base)
    builder = ViewBuilder(meta=dict(full), now_ms=now_ms)
    _run(builder, updates)
    return _finish(builder, previous=versions.current(full)) if builder.changed else base


def check_requirements(base: JSON, requirements: Sequence[Mapping[str, Any]]) -> None:
    """Check the requirements of a commit against the view's metadata.

    Raises:
        BadRequestError: a requirement is unknown or malformed, or one of tables.
        CommitFailedError: the view has another uuid.
    """
    checks = []
    for requirement in array_of(as_object)(requirements, "requirements"):
        kind = required(requirement, "type", as_text, "requirement")
        if kind != VIEW_UUID:
            raise BadRequestError(f"Unknown requirement type of a view: {show(kind)}")
        uuid = required(requirement, "uuid", as_text, f"{VIEW_UUID} requirement")
        checks.append(uuid_check(uuid, "view-uuid", "view UUID"))
    for check in checks:
        check(base)


def _run(builder: ViewBuilder, updates: Sequence[Mapping[str, Any]]) -> None:
    for action, update in actions(updates, UPDATES):
        UPDATES[action](builder, update)


def _finish(builder: ViewBuilder, previous: JSON | None) -> JSON:
    """Check the result as a whole, and write the version log."""
    meta = builder.meta
    if builder.log_entry is not None:
        meta["version-log"] = [*meta["version-log"], builder.log_entry]
    versions.check_dialects(meta, previous)
    versions.expire(builder)
    return meta


def _assign_uuid(builder: ViewBuilder, update: Mapping[str, Any]) -> None:
    """Apply ``assign-uuid``: only the view's own uuid is accepted."""
    uuid = required(update, "uuid", as_uuid, "assign-uuid update")
    if uuid.lower() != builder.meta["view-uuid"].lower():
        raise BadRequestError(f"Cannot reassign uuid: {builder.meta['view-uuid']} != {uuid}")


def _upgrade_version(builder: ViewBuilder, update: Mapping[str, Any]) -> None:
    """Apply ``upgrade-format-version``: there is only one version."""
    where = "upgrade-format-version update"
    version = required(update, "format-version", as_integer, where)
    present = builder.meta["format-version"]
    if version < present:
        raise BadRequestError(f"Cannot downgrade v{present} view to v{version}")
    check_version(version)


def _add_schema(builder: ViewBuilder, update: Mapping[str, Any]) -> None:
    """Apply ``add-schema``: reuse an identical schema, else give it the next id."""
    schema, _ = required(update, "schema", schemas.parse, "add-schema update")
    builder.last_added["schemas"], _ = schemas.reuse_or_append(builder, schema)


def _set_properties(builder: ViewBuilder, update: Mapping[str, Any]) -> None:
    """Apply ``set-properties``; views have no reserved properties."""
    properties.merge(builder, properties.parse_properties(update))


UPDATES: dict[str, Callable[[ViewBuilder, Mapping[str, Any]], None]] = {
    "assign-uuid": _assign_uuid,
    "upgrade-format-version": _upgrade_version,
    "add-schema": _add_schema,
    "set-location": properties.set_location,
    "set-properties": _set_properties,
    "remove-properties": properties.remove_properties,
    "add-view-version": versions.add,
    "set-current-view-version": versions.set_current,
}
