"""Filters, bound to columns: how many rows of a file pass, and what is left to ask of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from falcon_catalog.catalog.scan_planning.bounds import Check, Known, Verdict, judge
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
    """One predicate: its JSON as the client wrote it, and what planning makes of it.

    Several ``checks`` are several ways to read one literal, none means that planning cannot
    judge the predicate: the reader will.
    """

    json: dict[str, Any]
    term: Term | None
    checks: tuple[Check, ...]


@dataclass(frozen=True, slots=True)
class Junction:
    """Predicates that must ``all`` hold, or of which one must."""

    all: bool
    children: tuple["Expression", ...]


Expression = bool | Leaf | Junction
Facts = Callable[[Column], Known]
"""What is known of a column in the file that is judged."""


class Fields:
    """The columns that a request may name; one that was renamed may be there twice.

    A request may name as many columns as a table has: each is found without a walk over all.
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
        """Return the form in which two names of one column are equal."""
        return name if self._case_sensitive else name.lower()


def verdict(expression: Expression, facts: Facts) -> Verdict:
    """Say how many of a file's rows pass a filter."""
    if isinstance(expression, bool):
        return Verdict.ALWAYS if expression else Verdict.NEVER
    if isinstance(expression, Leaf):
        return _verdict_of_leaf(expression, facts)
    verdicts = (verdict(child, facts) for child in expression.children)
    return min(verdicts) if expression.all else max(verdicts)


def residual(expression: Expression, facts: Facts) -> Predicate:
    """Return what is left to ask of each row once the facts of its file are known."""
    if isinstance(expression, bool):
        return expression
    if isinstance(expression, Leaf):
        judged = _verdict_of_leaf(expression, facts)
        return expression.json if judged == Verdict.SOMETIMES else judged == Verdict.ALWAYS
    settles = not expression.all  # one false settles AND, one true settles OR
    parts = []
    for child in expression.children:
        part = residual(child, facts)
        if part is settles:
            return settles
        if not isinstance(part, bool):
            parts.append(part)
    return _joined("and" if expression.all else "or", parts) if parts else expression.all


def _verdict_of_leaf(leaf: Leaf, facts: Facts) -> Verdict:
    if leaf.term is None or not leaf.checks:
        return Verdict.SOMETIMES
    column, transform = leaf.term.column, leaf.term.transform
    known = transformed(transform, column.type, facts(column))
    # Only a column itself can be known by its bucket, a transform of it cannot.
    hashed = bucket_function(column.type) if known.buckets else _no_bucket
    verdicts = {judge(test, known, hashed) for test in leaf.checks}
    return verdicts.pop() if len(verdicts) == 1 else Verdict.SOMETIMES


def _no_bucket(_count: int, _value: Any) -> None:
    return None


def _joined(word: str, parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Join predicates in a tree that is no deeper than it must be."""
    if len(parts) == 1:
        return parts[0]
    middle = len(parts) // 2
    return {
        "type": word,
        "left": _joined(word, parts[:middle]),
        "right": _joined(word, parts[middle:]),
    }
