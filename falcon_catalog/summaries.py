"""What the summary of a snapshot counts, for pages and commands alike.

Source: the table specification, "Optional Snapshot Summary Fields". Writers leave out what is zero,
and some leave out whole families of counts.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from falcon_catalog.decimals import read_decimal

_LONG_MAX = 2**63 - 1
_DELETION_VECTORS = 3
"""The format version that has them."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows that a snapshot added, removed and left; None where its writer did not count."""

    added: int | None
    removed: int | None
    """With their files, or by delete files."""
    total: int | None
    """After deletes where ``is_exact``, else before them."""
    before_deletes: int | None
    """Rows of all data files."""
    is_exact: bool
    """False: delete files remove an unknown number of the rows. Those that delete by equality may
    remove any number each, and not every writer counts a deletion vector that replaces another
    once."""


def rows(summary: Mapping[str, object], format_version: int = 2) -> Rows:
    """Return the rows that a summary counts.

    Args:
        summary: of a snapshot.
        format_version: of the table; from 3 on it has deletion vectors.
    """
    total = before_deletes = number(summary, "total-records")
    deletes = number(summary, "total-position-deletes") or 0
    unknown = number(summary, "total-equality-deletes") or 0
    if format_version >= _DELETION_VECTORS:
        unknown += deletes
    if total is not None and not unknown:
        total = max(0, total - deletes)
    removed = change(summary, "deleted-records", "total-records")
    if removed is not None:
        by_position = number(summary, "added-position-deletes") or 0
        replaced = number(summary, "removed-position-deletes") or 0
        by_equality = number(summary, "added-equality-deletes") or 0
        removed = max(0, removed + by_position - replaced) + by_equality
    added = change(summary, "added-records", "total-records")
    return Rows(added, removed, total, before_deletes, not unknown)


def change(summary: Mapping[str, object], key: str, total: str) -> int | None:
    """Return the number of a key; 0 where the summary has only the total that it changes."""
    if key not in summary and number(summary, total) is not None:
        return 0
    return number(summary, key)


def number(summary: Mapping[str, object], key: str) -> int | None:
    """Return a number of a summary, at most that of a long; None if it has none that is valid."""
    value = summary.get(key)
    return read_decimal(value, most=_LONG_MAX) if isinstance(value, str) else None
