"""Limits of one request, checked before anything is read or written.

The specification has none. These keep one request from occupying the server, and are far beyond
what engines send.
"""

from collections.abc import Mapping
from typing import Any

from falcon_catalog.errors import BadRequestError
from falcon_catalog.settings import LimitSettings

_PARTS = ("element", "key", "value")
_REMOVAL = "remove-snapshots"

JSON = dict[str, Any]


def check_text(limits: LimitSettings, text: bytes) -> None:
    """Raise BadRequestError for JSON with too many values, which take 20 times its size in memory.

    Commas inside strings are counted as well, since skipping them would take too long.
    """
    if len(text) <= limits.json_values:
        return  # as almost always
    if sum(map(text.count, (b",", b"[", b"{"))) > limits.json_values:
        raise BadRequestError(
            f"Invalid request body: it has more than {limits.json_values} values (commas and"
            " brackets are counted)"
        )


def check_depth(limits: LimitSettings, text: bytes, value: JSON) -> None:
    """Raise BadRequestError for JSON whose arrays and objects are nested too deeply."""
    if text.count(b"{") + text.count(b"[") <= limits.json_depth:
        return  # as almost always
    level: list[JSON | list[Any]] = [value]
    depth = 0
    while level:
        depth += 1
        if depth > limits.json_depth:
            raise BadRequestError(
                "Invalid request body: its arrays and objects are nested deeper than"
                f" {limits.json_depth} levels"
            )
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]


def check_body(limits: LimitSettings, body: JSON) -> None:
    """Raise BadRequestError for a commit or create that exceeds a limit, which the message names.

    Values of an unexpected type are passed through; the reader validates them.
    """
    _check_length(body, "table-changes", limits.table_changes)
    changes = body.get("table-changes")
    for change in (body, *(changes if isinstance(changes, list) else ())):
        if isinstance(change, dict):
            _check_change(limits, change)


def _check_change(limits: LimitSettings, change: JSON) -> None:
    updates = change.get("updates")
    if isinstance(updates, list) and len(updates) > limits.updates:
        # Clients send one removal for each snapshot; all together they cost as much as one.
        others = [u for u in updates if not (isinstance(u, dict) and u.get("action") == _REMOVAL)]
        _check_length({"updates": others}, "updates", limits.updates)
    _check_length(change, "requirements", limits.requirements)
    _check_length(change, "removals", limits.properties)
    for part in (change, *(updates if isinstance(updates, list) else ())):
        if isinstance(part, dict):
            _check_schema(limits, part.get("schema"))
            _check_properties(limits, part.get("properties"))
            _check_properties(limits, part.get("updates"))
            _check_length(part, "removals", limits.properties)


def _check_length(of: Mapping[str, Any], name: str, most: int) -> None:
    value = of.get(name)
    if isinstance(value, list) and len(value) > most:
        raise BadRequestError(f"Invalid {name}: {len(value)} at once, at most {most} are allowed")


def _check_properties(limits: LimitSettings, properties: object) -> None:
    if not isinstance(properties, dict):
        return
    if len(properties) > limits.properties:
        raise BadRequestError(
            f"Invalid properties: {len(properties)} at once, at most {limits.properties} are"
            " allowed"
        )
    size = sum(len(k) + (len(v) if isinstance(v, str) else 0) for k, v in properties.items())
    if size > limits.property_characters:
        raise BadRequestError(
            f"Invalid properties: {size} characters, at most {limits.property_characters} are"
            " allowed"
        )


def _check_schema(limits: LimitSettings, schema: object) -> None:
    """Raise BadRequestError for a schema, not yet validated, with too many columns or levels."""
    level, depth, columns = [schema], 0, 0
    while level := [kind for kind in level if isinstance(kind, dict)]:
        if depth > limits.schema_depth:
            raise BadRequestError(
                f"Invalid schema: its types are nested deeper than {limits.schema_depth} levels"
            )
        level = [inner for kind in level for inner in _inside(kind)]
        columns += len(level)
        if columns > limits.columns:
            raise BadRequestError(
                f"Invalid schema: more than {limits.columns} columns, nested ones included"
            )
        depth += 1


def _inside(kind: JSON) -> list[object]:
    """Return the types of the direct children of a struct, list or map."""
    fields = kind.get("fields")
    if isinstance(fields, list):
        return [field.get("type") if isinstance(field, dict) else None for field in fields]
    return [kind[part] for part in _PARTS if part in kind]
