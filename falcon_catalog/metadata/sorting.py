"""Sort orders of a table: parse, bind to a schema, add.

Source: the table specification, "Sorting"; rules and texts follow ``SortOrder`` and
``TableMetadata.Builder`` of Apache Iceberg's Java library.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from falcon_catalog.errors import BadRequestError
from falcon_catalog.metadata import columns, transforms
from falcon_catalog.metadata.builder import SCHEMAS, TableBuilder
from falcon_catalog.metadata.columns import Column
from falcon_catalog.metadata.json_fields import (
    JSON,
    Reader,
    array_of,
    as_integer,
    as_object,
    as_text,
    object_of,
    one_of,
    required,
)

UNSORTED_ID = 0


def _lower(read: Callable[[object, str], str]) -> Callable[[object, str], str]:
    return lambda value, where: read(as_text(value, where).lower(), where)


def _field_with(as_transform: Reader) -> Reader:
    return object_of(
        {
            "transform": as_transform,
            "source-id": as_integer,
            "direction": _lower(one_of("asc", "desc")),
            "null-order": _lower(one_of("nulls-first", "nulls-last")),
        }
    )


_FIELD = _field_with(transforms.as_transform)
as_stored_field = _field_with(transforms.as_stored_transform)
"""The reader of a field in a metadata file, whose transform may be unknown."""


def parse_fields(value: object, where: str) -> list[JSON]:
    """Return the fields of a new sort order."""
    return required(as_object(value, where), "fields", array_of(_FIELD), where)


def field_text(field: JSON) -> str:
    """Write a sort field for an error message, e.g. ``identity(3) ASC NULLS FIRST``."""
    nulls = field["null-order"].replace("-", " ").upper()
    return f"{field['transform']}({field['source-id']}) {field['direction'].upper()} {nulls}"


def check_sources(fields: Sequence[JSON], by_id: Mapping[int, Column]) -> None:
    """Raise BadRequestError unless the transform of each field can take its source column."""
    for field in fields:
        transforms.check_source(field, by_id, "sort", field_text(field))


def add(builder: TableBuilder, update: Mapping[str, Any]) -> None:
    """Apply ``add-sort-order``: reuse an identical order, else give it the next id.

    No fields is the unsorted order, always id 0.
    """
    fields = required(update, "sort-order", parse_fields, "add-sort-order update")
    schema = SCHEMAS.current(builder.meta)
    if schema is None:
        raise BadRequestError("Cannot add a sort order before a schema is added")
    check_sources(fields, columns.index(schema))
    orders = builder.meta["sort-orders"]
    same = next((known for known in orders if known["fields"] == fields), None)
    if same is None:
        highest = max((known["order-id"] for known in orders), default=UNSORTED_ID)
        same = {"order-id": highest + 1 if fields else UNSORTED_ID, "fields": fields}
        builder.put("sort-orders", [*orders, same])
    builder.last_added["sort-orders"] = same["order-id"]
