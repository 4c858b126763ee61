"""Metadata of a function: checks, and its stored form.

Source: the UDF specification of Apache Iceberg, and ``FunctionMetadata`` of the REST
specification.
"""

import re
from collections.abc import Iterable

from falcon_catalog.errors import BadRequestError, show
from falcon_catalog.metadata import types
from falcon_catalog.metadata.json_fields import (
    JSON,
    Fields,
    Maybe,
    array_of,
    as_boolean,
    as_integer,
    as_long,
    as_object,
    as_text,
    as_texts,
    as_uuid,
    object_of,
    one_of,
    required,
)

WHERE = "function metadata"
LATEST_VERSION = 1

_UNFIT_FOR_TYPES = re.compile(r"[\s'\"`]")


def _parse_type(value: object, where: str, depth: int = 0) -> types.Type:
    """Return a type of the UDF specification: as a table's, without ids and requiredness."""
    if depth > types.MAX_DEPTH:
        raise BadRequestError(f"Invalid {where[:200]}: nested deeper than {types.MAX_DEPTH} levels")
    if isinstance(value, str):
        if _UNFIT_FOR_TYPES.search(value):
            raise BadRequestError(f"Invalid {where}: {show(value)} has a space or quote in it")
        return types.text(types.parse(value, where)).replace(" ", "")
    source = as_object(value, where)
    kind = required(source, "type", one_of("list", "map", "struct"), where)

    def inner(part: object, _: str) -> types.Type:
        return _parse_type(part, where, depth + 1)

    if kind == "struct":
        field = object_of({"name": as_text, "type": inner})
        return {"type": kind, "fields": required(source, "fields", array_of(field), where)}
    return {"type": kind} | {
        part: required(source, part, inner, where) for part in types.PARTS[kind]
    }


def _signature(kind: types.Type) -> str:
    """Write a type as in a definition-id, e.g. ``map<string,list<int>>``."""
    if isinstance(kind, str):
        return kind
    if kind["type"] == "struct":
        inside = [f"{field['name']}:{_signature(field['type'])}" for field in kind["fields"]]
    else:
        inside = [_signature(kind[part]) for part in ("element", "key", "value") if part in kind]
    return f"{kind['type']}<{','.join(inside)}>"


def _check_distinct(values: Iterable[object], what: str, where: str) -> None:
    seen: set[object] = set()
    for value in values:
        if value in seen:
            raise BadRequestError(f"Invalid {where}: {what} {show(value)} occurs twice")
        seen.add(value)


def _parse_definition(value: object, where: str) -> JSON:
    definition = _DEFINITION(value, where)
    parameters, versions = definition["parameters"], definition["versions"]
    _check_distinct((one["name"] for one in parameters), "name", f"{where}, parameters")
    _check_distinct((one["version-id"] for one in versions), "version-id", where)
    current = definition["current-version-id"]
    if current not in [one["version-id"] for one in versions]:
        raise BadRequestError(f"Invalid {where}: current-version-id {current} is not in versions")
    returns = definition["return-type"]
    is_struct = isinstance(returns, dict) and returns["type"] == "struct"
    if definition["function-type"] == "udtf" and not is_struct:
        raise BadRequestError(f"Invalid {where}: the return-type of a udtf must be a struct")
    derived = ",".join(_signature(one["type"]) for one in parameters)
    if definition["definition-id"] != derived:
        raise BadRequestError(
            f"Invalid {where}: definition-id {show(definition['definition-id'])} must be "
            f"{show(derived)}, as its parameters' types are"
        )
    return definition


def _parse_version(value: object, where: str) -> JSON:
    version = _VERSION(value, where)
    queries = version["representations"]
    if not queries:
        raise BadRequestError(f"Invalid {where}: representations is empty")
    _check_distinct((one["dialect"].lower() for one in queries), "dialect", where)
    return version


_PARAMETER: Fields = {"name": as_text, "type": _parse_type, "doc": Maybe(as_text)}
_REPRESENTATION = {"type": one_of("sql"), "dialect": as_text, "sql": as_text}
_VERSION = object_of(
    {
        "version-id": as_integer,
        "representations": array_of(object_of(_REPRESENTATION)),
        "deterministic": Maybe(as_boolean),
        "on-null-input": Maybe(one_of("return-null", "call")),
        "timestamp-ms": as_long,
    }
)
_DEFINITION = object_of(
    {
        "definition-id": as_text,
        "specific-name": Maybe(as_text),
        "parameters": array_of(object_of(_PARAMETER)),
        "return-type": _parse_type,
        "return-nullable": Maybe(as_boolean),
        "versions": array_of(_parse_version),
        "current-version-id": as_integer,
        "function-type": one_of("udf", "udtf"),
        "doc": Maybe(as_text),
    }
)
# The log is history: it may name definitions and versions that no longer exist.
_LOG_ENTRY = {
    "timestamp-ms": as_long,
    "definition-versions": array_of(
        object_of({"definition-id": as_text, "version-id": as_integer})
    ),
}
_FUNCTION = object_of(
    {
        "function-uuid": Maybe(as_uuid),
        "format-version": as_integer,
        "definitions": array_of(_parse_definition),
        "definition-log": array_of(object_of(_LOG_ENTRY)),
        "location": Maybe(as_text),
        "properties": Maybe(as_texts),
        "secure": Maybe(as_boolean),
        "doc": Maybe(as_text),
    }
)


def parse(value: object, *, drawn_uuid: str) -> JSON:
    """Return a function's metadata in its stored form: known fields only, and no nulls.

    ``drawn_uuid`` is the ``function-uuid`` of metadata that has none.

    Raises:
        BadRequestError: a part is missing or wrong; the message names it.
    """
    version = required(as_object(value, WHERE), "format-version", as_integer, WHERE)
    if version != LATEST_VERSION:
        raise BadRequestError(f"Invalid {WHERE}: format-version {version} is not supported, use 1")
    metadata = {"function-uuid": drawn_uuid, **_FUNCTION(value, WHERE)}
    definitions = metadata["definitions"]
    if not definitions:
        raise BadRequestError(f"Invalid {WHERE}: definitions is empty, a function has at least one")
    _check_distinct((one["definition-id"] for one in definitions), "definition-id", WHERE)
    named = [one["specific-name"] for one in definitions if "specific-name" in one]
    _check_distinct(named, "specific-name", WHERE)
    return metadata
