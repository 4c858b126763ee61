"""Filters bound to columns: how many rows of a file match, and the residual filter."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from falcon_catalog.catalog.scan_planning.bounds import Bounds, Check, Match
from falcon_catalog.catalog.scan_planning.iceberg import bucket_function
from falcon_catalog.catalog.scan_planning.transforms import transformed
from falcon_catalog.errors import BadRequestError, show
from falcon_catalog.metadata.columns import Column

Predicate = bool | dict[str, Any]
"""A predicate in the JSON form of the REST specification."""


@dataclass(frozen=True, slots=True)
class Term:
    """A column, or a transform of one."""

    column: Column
    transform: str = "identity"


@dataclass(frozen=True, slots=True)
class Leaf:
    """One predicate, as the client wrote it and as planning evaluates it.

    Several ``checks`` are several readings of one literal; none means that only the reader can
    evaluate the predicate.
    """

    json: dict[str, Any]
    term: Term | None
    checks: tuple[Check, ...]


@dataclass(frozen=True, slots=True)
class Junction:
    """Predicates that must ``all`` hold, or one of which must."""

    all: bool
    children: tuple["Expression", ...]


Expression = bool | Leaf | Junction
Statistics = Callable[[Column], Bounds]
"""Returns the bounds of a column in the file that is evaluated."""


class Fields:
    """The columns that a request may name; a renamed one may appear twice.

    Lookups are indexed: a request may name as many columns as a table has.
    """

    def __init__(self, columns: Sequence[Column], case_sensitive: bool) -> None:  # noqa: FBT001
        self.columns = columns
        self._case_sensitive = case_sensitive
        self._by_id: dict[int, Column] = {}
        self._by_name: dict[str, list[Column]] = {}
        for column in columns:
            self._by_id.setdefault(column.id, column)
            self._by_name.setdefault(self.key(column.full_name), []).append(column)

    def named(self, name: object, where: str) -> Column:
        """Return the column with this full name; 400 when there is none, or several."""
        if not isinstance(name, str):
            raise BadRequestError(f"Invalid {where}: a column's name must be a string")
        found = self._by_name.get(self.key(name))
        if not found:
            raise BadRequestError(f"Invalid {where}: cannot find column {show(name)}")
        if any(column.id != found[0].id for column in found):
            raise BadRequestError(f"Invalid {where}: column {show(name)} is ambiguous")
        return found[0]

    def numbered(self, field_id: object, where: str) -> Column:
        """Return the column with this field id; 400 when there is none."""
        if isinstance(field_id, int) and not isinstance(field_id, bool):
            column = self._by_id.get(field_id)
            if column is not None:
                return column
        raise BadRequestError(f"Invalid {where}: cannot find a column with id {show(field_id)}")

    def key(self, name: str) -> str:
        """Return a name in the form that is compared."""
        return name if self._case_sensitive else name.lower()


def evaluate(expression: Expression, statistics: Statistics) -> Match:
    """Return how many of a file's rows match a filter."""
    if isinstance(expression, bool):
        return Match.ALWAYS if expression else Match.NEVER
    if isinstance(expression, Leaf):
        return _evaluate_leaf(expression, statistics)
    matches = (evaluate(child, statistics) for child in expression.children)
    return min(matches) if expression.all else max(matches)


def residual(expression: Expression, statistics: Statistics) -> Predicate:
    """Return the filter that remains for each row, given the statistics of its file."""
    if isinstance(expression, bool):
        return expression
    if isinstance(expression, Leaf):
        match = _evaluate_leaf(expression, statistics)
        return expression.json if match == Match.SOMETIMES else match == Match.ALWAYS
    settles = not expression.all  # one false settles AND, one true settles OR
    parts = []
    for child in expression.children:
        part = residual(child, statistics)
        if part is settles:
            return settles
        if not isinstance(part, bool):
            parts.append(part)
    return _joined("and" if expression.all else "or", parts) if parts else expression.all


def _evaluate_leaf(leaf: Leaf, statistics: Statistics) -> Match:
    if leaf.term is None or not leaf.checks:
        return Match.SOMETIMES
    column = leaf.term.column
    bounds = transformed(leaf.term.transform, column.type, statistics(column))
    # Only of a column itself can the bucket be known, not of a transform of it.
    bucket_of = bucket_function(column.type) if bounds.buckets else lambda _count, _value: None
    matches = {check.evaluate(bounds, bucket_of) for check in leaf.checks}
    return matches.pop() if len(matches) == 1 else Match.SOMETIMES


def _joined(word: str, parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Join predicates in a balanced tree."""
    if len(parts) == 1:
        return parts[0]
    middle = len(parts) // 2
    return {
        "type": word,
        "left": _joined(word, parts[:middle]),
        "right": _joined(word, parts[middle:]),
    }
