"""What differs between two schemas, and between two sets of properties."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from falcon_catalog.console.schemas import Field, fields

if TYPE_CHECKING:
    from pyiceberg.schema import Schema


@dataclass(frozen=True, slots=True)
class Change:
    """One difference; ``old`` is None for what was added, ``new`` for what was removed."""

    what: str
    old: str | None
    new: str | None


def schema_changes(old: "Schema", new: "Schema") -> list[Change]:
    """Return the differences of two schemas; fields are the same where their ids are."""
    before = {field.field_id: field for field in fields(old)}
    after = {field.field_id: field for field in fields(new)}
    found = [
        Change(f"column {field.path}", _described(field), None)
        for field_id, field in before.items()
        if field_id not in after
    ]
    for field_id, field in after.items():
        if field_id not in before:
            found.append(Change(f"column {field.path}", None, _described(field)))
        else:
            found += _field_changes(before[field_id], field)
    return found


def _field_changes(old: Field, new: Field) -> list[Change]:
    aspects = [
        ("name", old.path, new.path),
        ("type", old.type, new.type),
        ("null", _null(old), _null(new)),
        ("doc", old.doc, new.doc),
    ]
    return [
        Change(f"column {new.path}: {aspect}", before, after)
        for aspect, before, after in aspects
        if before != after
    ]


def _described(field: Field) -> str:
    return f"{field.type} {_null(field)}"


def _null(field: Field) -> str:
    return "required" if field.is_required else "optional"


def map_changes(kind: str, old: dict[str, str], new: dict[str, str]) -> list[Change]:
    """Return the differences of two maps, such as properties, by key."""
    return [
        Change(f"{kind} {key}", old.get(key), new.get(key))
        for key in sorted(old | new)
        if old.get(key) != new.get(key)
    ]
