"""What a table must hold: rows by id, values by the keys of columns."""

import copy
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from tests.maintenance.histories.values import Filter, comparable, matches

Rows = dict[int, dict[str, Any]]


@dataclass
class Model:
    """The rows of each branch and tag."""

    kinds: dict[str, str]
    """Type by key, of the columns that are there."""
    refs: dict[str, Rows] = field(default_factory=lambda: {"main": {}})

    def add(self, ref: str, rows: Iterable[dict[str, Any]]) -> None:
        """Add rows, which are null where they say nothing."""
        for row in rows:
            self.refs[ref][row["id"]] = {key: row.get(key) for key in self.kinds}

    def found(self, where: tuple[Any, ...], ref: str = "main") -> set[int]:
        """Return the ids that a condition finds."""
        if where[0] == "ids":
            return {one for one in self.refs[ref] if one % where[1] == where[2]}
        return self.matching(where[1], where[2], ref)

    def matching(self, key: str, one: Filter, ref: str = "main") -> set[int]:
        """Return the ids of rows in which a filter finds a column's value."""
        rows = self.refs[ref].items()
        return {number for number, row in rows if matches(one, number if key == "id" else row[key])}

    def remove(self, ids: Iterable[int], ref: str = "main") -> None:
        """Remove rows."""
        for number in ids:
            del self.refs[ref][number]

    def add_column(self, key: str, kind: str) -> None:
        """Add a column, which is null in every row."""
        self.kinds[key] = kind
        for rows in self.refs.values():
            for row in rows.values():
                row.setdefault(key)

    def branch(self, name: str) -> None:
        """Give the main branch's rows another name."""
        self.refs[name] = copy.deepcopy(self.refs["main"])

    def expected(self, ref: str = "main") -> list[tuple[Any, ...]]:
        """Return the rows of a branch as ``comparable`` values, by id."""
        return [
            (number, *(comparable(kind, row[key]) for key, kind in self.kinds.items()))
            for number, row in sorted(self.refs[ref].items())
        ]
