"""Metadata of a function, checked and brought into its stored form.

Source: the UDF specification of Apache Iceberg, and ``FunctionMetadata`` of the REST
specification.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from falcon_catalog.errors import BadRequestError, show
from falcon_catalog.metadata import types
from falcon_catalog.metadata.json_fields import (
    JSON,
    array_of,
    as_boolean,
    as_integer,
    as_long,
    as_object,
    as_text,
    as_texts,
    as_uuid,
    optional,
    required,
)

WHERE = "function metadata"
LATEST_VERSION = 1

_UNFIT_FOR_TYPES = re.compile(r"[\s'\"`]")


def parse(value: object, *, drawn_uuid: str) -> JSON:
    """Return a function's metadata in its stored form: known fields only, and no nulls.

    ``drawn_uuid`` is the ``function-uuid`` of metadata that has none.

    Raises:
        BadRequestError: a part is missing or wrong; the message names it.
    """
    source = as_object(value, WHERE)
    version = required(source, "format-version", as_integer, WHERE)
    if version != LATEST_VERSION:
        raise BadRequestError(f"Invalid {WHERE}: format-version {version} is not supported, use 1")
    definitions = required(source, "definitions", array_of(_parse_definition), WHERE)
    if not definitions:
        raise BadRequestError(f"Invalid {WHERE}: definitions is empty, a function has at least one")
    _check_distinct((one["definition-id"] for one in definitions), "definition-id", WHERE)
    named = [one["specific-name"] for one in definitions if "specific-name" in one]
    _check_distinct(named, "specific-name", WHERE)
    return _without_nulls(
        {
            "function-uuid": optional(source, "function-uuid", as_uuid, WHERE) or drawn_uuid,
            "format-version": version,
            "definitions": definitions,
            "definition-log": required(source, "definition-log", array_of(_parse_entry), WHERE),
            "location": optional(source, "location", as_text, WHERE),
            "properties": optional(source, "properties", as_texts, WHERE),
            "secure": optional(source, "secure", as_boolean, WHERE),
            "doc": optional(source, "doc", as_text, WHERE),
        }
    )


def _parse_definition(value: object, where: str) -> JSON:
    source = as_object(value, where)
    parameters = required(source, "parameters", array_of(_parse_parameter), where)
    _check_distinct((one["name"] for one in parameters), "name", f"{where}, parameters")
    versions = required(source, "versions", array_of(_parse_version), where)
    _check_distinct((one["version-id"] for one in versions), "version-id", where)
    current = required(source, "current-version-id", as_integer, where)
    if current not in [one["version-id"] for one in versions]:
        raise BadRequestError(f"Invalid {where}: current-version-id {current} is not in versions")
    kind = _one_of(required(source, "function-type", as_text, where), ("udf", "udtf"), where)
    returns = required(source, "return-type", _parse_type, where)
    if kind == "udtf" and not (isinstance(returns, dict) and returns["type"] == "struct"):
        raise BadRequestError(f"Invalid {where}: the return-type of a udtf must be a struct")
    return _without_nulls(
        {
            "definition-id": _parse_id(source, parameters, where),
            "specific-name": optional(source, "specific-name", as_text, where),
            "parameters": parameters,
            "return-type": returns,
            "return-nullable": optional(source, "return-nullable", as_boolean, where),
            "versions": versions,
            "current-version-id": current,
            "function-type": kind,
            "doc": optional(source, "doc", as_text, where),
        }
    )


def _parse_id(source: Mapping[str, Any], parameters: list[JSON], where: str) -> str:
    given = required(source, "definition-id", as_text, where)
    derived = ",".join(_signature(one["type"]) for one in parameters)
    if given != derived:
        raise BadRequestError(
            f"Invalid {where}: definition-id {show(given)} must be {show(derived)}, as its "
            "parameters' types are"
        )
    return given


def _parse_parameter(value: object, where: str) -> JSON:
    source = as_object(value, where)
    return _without_nulls(
        {
            "name": required(source, "name", as_text, where),
            "type": required(source, "type", _parse_type, where),
            "doc": optional(source, "doc", as_text, where),
        }
    )


def _parse_version(value: object, where: str) -> JSON:
    source = as_object(value, where)
    queries = required(source, "representations", array_of(_parse_representation), where)
    if not queries:
        raise BadRequestError(f"Invalid {where}: representations is empty")
    _check_distinct((one["dialect"].lower() for one in queries), "dialect", where)
    nulls = optional(source, "on-null-input", as_text, where)
    return _without_nulls(
        {
            "version-id": required(source, "version-id", as_integer, where),
            "representations": queries,
            "deterministic": optional(source, "deterministic", as_boolean, where),
            "on-null-input": nulls and _one_of(nulls, ("return-null", "call"), where),
            "timestamp-ms": required(source, "timestamp-ms", as_long, where),
        }
    )


def _parse_representation(value: object, where: str) -> JSON:
    source = as_object(value, where)
    return {
        "type": _one_of(required(source, "type", as_text, where), ("sql",), where),
        "dialect": required(source, "dialect", as_text, where),
        "sql": required(source, "sql", as_text, where),
    }


def _parse_entry(value: object, where: str) -> JSON:
    source = as_object(value, where)
    return {
        "timestamp-ms": required(source, "timestamp-ms", as_long, where),
        "definition-versions": required(
            source, "definition-versions", array_of(_parse_reference), where
        ),
    }


def _parse_reference(value: object, where: str) -> JSON:
    # The log is history: it may name definitions and versions that are no longer there.
    source = as_object(value, where)
    return {
        "definition-id": required(source, "definition-id", as_text, where),
        "version-id": required(source, "version-id", as_integer, where),
    }


def _parse_type(value: object, where: str, depth: int = 0) -> types.Type:
    """Return a type of the UDF specification: as a table's, without ids and requiredness."""
    if depth > types.MAX_DEPTH:
        raise BadRequestError(f"Invalid {where[:200]}: nested deeper than {types.MAX_DEPTH} levels")
    if isinstance(value, str):
        if _UNFIT_FOR_TYPES.search(value):
            raise BadRequestError(f"Invalid {where}: {show(value)} has a space or quote in it")
        return types.text(types.parse(value, where)).replace(" ", "")
    source = as_object(value, where)
    kind = _one_of(required(source, "type", as_text, where), ("list", "map", "struct"), where)
    if kind == "struct":
        fields = required(source, "fields", array_of(as_object), where)
        return {"type": kind, "fields": [_parse_field(one, where, depth + 1) for one in fields]}
    parts = ("element",) if kind == "list" else ("key", "value")
    return {"type": kind} | {
        part: required(source, part, lambda part_, _: _parse_type(part_, where, depth + 1), where)
        for part in parts
    }


def _parse_field(source: Mapping[str, Any], where: str, depth: int) -> JSON:
    return {
        "name": required(source, "name", as_text, where),
        "type": required(source, "type", lambda type_, _: _parse_type(type_, where, depth), where),
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


def _one_of(text: str, allowed: Collection[str], where: str) -> str:
    if text not in allowed:
        raise BadRequestError(f"Invalid {where}: {show(text)} is none of {', '.join(allowed)}")
    return text


def _check_distinct(values: Iterable[object], what: str, where: str) -> None:
    seen: set[object] = set()
    for value in values:
        if value in seen:
            raise BadRequestError(f"Invalid {where}: {what} {show(value)} is there twice")
        seen.add(value)


def _without_nulls(source: JSON) -> JSON:
    return {key: value for key, value in source.items() if value is not None}
