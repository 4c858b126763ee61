"""Schemas of a table: parse, check, renumber, add.

Source: the table specification, "Schemas and Data Types"; rules and texts follow
``Schema`` and ``TableMetadata.Builder`` of Apache Iceberg's Java library.
"""

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

from falcon_catalog.errors import BadRequestError, show
from falcon_catalog.metadata import column_rules, columns, types
from falcon_catalog.metadata.builder import Builder, TableBuilder
from falcon_catalog.metadata.columns import Column
from falcon_catalog.metadata.json_fields import (
    JSON,
    array_of,
    as_integer,
    as_object,
    optional,
    required,
    text_of,
)

MINIMUM_VERSIONS = dict.fromkeys(
    ("timestamp_ns", "timestamptz_ns", "variant", "unknown", "geometry", "geography"), 3
)
DEFAULTS_MINIMUM_VERSION = 3
_KEY = "schemas"


def parse(value: object, where: str, *, stored: bool = False) -> tuple[JSON, dict[int, Column]]:
    """Return a schema in its stored form, its id if it has one, and its columns by id.

    One that is ``stored`` may be of an earlier version: its defaults and geometries are not
    checked.
    """
    source = as_object(value, where)
    if source.get("type", "struct") != "struct":
        raise BadRequestError(f"Invalid {where}: type must be struct, got {show(source['type'])}")
    fields = types.parse_fields(source, where)
    if not stored:
        fields = column_rules.readable(fields, where)
    schema: JSON = {"type": "struct", "fields": fields}
    schema_id = optional(source, "schema-id", as_integer, where)
    if schema_id is not None:
        schema["schema-id"] = schema_id
    by_id = columns.index(schema)
    identifiers = optional(source, "identifier-field-ids", array_of(as_integer), where)
    if identifiers:
        for field_id in identifiers:
            _check_identifier(field_id, by_id)
        schema["identifier-field-ids"] = list(dict.fromkeys(identifiers))
    return schema, by_id


def check_readable(schema: JSON, where: str) -> None:
    """Raise BadRequestError if Java's library could not read a valid schema as it is."""
    column_rules.readable(types.parse_fields(schema, where), where, as_is=True)


def _check_identifier(field_id: int, by_id: dict[int, Column]) -> None:
    column = by_id.get(field_id)
    if column is None:
        raise BadRequestError(
            f"Cannot add fieldId {field_id} as an identifier field: field does not exist"
        )
    refusal = f"Cannot add field {column.name} as an identifier field"
    if not types.is_primitive(column.type):
        raise BadRequestError(f"{refusal}: not a primitive type field")
    if not column.required:
        raise BadRequestError(f"{refusal}: not a required field")
    if column.type in ("float", "double"):
        raise BadRequestError(f"{refusal}: must not be float or double field")
    for parent_id in column.parents:
        parent = by_id[parent_id]
        if types.base_name(parent.type) != "struct":
            raise BadRequestError(f"{refusal}: must not be nested in {parent}")
        if not parent.required:
            raise BadRequestError(f"{refusal}: must not be nested in an optional field {parent}")


def check_version(by_id: dict[int, Column], version: int) -> None:
    """Raise BadRequestError for types and initial defaults that a format version does not have."""
    problems = []
    for _, column in sorted(by_id.items()):
        minimum = MINIMUM_VERSIONS.get(types.base_name(column.type), 1)
        if version < minimum:
            problems.append(
                f"Invalid type for {column.full_name}: {types.text(column.type)} "
                f"is not supported until v{minimum}"
            )
        if column.initial_default is not None and version < DEFAULTS_MINIMUM_VERSION:
            problems.append(
                f"Invalid initial default for {column.full_name}: non-null default "
                f"({column.initial_default}) is not supported until v{DEFAULTS_MINIMUM_VERSION}"
            )
    if problems:
        raise BadRequestError("\n- ".join([f"Invalid schema for v{version}:", *problems]))


