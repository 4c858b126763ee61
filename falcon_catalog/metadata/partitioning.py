"""Partition specs of a table: parse, bind to a schema, add.

Source: the table specification, "Partitioning"; rules and texts follow ``PartitionSpec``
and ``TableMetadata.Builder`` of Apache Iceberg's Java library.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from falcon_catalog.errors import BadRequestError
from falcon_catalog.metadata import columns, transforms
from falcon_catalog.metadata.builder import FIRST_PARTITION_ID, SCHEMAS, SPECS, TableBuilder
from falcon_catalog.metadata.columns import Column
from falcon_catalog.metadata.json_fields import (
    JSON,
    Maybe,
    Reader,
    array_of,
    as_integer,
    as_object,
    as_text,
    object_of,
    required,
)


def _field_with(as_transform: Reader) -> Reader:
    return object_of(
        {
            "name": as_text,
            "transform": as_transform,
            "source-id": as_integer,
            "field-id": Maybe(as_integer),
        }
    )


_FIELD = _field_with(transforms.as_transform)
as_stored_field = _field_with(transforms.as_stored_transform)
"""The reader of a field in a metadata file, whose transform may be unknown."""


def parse_fields(value: object, where: str) -> list[JSON]:
    """Return the fields of a new spec; ``field-id`` may still be missing."""
    return required(as_object(value, where), "fields", array_of(_FIELD), where)


def field_text(field: JSON) -> str:
    """Write a partition field for an error message, e.g. ``1000: day: day(3)``."""
    return f"{field.get('field-id')}: {field['name']}: {field['transform']}({field['source-id']})"


def check_sources(fields: Sequence[JSON], by_id: Mapping[int, Column]) -> None:
    """Raise BadRequestError unless the transform of each field can take its source column."""
    for field in fields:
        if field["transform"] != "void":  # the column of a void field may no longer exist
            transforms.check_source(field, by_id, "partition", field_text(field))


def check_names(fields: Sequence[JSON], by_id: dict[int, Column]) -> None:
    """Raise BadRequestError for invalid names, repeated ids and redundant fields."""
    columns_by_name = {column.full_name: column.id for column in by_id.values()}
    names: set[str] = set()
    field_ids: set[int] = set()
    seen: dict[tuple[int, str], JSON] = {}
    for field in fields:
        name, field_id = field["name"], field["field-id"]
        # Only an identity or void field may have the name of a column: its source's.
        if name in columns_by_name and field["transform"] not in ("identity", "void"):
            raise BadRequestError(
                f"Cannot create partition from name that exists in schema: {name}"
            )
        if columns_by_name.get(name, field["source-id"]) != field["source-id"]:
            raise BadRequestError(
                f"Cannot create identity partition sourced from different field in schema: {name}"
            )
        if not name:
            raise BadRequestError("Cannot use empty partition name: ")
        if name in names:
            raise BadRequestError(f"Cannot use partition name more than once: {name}")
        if field_id in field_ids:
            raise BadRequestError(f"Cannot use partition field id more than once: {field_id}")
        names.add(name)
        field_ids.add(field_id)
        key = (field["source-id"], transforms.duplicate_key(field["transform"]))
        if key in seen:
            raise BadRequestError(
                f"Cannot add redundant partition: {field_text(seen[key])} "
                f"conflicts with {field_text(field)}"
            )
        if field["transform"] != "void":
            seen[key] = field


def number(builder: TableBuilder, fields: Sequence[JSON]) -> list[JSON]:
    """Give each field without an id one: its own from an earlier spec, else the next.

    An id that the client chose is kept, even for a field known by another: manifests of
    the same commit may already carry it. In v1 the ids are positions.
    """
    if builder.version == 1:
        return [
            {"field-id": FIRST_PARTITION_ID + position, **field}
            for position, field in enumerate(fields)
        ]
    known = _known(builder).field_ids
    taken = [field["field-id"] for field in fields if "field-id" in field]
    last = max([builder.meta["last-partition-id"], *taken])
    numbered = []
    for field in fields:
        field_id = field.get("field-id", known.get((field["source-id"], field["transform"])))
        if field_id is None:
            last += 1
            field_id = as_integer(last, "add-spec update, next field-id")
        numbered.append({**field, "field-id": field_id})
    return numbered


def add(builder: TableBuilder, update: Mapping[str, Any]) -> None:
    """Apply ``add-spec``: reuse a spec with the same fields, else give it the next id."""
    fields = number(builder, required(update, "spec", parse_fields, "add-spec update"))
    schema = SCHEMAS.current(builder.meta)
    if schema is None:
        raise BadRequestError("Cannot add a partition spec before a schema is added")
    by_id = columns.index(schema)
    check_names(fields, by_id)
    check_sources(fields, by_id)
    known = _known(builder)
    same = known.ids.get(_content(fields))
    if same is None:
        expected = range(FIRST_PARTITION_ID, FIRST_PARTITION_ID + len(fields))
        if builder.version == 1 and [field["field-id"] for field in fields] != list(expected):
            listed = ", ".join(map(field_text, fields))
            raise BadRequestError(
                f"Spec does not use sequential IDs that are required in v1: [{listed}]"
            )
        same = known.highest + 1
        spec = {"spec-id": same, "fields": fields}
        builder.put("partition-specs", [*builder.meta["partition-specs"], spec])
        known.add(spec)
        field_ids = [field["field-id"] for field in fields]
        builder.put("last-partition-id", max([builder.meta["last-partition-id"], *field_ids]))
    builder.last_added["partition-specs"] = same


class KnownSpecs:
    """The specs of a table by their content, and the ids of their fields."""

    def __init__(self, specs: Sequence[JSON]) -> None:
        self.highest = -1
        self.ids: dict[tuple[tuple[str, str, int], ...], int] = {}
        self.field_ids: dict[tuple[int, str], int] = {}
        for spec in specs:
            self.add(spec)

    def add(self, spec: JSON) -> None:
        """Add a spec; of two with the same content the first counts."""
        self.highest = max(self.highest, spec["spec-id"])
        self.ids.setdefault(_content(spec["fields"]), spec["spec-id"])
        for field in spec["fields"]:
            self.field_ids[field["source-id"], field["transform"]] = field["field-id"]


def _known(builder: TableBuilder) -> KnownSpecs:
    known = builder.known.get(SPECS.key)
    if known is None:
        known = builder.known[SPECS.key] = KnownSpecs(builder.meta[SPECS.key])
    return known


def _content(fields: Sequence[JSON]) -> tuple[tuple[str, str, int], ...]:
    """Return what makes two specs the same: everything but the ids."""
    return tuple((field["name"], field["transform"], field["source-id"]) for field in fields)
