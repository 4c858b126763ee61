"""Schemas, partition specs and sort orders as lines of text."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyiceberg.partitioning import PartitionSpec
    from pyiceberg.schema import Schema
    from pyiceberg.table.sorting import SortOrder
    from pyiceberg.types import IcebergType, NestedField


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a schema, nested ones included."""

    depth: int
    path: str
    """The names from the root of the schema, separated by dots."""
    name: str
    field_id: int
    type: str
    """As the specification writes it; of nested types only the outermost: ``struct``."""
    is_required: bool
    doc: str


def fields(schema: "Schema") -> list[Field]:
    """Return the fields of a schema, each before those that are nested in it."""
    return [each for field in schema.fields for each in _nested(field, 0, "")]


def _nested(field: "NestedField", depth: int, parent: str) -> Iterator[Field]:
    from pyiceberg.types import ListType, MapType, StructType

    path = f"{parent}{field.name}"
    kind = field.field_type
    yield Field(
        depth, path, field.name, field.field_id, _type(kind), field.required, field.doc or ""
    )
    inner: tuple[NestedField, ...] = ()
    match kind:
        case StructType():
            inner = kind.fields
        case ListType():
            inner = (kind.element_field,)
        case MapType():
            inner = (kind.key_field, kind.value_field)
    for each in inner:
        yield from _nested(each, depth + 1, f"{path}.")


def _type(kind: "IcebergType") -> str:
    from pyiceberg.types import ListType, MapType, StructType

    for nested, name in ((StructType, "struct"), (ListType, "list"), (MapType, "map")):
        if isinstance(kind, nested):
            return name
    return str(kind)


def partitioning(spec: "PartitionSpec", schema: "Schema") -> list[str]:
    """Return the fields of a partition spec, such as ``day(time) as time_day``."""
    lines = []
    for field in spec.fields:
        source = _column(schema, field.source_id)
        transformed = _transformed(str(field.transform), source)
        lines.append(transformed if field.name == source else f"{transformed} as {field.name}")
    return lines


def ordering(order: "SortOrder", schema: "Schema") -> list[str]:
    """Return the fields of a sort order, such as ``time desc nulls last``."""
    return [
        f"{_transformed(str(field.transform), _column(schema, field.source_id))}"
        f" {field.direction.value.lower()} {field.null_order.value.replace('-', ' ').lower()}"
        for field in order.fields
    ]


def _transformed(transform: str, column: str) -> str:
    if transform == "identity":
        return column
    name, bracket, argument = transform.partition("[")  # bucket[16]
    return f"{name}({argument.rstrip(']')}, {column})" if bracket else f"{name}({column})"


def _column(schema: "Schema", field_id: int) -> str:
    """Return a column's name; of one that was dropped its id."""
    return schema.find_column_name(field_id) or f"column {field_id}"
