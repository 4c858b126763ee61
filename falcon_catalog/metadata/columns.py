"""All columns of a schema, nested ones included, by field id.

Building the index checks that field ids and full names (``address.street``, ``tags.element``) are
unique.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from falcon_catalog.errors import BadRequestError
from falcon_catalog.metadata import types
from falcon_catalog.metadata.json_fields import JSON


@dataclass(frozen=True, slots=True)
class Column:
    """A field at any depth: ``parents`` are the ids above it, outermost first."""

    id: int
    name: str
    path: tuple[str, ...]
    type: types.Type
    required: bool
    parents: tuple[int, ...]
    initial_default: object = None
    write_default: object = None
    doc: str | None = None

    @property
    def full_name(self) -> str:
        """The names from the root down, joined by dots."""
        return ".".join(self.path)

    def __str__(self) -> str:
        need = "required" if self.required else "optional"
        return f"{self.id}: {self.name}: {need} {types.text(self.type)}"


def index(schema: JSON) -> dict[int, Column]:
    """Return all columns of a parsed schema by id; 400 on a repeated id or name."""
    columns: dict[int, Column] = {}
    names: dict[str, int] = {}
    pending = _struct_columns(schema["fields"], (), ())[::-1]
    while pending:  # outer columns before inner ones
        column = pending.pop()
        pending += _children(column)[::-1]
        name = column.full_name
        if name in names:
            raise BadRequestError(
                f"Invalid schema: multiple fields for name {name}: {names[name]} and {column.id}"
            )
        if column.id in columns:
            raise BadRequestError(
                f"Invalid schema: multiple fields for id {column.id}: "
                f"{columns[column.id].full_name} and {name}"
            )
        names[name] = column.id
        columns[column.id] = column
    return columns


def _children(column: Column) -> list[Column]:
    kind = column.type
    if isinstance(kind, str):
        return []
    parents = (*column.parents, column.id)
    if kind["type"] == "struct":
        return _struct_columns(kind["fields"], column.path, parents)
    return [
        Column(
            id=kind[f"{part}-id"],
            name=part,
            path=(*column.path, part),
            type=kind[part],
            required=part == "key" or kind[f"{part}-required"],
            parents=parents,
        )
        for part in types.PARTS[kind["type"]]
    ]


def _struct_columns(
    fields: Iterable[JSON], path: tuple[str, ...], parents: tuple[int, ...]
) -> list[Column]:
    return [
        Column(
            id=field["id"],
            name=field["name"],
            path=(*path, field["name"]),
            type=field["type"],
            required=field["required"],
            parents=parents,
            initial_default=field.get("initial-default"),
            write_default=field.get("write-default"),
            doc=field.get("doc"),
        )
        for field in fields
    ]
