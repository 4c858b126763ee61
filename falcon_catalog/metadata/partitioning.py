"""Partition specs of a table: parse, bind to a schema, add.

Source: the table specification, "Partitioning"; rules and texts follow ``PartitionSpec``
and ``TableMetadata.Builder`` of Apache Iceberg's Java library.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from falcon_catalog.errors import BadRequestError
from falcon_catalog.metadata import columns, transforms, types
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


def check_bindings(specs: Sequence[JSON], by_id: Mapping[int, Column]) -> None:
    """Raise BadRequestError unless a schema binds to every spec, as Java requires on load.

    A column that was dropped no longer matters: its name is free, and its fields stay as they are.
    """
    ids = _ids_by_name(by_id)
    for spec in specs:
        where = f"partition spec {spec['spec-id']}"
        fields = required(spec, "fields", array_of(as_stored_field), where)
        known = [field for field in fields if field["source-id"] in by_id]
        for field in known:
            _check_name_is_free(field, ids)
        check_sources(known, by_id)


def _ids_by_name(by_id: Mapping[int, Column]) -> dict[str, int]:
    """Return the ids of columns by all names under which Java's ``Schema.findField`` finds them.

    For what is in a struct in a list or map, that includes ``tags.x`` beside ``tags.element.x``.
    """
    short: dict[str, int] = {}
    for column in by_id.values():
        around = [by_id[parent].type for parent in column.parents]
        path = [
            name
            for position, name in enumerate(column.path)
            if not (
                0 < position < len(around)
                and types.base_name(around[position - 1]) in types.PARTS
                and types.base_name(around[position]) == "struct"
                and name != "key"
            )
        ]
        short[".".join(path)] = column.id
    return short | {column.full_name: column.id for column in by_id.values()}


def _check_name_is_free(field: JSON, ids: Mapping[str, int]) -> None:
    """Raise BadRequestError if a field has the name of a column that is not its source."""
    if ids.get(field["name"], field["source-id"]) != field["source-id"]:
        raise BadRequestError(
            "Cannot create identity partition sourced from different field in schema: "
            f"{field['name']}"
        )


def check_names(fields: Sequence[JSON], by_id: Mapping[int, Column]) -> None:
    """Raise BadRequestError for invalid names and repeated ids of the fields of a new spec.

    Two fields may transform one column alike: only Java's fluent builder of clients refuses that.
    """
    ids = _ids_by_name(by_id)
    names: set[str] = set()
    field_ids: set[int] = set()
    for field in fields:
        name, field_id = field["name"], field["field-id"]
        # Only an identity or void field may have the name of a column: its source's.
        if name in ids and field["transform"] not in ("identity", "void"):
            raise BadRequestError(
                f"Cannot create partition from name that exists in schema: {name}"
            )
        if field["source-id"] in by_id:
            _check_name_is_free(field, ids)
        if not name:
            raise BadRequestError("Cannot use empty partition name: ")
        if name in names:
            raise BadRequestError(f"Cannot use partition name more than once: {name}")
        if field_id in field_ids:
            raise BadRequestError(f"Cannot use partition field id more than once: {field_id}")
        names.add(name)
        field_ids.add(field_id)


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
    ids = {place: field["field-id"] for place, field in enumerate(fields) if "field-id" in field}
    taken = set(ids.values())
    last = max([builder.meta["last-partition-id"], *taken])
    # Fields that transform alike keep the ids of their names.
    for keys, earlier in _known(builder).field_ids.items():
        left: dict[tuple[Any, ...], list[int]] = {}
        for place, field in enumerate(fields):
            key = tuple(field[name] for name in keys)
            known = left.setdefault(key, list(earlier.get(key, ())))
            while known and place not in ids:
                if (field_id := known.pop()) not in taken:
                    ids[place] = field_id
                    taken.add(field_id)
    for place in range(len(fields)):
        if place not in ids:
            last += 1
            ids[place] = as_integer(last, "add-spec update, next field-id")
    return [{**field, "field-id": ids[place]} for place, field in enumerate(fields)]


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
        # Of each key the ids, each once, the latest last.
        self.field_ids: dict[tuple[str, ...], dict[tuple[Any, ...], dict[int, None]]] = {
            ("source-id", "transform", "name"): {},
            ("source-id", "transform"): {},
        }
        for spec in specs:
            self.add(spec)

    def add(self, spec: JSON) -> None:
        """Add a spec; of two with the same content the first counts."""
        self.highest = max(self.highest, spec["spec-id"])
        self.ids.setdefault(_content(spec["fields"]), spec["spec-id"])
        for field in spec["fields"]:
            for keys, ids in self.field_ids.items():
                known = ids.setdefault(tuple(field[name] for name in keys), {})
                known.pop(field["field-id"], None)
                known[field["field-id"]] = None


def _known(builder: TableBuilder) -> KnownSpecs:
    known = builder.known.get(SPECS.key)
    if known is None:
        known = builder.known[SPECS.key] = KnownSpecs(builder.meta[SPECS.key])
    return known


def _content(fields: Sequence[JSON]) -> tuple[tuple[str, str, int], ...]:
    """Return what makes two specs the same: everything but the ids."""
    return tuple((field["name"], field["transform"], field["source-id"]) for field in fields)
