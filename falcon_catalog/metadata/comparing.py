"""What differs between two schemas, or between two states of a table's metadata."""

from collections.abc import Mapping
from dataclasses import dataclass

from falcon_catalog.metadata import columns
from falcon_catalog.metadata.columns import Column
from falcon_catalog.metadata.json_fields import JSON


@dataclass(frozen=True, slots=True)
class ColumnChange:
    """A column that two schemas do not have alike; columns are the same if their ids are."""

    before: Column | None
    after: Column | None

    @property
    def kind(self) -> str:
        """``added``, ``removed`` or ``changed``."""
        return "added" if self.before is None else "removed" if self.after is None else "changed"

    @property
    def what(self) -> list[str]:
        """What differs, in words."""
        old, new = self.before, self.after
        if old is None or new is None:
            return []
        found = []
        if old.name != new.name:
            found.append(f"renamed from {old.name} to {new.name}")
        if old.parents != new.parents:
            found.append("moved")
        if _kind(old) != _kind(new):
            found.append(f"type {_kind(old)} is now {_kind(new)}")
        if old.required != new.required:
            found.append("now required" if new.required else "now optional")
        if old.doc != new.doc:
            found.append("description changed")
        if old.write_default != new.write_default:
            found.append("write default changed")
        return found


def schemas(before: JSON, after: JSON) -> list[ColumnChange]:
    """Return the columns that two schemas do not have alike, in the order of the second one."""
    old, new = columns.index(before), columns.index(after)
    changes = [ColumnChange(old.get(each), column) for each, column in new.items()]
    removed = [ColumnChange(column, None) for each, column in old.items() if each not in new]
    return [change for change in changes if change.before is None or change.what] + removed


def properties(
    before: Mapping[str, str], after: Mapping[str, str]
) -> list[tuple[str, str | None, str | None]]:
    """Return the keys whose values differ, with both values; None where there is none."""
    return [
        (key, before.get(key), after.get(key))
        for key in sorted(before.keys() | after.keys())
        if before.get(key) != after.get(key)
    ]


def _kind(column: Column) -> str:
    """Return the type of a column; that of a nested one has changes of its own."""
    return column.type if isinstance(column.type, str) else str(column.type["type"])


def spec_text(spec: JSON, names: Mapping[int, str]) -> str:
    """Return a partition spec in one line; ``names`` are those of columns, by id."""
    parts = [_term(field, names) for field in spec["fields"]]
    return ", ".join(parts) or "unpartitioned"


def order_text(order: JSON, names: Mapping[int, str]) -> str:
    """Return a sort order in one line; as ``spec_text``."""
    parts = [
        f"{_term(field, names)} {field['direction']} {field['null-order']}"
        for field in order["fields"]
    ]
    return ", ".join(parts) or "unsorted"


def _term(field: JSON, names: Mapping[int, str]) -> str:
    source = field.get("source-id")
    name = names.get(source, str(source)) if isinstance(source, int) else "several columns"
    transform = field["transform"]
    return name if transform == "identity" else f"{transform}({name})"


def column_names(metadata: JSON, *first: JSON) -> dict[int, str]:
    """Return the full names of the columns that partition specs and sort orders use, by id.

    They are looked up in the schemas ``first``, in the current one, and then in the others: tables
    may have many, of thousands of columns each.
    """
    layouts = (*metadata["partition-specs"], *metadata["sort-orders"])
    wanted = {field.get("source-id") for each in layouts for field in each["fields"]} - {None}
    current = metadata["current-schema-id"]
    known = sorted(metadata["schemas"], key=lambda each: each["schema-id"] != current)
    found: dict[int, str] = {}
    for schema in (*first, *known):
        if wanted <= found.keys():
            break
        for column in columns.index(schema).values():
            if column.id in wanted:
                found.setdefault(column.id, column.full_name)
    return found
