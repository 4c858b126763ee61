"""Check a view's metadata file that somebody else wrote, before a catalog serves it.

Source: ``ViewMetadata`` of the REST specification; nothing clients read may be missing.
"""

from falcon_catalog.errors import BadRequestError
from falcon_catalog.metadata import schemas, view_versions
from falcon_catalog.metadata.builder import find
from falcon_catalog.metadata.json_fields import (
    JSON,
    array_of,
    as_integer,
    as_long,
    as_object,
    as_text,
    as_texts,
    as_uuid,
    optional,
    required,
)

WHERE = "view metadata"
LATEST_VERSION = 1


def check_version(version: int) -> None:
    """Refuse a format version that no view here can have."""
    if not 1 <= version <= LATEST_VERSION:
        raise BadRequestError(f"Unsupported format version: {version}")


def validate(metadata: JSON) -> JSON:
    """Return a view's metadata, complete and without nulls; the same object if it already is.

    Raises:
        BadRequestError: a part is missing or wrong; the message names it.
    """
    source = as_object(metadata, WHERE)
    check_version(required(source, "format-version", as_integer, WHERE))
    required(source, "view-uuid", as_uuid, WHERE)
    required(source, "location", as_text, WHERE)
    required(source, "current-version-id", as_integer, WHERE)
    for schema in required(source, "schemas", array_of(as_object), WHERE):
        required(schema, "schema-id", as_integer, f"{WHERE}, schemas")
        schemas.parse(schema, f"{WHERE}, schemas")
    full: JSON = {key: value for key, value in source.items() if value is not None} | {
        "versions": required(source, "versions", array_of(view_versions.parse), WHERE),
        "version-log": required(source, "version-log", array_of(_parse_entry), WHERE),
        "properties": optional(source, "properties", as_texts, WHERE) or {},
    }
    _check_current(full)
    return metadata if full == metadata else full


def _parse_entry(value: object, where: str) -> JSON:
    source = as_object(value, where)
    return {
        "timestamp-ms": required(source, "timestamp-ms", as_long, where),
        "version-id": required(source, "version-id", as_integer, where),
    }


def _check_current(full: JSON) -> None:
    ids = [version["version-id"] for version in full["versions"]]
    if len(set(ids)) != len(ids):
        raise BadRequestError(f"Invalid {WHERE}: versions share an id: {ids}")
    current = view_versions.current(full)
    if current is None:
        raise BadRequestError(
            f"Cannot find current version {full['current-version-id']} in view versions: {ids}"
        )
    if find(full["schemas"], "schema-id", current["schema-id"]) is None:
        known = [schema["schema-id"] for schema in full["schemas"]]
        raise BadRequestError(
            f"Cannot find current schema with id {current['schema-id']} in schemas: {known}"
        )
