"""Bounds of a column's values in a file, and how many rows pass a check given them."""

import operator
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

_ORDERINGS = {"lt": operator.lt, "lt-eq": operator.le, "gt": operator.gt, "gt-eq": operator.ge}
_MOST_CANDIDATES = 200  # literals of an IN that are checked one by one


class Match(IntEnum):
    """How many rows match a predicate; ``min`` is AND, ``max`` is OR."""

    NEVER = 0
    SOMETIMES = 1
    ALWAYS = 2

    def inverted(self) -> "Match":
        """Return the match of the opposite predicate."""
        return Match(Match.ALWAYS - self)


@dataclass(frozen=True, slots=True)
class Bounds:
    """Bounds of a column's values that hold for every row of a file, or of many files."""

    nulls: bool = True
    """Whether there may be nulls."""
    nans: bool | None = None
    """Whether there are NaNs; None if they were not counted."""
    values: bool = True
    """Whether there may be other values."""
    lower: Any = None
    """A lower bound; None if unknown."""
    upper: Any = None
    """An upper bound; None if unknown."""
    prefix: str | bytes | None = None
    """A prefix of all values; None if unknown."""
    buckets: tuple[tuple[int, int], ...] = ()
    """Numbers of buckets, each with the bucket of all values."""

    def __and__(self, other: "Bounds") -> "Bounds":
        """Return the bounds when both hold."""
        lower = _tightest(max, self.lower, other.lower)
        upper = _tightest(min, self.upper, other.upper)
        if lower is not None and upper is not None and lower > upper:
            lower = upper = None  # they contradict each other: use neither
        prefixes = [p for p in (self.prefix, other.prefix) if p is not None]
        nans = (self.nans, other.nans)
        return Bounds(
            nulls=self.nulls and other.nulls,
            nans=False if False in nans else True if True in nans else None,
            values=self.values and other.values,
            lower=lower,
            upper=upper,
            prefix=max(prefixes, key=len, default=None),
            buckets=self.buckets + other.buckets,
        )

    def overlaps(self, other: "Bounds") -> bool:
        """Return whether a value in these bounds may equal one in the others, nulls included."""
        if (self.nulls and other.nulls) or (self.nans is not False and other.nans is not False):
            return True
        if not (self.values and other.values):
            return False
        below = None not in (self.upper, other.lower) and self.upper < other.lower
        above = None not in (self.lower, other.upper) and self.lower > other.upper
        return not (below or above)


ONLY_NULLS = Bounds(nulls=True, nans=False, values=False)


BucketOf = Callable[[int, Any], int | None]
"""Returns the bucket of a literal among a number of buckets; None if it cannot be computed."""


@dataclass(frozen=True, slots=True)
class Check:
    """A comparison of a column, or of a transform of it, with literals.

    ``inverted`` is the opposite: ``not-eq`` is an inverted ``eq``.
    """

    operation: str
    literals: tuple[Any, ...] = ()  # sorted, without duplicates
    inverted: bool = False

    def evaluate(self, bounds: Bounds, bucket_of: BucketOf) -> Match:
        """Return how many rows pass.

        Nulls and NaNs are evaluated separately: where SQL, the expressions specification and
        engines disagree on them, the result is SOMETIMES, and the reader decides.
        """
        matches = set()
        if bounds.nulls:
            matches.add(self._evaluate_null())
        if bounds.nans is not False:
            matches.add(self._evaluate_nan(counted=bounds.nans is True))
        if bounds.values:
            match = self._evaluate_values(bounds, bucket_of)
            matches.add(match.inverted() if self.inverted else match)
        if not matches:
            return Match.NEVER
        return matches.pop() if len(matches) == 1 else Match.SOMETIMES

    def _evaluate_null(self) -> Match:
        if self.operation == "is-null":
            return Match.NEVER if self.inverted else Match.ALWAYS
        # SQL drops nulls from `x != 1`; the expressions specification does not.
        return Match.SOMETIMES if self.inverted else Match.NEVER

    def _evaluate_nan(self, *, counted: bool) -> Match:
        if self.operation == "is-nan":
            return Match.NEVER if self.inverted else Match.ALWAYS
        if self.operation in ("eq", "in", "is-null"):
            return Match.ALWAYS if self.inverted else Match.NEVER
        if self.inverted:
            return Match.SOMETIMES
        # By the specification NaN is greater than nothing; DuckDB and Spark put it above all.
        greater = self.operation in ("gt", "gt-eq")
        return Match.SOMETIMES if greater and counted else Match.NEVER

    def _evaluate_values(self, bounds: Bounds, bucket_of: BucketOf) -> Match:
        operation, lower, upper = self.operation, bounds.lower, bounds.upper
        if operation in ("is-null", "is-nan"):
            return Match.NEVER
        if operation in ("eq", "in"):
            return _evaluate_equal(self.literals, bounds, bucket_of)
        literal = self.literals[0]
        if operation == "starts-with":
            return _evaluate_prefix(literal, bounds)
        compare = _ORDERINGS[operation]
        best, worst = (upper, lower) if operation in ("lt", "lt-eq") else (lower, upper)
        always = best is not None and bool(compare(best, literal))
        never = worst is not None and not compare(worst, literal)
        return _between(always, never)


def _between(always: bool, never: bool) -> Match:  # noqa: FBT001
    return Match.ALWAYS if always else Match.NEVER if never else Match.SOMETIMES


def _evaluate_equal(literals: Sequence[Any], bounds: Bounds, bucket_of: BucketOf) -> Match:
    lower, upper = bounds.lower, bounds.upper
    first = 0 if lower is None else bisect_left(literals, lower)
    last = len(literals) if upper is None else bisect_right(literals, upper)
    possible = last > first
    if possible and last - first <= _MOST_CANDIDATES:
        possible = any(_is_possible(one, bounds, bucket_of) for one in literals[first:last])
    if not possible:
        return Match.NEVER
    certain = lower is not None and lower == upper
    return Match.ALWAYS if certain else Match.SOMETIMES


def _is_possible(literal: Any, bounds: Bounds, bucket_of: BucketOf) -> bool:
    if bounds.prefix is not None and not literal.startswith(bounds.prefix):
        return False
    return all(bucket_of(count, literal) in (bucket, None) for count, bucket in bounds.buckets)


def _evaluate_prefix(literal: str, bounds: Bounds) -> Match:
    if bounds.prefix is not None:
        if bounds.prefix.startswith(literal):  # type: ignore[arg-type]
            return Match.ALWAYS
        if not literal.startswith(bounds.prefix):  # type: ignore[arg-type]
            return Match.NEVER
    size = len(literal)
    lower, upper = bounds.lower, bounds.upper
    never = (lower is not None and lower[:size] > literal) or (
        upper is not None and upper[:size] < literal
    )
    always = lower is not None and upper is not None and lower[:size] == upper[:size] == literal
    return _between(always, never)


def _tightest(choose: Callable[[Iterable[Any]], Any], *values: Any) -> Any:
    present = [value for value in values if value is not None]
    return choose(present) if present else None
