"""Sort orders of a table: parse, bind to a schema, add, choose.

Source: the table specification, "Sorting"; rules and texts follow ``SortOrder`` and
``TableMetadata.Builder`` of Apache Iceberg's Java library.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from falcon_catalog.errors import BadRequestError, show
from falcon_catalog.metadata import columns, transforms, types
from falcon_catalog.metadata.builder import TableBuilder, find
from falcon_catalog.metadata.columns import Column
from falcon_catalog.metadata.json_fields import (
    JSON,
    array_of,
    as_integer,
    as_object,
    as_text,
    required,
)

LAST_ADDED = -1
UNSORTED_ID = 0
DIRECTIONS = ("asc", "desc")
NULL_ORDERS = ("nulls-first", "nulls-last")


def parse_fields(value: object, where: str) -> list[JSON]:
    """Return the fields of a sort order in their stored form."""
    fields = required(as_object(value, where), "fields", array_of(as_object), where)
    return [_parse_field(field, where) for field in fields]


def _parse_field(field: Mapping[str, Any], where: str) -> JSON:
    return {
        "transform": transforms.parse(required(field, "transform", as_text, where), where),
        "source-id": required(field, "source-id", as_integer, where),
        "direction": _choice(field, "direction", DIRECTIONS, where),
        "null-order": _choice(field, "null-order", NULL_ORDERS, where),
    }


def _choice(field: Mapping[str, Any], key: str, choices: Sequence[str], where: str) -> str:
    value = required(field, key, as_text, where).lower()
    if value not in choices:
        raise BadRequestError(
            f"Invalid {where}, field {key}: must be one of {', '.join(choices)}, got {show(value)}"
        )
    return value


def field_text(field: JSON) -> str:
    """Write a sort field for an error message, e.g. ``identity(3) ASC NULLS FIRST``."""
    nulls = field["null-order"].replace("-", " ").upper()
    return f"{field['transform']}({field['source-id']}) {field['direction'].upper()} {nulls}"


def check_sources(fields: Sequence[JSON], by_id: dict[int, Column]) -> None:
    """Refuse a field whose source column is missing or that its transform cannot take."""
    for field in fields:
        source = by_id.get(field["source-id"])
        if source is None:
            raise BadRequestError(f"Cannot find source column for sort field: {field_text(field)}")
        kind = types.text(source.type)
        if not types.is_primitive(source.type):
            raise BadRequestError(f"Cannot sort by non-primitive source field: {kind}")
        if not transforms.takes(field["transform"], source.type):
            raise BadRequestError(f"Invalid source type {kind} for transform: {field['transform']}")


def add(builder: TableBuilder, update: Mapping[str, Any]) -> None:
    """Apply ``add-sort-order``: reuse an identical order, else give it the next id.

    No fields is the unsorted order, always id 0.
    """
    fields = required(update, "sort-order", parse_fields, "add-sort-order update")
    schema = builder.schema()
    if schema is None:
        raise BadRequestError("Cannot add a sort order before a schema is added")
    check_sources(fields, columns.index(schema))
    orders = builder.meta["sort-orders"]
    same = next((known for known in orders if known["fields"] == fields), None)
    if same is None:
        highest = max((known["order-id"] for known in orders), default=UNSORTED_ID)
        same = {"order-id": highest + 1 if fields else UNSORTED_ID, "fields": fields}
        builder.put("sort-orders", [*orders, same])
    builder.last_added_order = same["order-id"]


def set_default(builder: TableBuilder, update: Mapping[str, Any]) -> None:
    """Apply ``set-default-sort-order``; -1 is the order last added in this request."""
    order_id = required(update, "sort-order-id", as_integer, "set-default-sort-order update")
    if order_id == LAST_ADDED:
        if builder.last_added_order is None:
            raise BadRequestError("Cannot set last added sort order: no sort order has been added")
        order_id = builder.last_added_order
    if order_id == builder.meta["default-sort-order-id"]:
        return
    if find(builder.meta["sort-orders"], "order-id", order_id) is None:
        raise BadRequestError(f"Cannot set default sort order to unknown sort order: {order_id}")
    builder.put("default-sort-order-id", order_id)
    builder.layout_changed = True
