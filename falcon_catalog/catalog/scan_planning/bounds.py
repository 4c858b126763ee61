"""What is known of a column's values in a file, and what that says of a test on them."""

import operator
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

_ORDERINGS = {
    "lt": operator.lt,
    "lt-eq": operator.le,
    "gt": operator.gt,
    "gt-eq": operator.ge,
}
_MOST_CANDIDATES = 200  # literals of an IN that are looked at one by one


class Verdict(IntEnum):
    """How many of some rows pass a predicate; ``min`` is AND, ``max`` is OR."""

    NEVER = 0
    SOMETIMES = 1
    ALWAYS = 2

    def inverted(self) -> "Verdict":
        """Return the verdict of the opposite predicate."""
        return Verdict(Verdict.ALWAYS - self)


@dataclass(frozen=True, slots=True)
class Known:
    """Facts that hold for every row of a file, or of many files."""

    nulls: bool = True
    """Whether there may be nulls."""
    nans: bool | None = None
    """Whether there are NaNs; None when nobody counted."""
    values: bool = True
    """Whether there may be anything else."""
    lower: Any = None
    """No value is smaller; None is not known."""
    upper: Any = None
    """No value is greater; None is not known."""
    prefix: str | bytes | None = None
    """Every value begins so."""
    buckets: tuple[tuple[int, int], ...] = ()
    """Number of buckets, and the one that every value falls into."""

    def __and__(self, other: "Known") -> "Known":
        """Return what is known when both hold."""
        lower = _tightest(max, self.lower, other.lower)
        upper = _tightest(min, self.upper, other.upper)
        if lower is not None and upper is not None and lower > upper:
            lower = upper = None  # they contradict: believe neither
        prefixes = [p for p in (self.prefix, other.prefix) if p is not None]
        nans = (self.nans, other.nans)
        return Known(
            nulls=self.nulls and other.nulls,
            nans=False if False in nans else True if True in nans else None,
            values=self.values and other.values,
            lower=lower,
            upper=upper,
            prefix=max(prefixes, key=len, default=None),
            buckets=self.buckets + other.buckets,
        )

    def overlaps(self, other: "Known") -> bool:
        """Tell whether a value of the one may equal a value of the other, nulls included."""
        if (self.nulls and other.nulls) or (self.nans is not False and other.nans is not False):
            return True
        if not (self.values and other.values):
            return False
        below = None not in (self.upper, other.lower) and self.upper < other.lower
        above = None not in (self.lower, other.upper) and self.lower > other.upper
        return not (below or above)


ONLY_NULLS = Known(nulls=True, nans=False, values=False)


@dataclass(frozen=True, slots=True)
class Check:
    """One comparison of a column, or of a transform of it, with literals.

    ``inverted`` is the opposite: ``not-eq`` is an inverted ``eq``.
    """

    operation: str
    literals: tuple[Any, ...] = ()  # in order, without doubles
    inverted: bool = False


def judge(test: Check, known: Known, bucket_of: Callable[[int, Any], int | None]) -> Verdict:
    """Say how many rows pass a test.

    Nulls and NaNs are judged apart: where SQL, the expressions specification and engines
    disagree on them, the answer is SOMETIMES, and the reader decides.

    Args:
        test: what is asked.
        known: what is known of the tested values.
        bucket_of: returns the bucket of a literal among so many, None if it cannot tell.
    """
    verdicts = set()
    if known.nulls:
        verdicts.add(_judge_null(test))
    if known.nans is not False:
        verdicts.add(_judge_nan(test, counted=known.nans is True))
    if known.values:
        verdict = _judge_values(test, known, bucket_of)
        verdicts.add(verdict.inverted() if test.inverted else verdict)
    if not verdicts:
        return Verdict.NEVER
    return verdicts.pop() if len(verdicts) == 1 else Verdict.SOMETIMES


def _judge_null(test: Check) -> Verdict:
    if test.operation == "is-null":
        return Verdict.NEVER if test.inverted else Verdict.ALWAYS
    # SQL drops nulls from `x != 1`; the expressions specification does not.
    return Verdict.SOMETIMES if test.inverted else Verdict.NEVER


def _judge_nan(test: Check, *, counted: bool) -> Verdict:
    if test.operation == "is-nan":
        return Verdict.NEVER if test.inverted else Verdict.ALWAYS
    if test.operation in ("eq", "in", "is-null"):
        return Verdict.ALWAYS if test.inverted else Verdict.NEVER
    if test.inverted:
        return Verdict.SOMETIMES
    # By the specification NaN is greater than nothing; DuckDB and Spark put it above all.
    greater = test.operation in ("gt", "gt-eq")
    return Verdict.SOMETIMES if greater and counted else Verdict.NEVER


def _judge_values(
    test: Check, known: Known, bucket_of: Callable[[int, Any], int | None]
) -> Verdict:
    operation, lower, upper = test.operation, known.lower, known.upper
    if operation in ("is-null", "is-nan"):
        return Verdict.NEVER
    if operation in ("eq", "in"):
        return _judge_equal(test.literals, known, bucket_of)
    literal = test.literals[0]
    if operation == "starts-with":
        return _judge_prefix(literal, known)
    compare = _ORDERINGS[operation]
    best, worst = (upper, lower) if operation in ("lt", "lt-eq") else (lower, upper)
    always = best is not None and bool(compare(best, literal))
    never = worst is not None and not compare(worst, literal)
    return _between(always, never)


def _between(always: bool, never: bool) -> Verdict:  # noqa: FBT001
    return Verdict.ALWAYS if always else Verdict.NEVER if never else Verdict.SOMETIMES


def _judge_equal(
    literals: Sequence[Any], known: Known, bucket_of: Callable[[int, Any], int | None]
) -> Verdict:
    lower, upper = known.lower, known.upper
    first = 0 if lower is None else bisect_left(literals, lower)
    last = len(literals) if upper is None else bisect_right(literals, upper)
    possible = last > first
    if possible and last - first <= _MOST_CANDIDATES:
        possible = any(_is_possible(one, known, bucket_of) for one in literals[first:last])
    if not possible:
        return Verdict.NEVER
    certain = lower is not None and lower == upper
    return Verdict.ALWAYS if certain else Verdict.SOMETIMES


def _is_possible(literal: Any, known: Known, bucket_of: Callable[[int, Any], int | None]) -> bool:
    if known.prefix is not None and not literal.startswith(known.prefix):
        return False
    return all(bucket_of(count, literal) in (bucket, None) for count, bucket in known.buckets)


def _judge_prefix(literal: str, known: Known) -> Verdict:
    if known.prefix is not None:
        if known.prefix.startswith(literal):  # type: ignore[arg-type]
            return Verdict.ALWAYS
        if not literal.startswith(known.prefix):  # type: ignore[arg-type]
            return Verdict.NEVER
    size = len(literal)
    lower, upper = known.lower, known.upper
    never = (lower is not None and lower[:size] > literal) or (
        upper is not None and upper[:size] < literal
    )
    always = lower is not None and upper is not None and lower[:size] == upper[:size] == literal
    return _between(always, never)


def _tightest(choose: Callable[[Iterable[Any]], Any], *bounds: Any) -> Any:
    present = [bound for bound in bounds if bound is not None]
    return choose(present) if present else None