def fresh(schema: JSON) -> tuple[JSON, dict[int, int]]:
    """Renumber the columns of a parsed schema from 1; return it and the new id of each old one.

    All columns of a struct come before what is nested in them, as in Java.
    """
    new_ids: dict[int, int] = {}

    def take(old: int) -> int:
        new_ids[old] = len(new_ids) + 1
        return new_ids[old]

    renumbered: JSON = {"type": "struct", "schema-id": 0, "fields": _fresh(schema, take)["fields"]}
    if "identifier-field-ids" in schema:
        renumbered["identifier-field-ids"] = [new_ids[i] for i in schema["identifier-field-ids"]]
    return renumbered, new_ids


def _fresh(kind: types.Type, take: Any) -> Any:
    if isinstance(kind, str):
        return kind
    if kind["type"] == "struct":
        numbered = [{**field, "id": take(field["id"])} for field in kind["fields"]]
        for field in numbered:
            field["type"] = _fresh(field["type"], take)
        return {"type": "struct", "fields": numbered}
    parts = types.PARTS[kind["type"]]
    nested = {**kind, **{f"{part}-id": take(kind[f"{part}-id"]) for part in parts}}
    return {**nested, **{part: _fresh(kind[part], take) for part in parts}}


def add(builder: TableBuilder, update: Mapping[str, Any]) -> None:
    """Apply ``add-schema``: reuse an identical schema, else give it the next id."""
    schema, by_id = required(update, "schema", parse, "add-schema update")
    check_version(by_id, builder.version)
    schema_id, added = reuse_or_append(builder, schema)
    if added:
        builder.put("last-column-id", max([builder.meta["last-column-id"], *by_id]))
    builder.last_added["schemas"] = schema_id


def reuse_or_append(builder: Builder, schema: JSON) -> tuple[int, bool]:
    """Find a parsed schema among the known ones, or add it; return its id and whether it is new."""
    known = builder.known.get(_KEY)
    if known is None:
        known = builder.known[_KEY] = KnownSchemas(builder.meta[_KEY])
    same = known.find(schema)
    if same is not None:
        return same, False
    added = {
        "type": "struct",
        "schema-id": known.highest + 1,
        **{key: schema[key] for key in ("identifier-field-ids", "fields") if key in schema},
    }
    builder.put(_KEY, [*builder.meta[_KEY], added])
    known.add(schema, added["schema-id"])
    return added["schema-id"], True


class KnownSchemas:
    """The schemas of a table or view by their content.

    A commit may add many wide schemas, so each is compared with all known ones at once. Those from
    the file may be spelled in another way: one is parsed when a schema with its names is added.
    """

    def __init__(self, schemas: Sequence[JSON]) -> None:
        self.highest = max((schema["schema-id"] for schema in schemas), default=-1)
        self._ids: dict[bytes, int] = {}
        self._unread: dict[tuple[str, ...], list[JSON]] = {}
        for schema in schemas:
            self._unread.setdefault(_names(schema), []).append(schema)

    def find(self, schema: JSON) -> int | None:
        """Return the id of the first schema with the content of a parsed one, or None."""
        for known in self._unread.pop(_names(schema), ()):
            # One that this version would refuse is no schema that it takes.
            with contextlib.suppress(BadRequestError):
                parsed, _ = parse(known, "known schema", stored=True)
                self._ids.setdefault(_content(parsed), known["schema-id"])
        return self._ids.get(_content(schema))

    def add(self, schema: JSON, schema_id: int) -> None:
        """Add a parsed schema."""
        self._ids[_content(schema)] = schema_id
        self.highest = schema_id


def _names(schema: JSON) -> tuple[str, ...]:
    return tuple(field["name"] for field in schema["fields"])


def _content(schema: JSON) -> bytes:
    """Return all of a parsed schema but its id.

    As text: a default 1 equals 1.0, but only one of them is a double.
    """
    return text_of([sorted(schema.get("identifier-field-ids", ())), schema["fields"]], "schema")
