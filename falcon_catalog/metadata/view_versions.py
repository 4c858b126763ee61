"""Versions of a view: parse, add, make current, log, expire.

Source: the view specification, "Versions" and "Version log"; rules and texts follow
``ViewMetadata.Builder`` and ``ViewProperties`` of Apache Iceberg's Java library.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from falcon_catalog.errors import BadRequestError, IllegalArgumentError, show
from falcon_catalog.metadata.builder import LAST_ADDED, Builder, find
from falcon_catalog.metadata.json_fields import (
    JSON,
    Maybe,
    array_of,
    as_integer,
    as_long,
    as_object,
    as_text,
    as_texts,
    object_of,
    required,
)
from falcon_catalog.metadata.properties import as_integer_property

HISTORY_SIZE = "version.history.num-entries"
HISTORY_SIZE_DEFAULT = 10
DROP_DIALECT = "replace.drop-dialect.allowed"
APPEND_DIALECT = "replace.append-dialect.allowed"

# What two versions may differ in and still be the same view.
_INCIDENTAL = ("version-id", "timestamp-ms")


@dataclass(kw_only=True)
class ViewBuilder(Builder):
    """Metadata of a view while updates are applied to it."""

    added_versions: set[int] = field(default_factory=set)
    log_entry: JSON | None = None


def _parse_query(value: object, where: str) -> JSON:
    source = as_object(value, where)
    kind = required(source, "type", as_text, where)
    if kind.lower() != "sql":
        raise BadRequestError(
            f"Invalid {where}: found unsupported view representation: {show(kind)}, only sql is"
        )
    return {"type": "sql", **_QUERY(value, where)}


_QUERY = object_of({"sql": as_text, "dialect": as_text})
parse = object_of(
    {
        "version-id": as_integer,
        "timestamp-ms": as_long,
        "schema-id": as_integer,
        "summary": as_texts,
        "default-catalog": Maybe(as_text),
        "default-namespace": array_of(as_text),
        "representations": array_of(_parse_query),
    }
)
"""Return a view version in its stored form."""


def add(builder: ViewBuilder, update: Mapping[str, Any]) -> None:
    """Apply ``add-view-version``: reuse an identical version, else give it the next id.

    The id that a client sends is only what it expected: others may have committed first.
    """
    version = required(update, "view-version", parse, "add-view-version update")
    if version["schema-id"] == LAST_ADDED:
        if "schemas" not in builder.last_added:
            raise BadRequestError("Cannot set last added schema: no schema has been added")
        version["schema-id"] = builder.last_added["schemas"]
    known = builder.meta["versions"]
    same = next((one for one in known if _behaviour(one) == _behaviour(version)), None)
    if same is None:
        _check_new(builder, version)
        version["version-id"] = max((one["version-id"] for one in known), default=0) + 1
        builder.put("versions", [*known, version])
        builder.added_versions.add(version["version-id"])
        same = version
    builder.last_added["versions"] = same["version-id"]


def _behaviour(version: JSON) -> JSON:
    return {key: value for key, value in version.items() if key not in _INCIDENTAL}


def _check_new(builder: ViewBuilder, version: JSON) -> None:
    """Raise for a version without a schema or query, or with two queries for one dialect."""
    if find(builder.meta["schemas"], "schema-id", version["schema-id"]) is None:
        raise BadRequestError(f"Cannot add version with unknown schema: {version['schema-id']}")
    if not version["representations"]:
        raise BadRequestError("Invalid view version: Cannot add a version without a query")
    seen = set()
    for query in version["representations"]:
        dialect = query["dialect"].lower()
        if dialect in seen:
            raise IllegalArgumentError(
                f"Invalid view version: Cannot add multiple queries for dialect {dialect}"
            )
        seen.add(dialect)


def set_current(builder: ViewBuilder, update: Mapping[str, Any]) -> None:
    """Apply ``set-current-view-version``; -1 is the version last added in this request.

    The log gets the timestamp of a new version, and the current time for an old one.
    """
    where = "set-current-view-version update"
    version_id = required(update, "view-version-id", as_integer, where)
    if version_id == LAST_ADDED:
        if "versions" not in builder.last_added:
            raise BadRequestError("Cannot set last version id: no current version id has been set")
        version_id = builder.last_added["versions"]
    if version_id == builder.meta["current-version-id"]:
        return
    version = find(builder.meta["versions"], "version-id", version_id)
    if version is None:
        raise BadRequestError(f"Cannot set current version to unknown version: {version_id}")
    builder.put("current-version-id", version_id)
    is_new = version_id in builder.added_versions
    builder.log_entry = {
        "timestamp-ms": version["timestamp-ms"] if is_new else builder.now_ms,
        "version-id": version_id,
    }


def current(meta: JSON) -> JSON | None:
    """Return the current version of a view."""
    return find(meta["versions"], "version-id", meta["current-version-id"])


def check_dialects(meta: JSON, previous: JSON | None) -> None:
    """Raise BadRequestError for a lost dialect, unless a property allows that."""
    may_drop = _is_true(meta, DROP_DIALECT)
    if may_drop and _is_true(meta, APPEND_DIALECT):
        raise BadRequestError(f"Cannot set both {DROP_DIALECT} and {APPEND_DIALECT} to true")
    before, after = _dialects(previous), _dialects(current(meta))
    if not may_drop and before - after:
        raise BadRequestError(
            f"Cannot replace view due to loss of view dialects ({DROP_DIALECT}=false):\n"
            f"Previous dialects: [{', '.join(sorted(before))}]\n"
            f"New dialects: [{', '.join(sorted(after))}]"
        )


def _is_true(meta: JSON, key: str) -> bool:
    text: str = meta["properties"].get(key, "false")
    return text.lower() == "true"


def _dialects(version: JSON | None) -> set[str]:
    queries = version["representations"] if version else []
    return {query["dialect"].lower() for query in queries}


def expire(builder: ViewBuilder) -> None:
    """Remove the oldest versions beyond the history's size, and the log up to them.

    The current version and those of this request are always kept.
    """
    meta, now = builder.meta, builder.meta["current-version-id"]
    text = meta["properties"].get(HISTORY_SIZE, str(HISTORY_SIZE_DEFAULT))
    size = as_integer_property(HISTORY_SIZE, text)
    if size <= 0:
        raise BadRequestError(f"{HISTORY_SIZE} must be positive but was {size}")
    keep = max(size, len(builder.added_versions | {now}))
    if len(meta["versions"]) <= keep:
        return
    others = sorted(one["version-id"] for one in meta["versions"] if one["version-id"] != now)
    kept = {now, *others[len(others) - keep + 1 :]}
    meta["versions"] = [one for one in meta["versions"] if one["version-id"] in kept]
    log: list[JSON] = []
    for entry in meta["version-log"]:
        log = [*log, entry] if entry["version-id"] in kept else []
    meta["version-log"] = log
