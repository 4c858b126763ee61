"""Iceberg's column types in their JSON form: a string, or a struct, list or map object.

Source: the table specification, "Schemas and Data Types" and appendix C.
"""

import re
from collections.abc import Mapping
from typing import Any

from falcon_catalog.errors import BadRequestError, show
from falcon_catalog.metadata.json_fields import (
    JSON,
    array_of,
    as_boolean,
    as_integer,
    as_object,
    as_text,
    optional,
    required,
)

# A type as stored: a primitive's name or a nested type's object.
Type = str | JSON

_TIMESTAMPS = {"timestamp", "timestamptz", "timestamp_ns", "timestamptz_ns"}
PLAIN = frozenset(
    {"boolean", "int", "long", "float", "double", "date", "time", *_TIMESTAMPS}
    | {"string", "uuid", "binary", "unknown", "variant"}
)
PARTS = {"list": ("element",), "map": ("key", "value")}
"""The parts of lists and of maps."""
# Far beyond any real schema. A struct in a struct is three levels of JSON, and 254 can be written.
MAX_DEPTH = 80
MAX_PRECISION = 38

_FIXED = re.compile(r"fixed\[\s*([0-9]{1,9})\s*\]")
_DECIMAL = re.compile(r"decimal\(\s*([0-9]{1,9})\s*,\s*([0-9]{1,9})\s*\)")
_GEO = re.compile(r"(geometry|geography)\s*(\([^()]*\))?", re.IGNORECASE)


def parse(value: object, where: str, depth: int = 0) -> Type:
    """Return a type in its stored form, only known keys in it; 400 when it is no type."""
    if depth > MAX_DEPTH:
        raise BadRequestError(f"Invalid {where[:200]}: nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, str):
        return _parse_primitive(value)
    if not isinstance(value, Mapping):
        raise BadRequestError(f"Invalid {where}: must be a type, got {show(value)}")
    kind = value.get("type")
    if kind == "struct":
        return {"type": "struct", "fields": parse_fields(value, where, depth + 1)}
    if kind in ("list", "map"):
        nested: JSON = {"type": kind}
        for part in PARTS[kind]:
            nested[f"{part}-id"] = required(value, f"{part}-id", as_integer, where)
            nested[part] = parse(value.get(part), f"{where}, {part}", depth + 1)
            if part != "key":
                need = f"{part}-required"
                nested[need] = required(value, need, as_boolean, where)
        return nested
    raise BadRequestError(f"Cannot parse type from json: {show(kind)} is not a nested type")


def parse_fields(value: Mapping[str, Any], where: str, depth: int = 0) -> list[JSON]:
    """Return the fields of a struct in their stored form; defaults are not checked here."""
    fields = required(value, "fields", array_of(as_object), where)
    return [_parse_field(field, where, depth) for field in fields]


def _parse_field(field: Mapping[str, Any], where: str, depth: int) -> JSON:
    name = required(field, "name", as_text, f"{where}, a column")
    here = f"{where}, column {show(name)}"
    if "type" not in field:
        raise BadRequestError(f"Invalid {here}: missing field type")
    column: JSON = {
        "id": required(field, "id", as_integer, here),
        "name": name,
        "required": required(field, "required", as_boolean, here),
        "type": parse(field["type"], f"{where}, column {name[:40]}", depth),
    }
    doc = optional(field, "doc", as_text, here)
    if doc is not None:
        column["doc"] = doc
    for key in ("initial-default", "write-default"):
        if field.get(key) is not None:
            column[key] = field[key]
    return column


def _parse_primitive(text: str) -> str:
    name = text.strip()
    lower = name.lower()
    if lower in PLAIN:
        return lower
    if match := _FIXED.fullmatch(lower):
        return f"fixed[{int(match[1])}]"
    if match := _DECIMAL.fullmatch(lower):
        precision, scale = int(match[1]), int(match[2])
        if precision > MAX_PRECISION:
            raise BadRequestError(
                f"Decimals with precision larger than {MAX_PRECISION} are not supported: "
                f"{precision}"
            )
        return f"decimal({precision}, {scale})"
    if match := _GEO.fullmatch(name):
        return match[1].lower() + (match[2] or "")
    raise BadRequestError(f"Cannot parse type string to primitive: {text[:80]}")


def base_name(kind: Type) -> str:
    """Return a type's name without its parameters: ``decimal``, ``list``."""
    if isinstance(kind, Mapping):
        return str(kind["type"])
    return re.split(r"[(\[]", kind, maxsplit=1)[0].strip()


def is_primitive(kind: Type) -> bool:
    """Return whether a type is neither nested nor variant."""
    return isinstance(kind, str) and kind != "variant"


def text(kind: Type) -> str:
    """Write a type for an error message, e.g. ``list<int>``."""
    if isinstance(kind, str):
        return kind
    if kind["type"] == "list":
        return f"list<{text(kind['element'])}>"
    if kind["type"] == "map":
        return f"map<{text(kind['key'])}, {text(kind['value'])}>"
    return "struct<" + ", ".join(field_text(field) for field in kind["fields"]) + ">"


def field_text(field: JSON) -> str:
    """Write a column for an error message, e.g. ``3: name: required string``."""
    need = "required" if field["required"] else "optional"
    return f"{field['id']}: {field['name']}: {need} {text(field['type'])}"
