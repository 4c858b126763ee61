"""What commands and pages say in the same words."""

from collections.abc import Sequence
from datetime import UTC, datetime
from difflib import SequenceMatcher

_LISTED = 50
_SHOWN = 3
_CLOSE = 0.6
"""Of ``SequenceMatcher.ratio``: what difflib takes for close."""


def did_you_mean(typed: str, known: Sequence[str]) -> str:
    """Return `` (did you mean …?)`` with the known names close to a typed one, or an empty text."""
    return or_mean(closest(typed, known))


def or_mean(names: Sequence[str]) -> str:
    """Return `` (did you mean …?)`` with some names, or an empty text without any."""
    return f" (did you mean {' or '.join(names)}?)" if names else ""


def closest(typed: str, known: Sequence[str]) -> list[str]:
    """Return the known names close to a typed one, the closest first; three at most.

    Capitals do not count. Names with equally many parts between dots are close if each part is: a
    long namespace does not make all of its tables close.
    """
    scores = {name: _likeness(typed.casefold(), name.casefold()) for name in known}
    found = [name for name, score in scores.items() if score >= _CLOSE]
    return sorted(found, key=lambda name: (-scores[name], name))[:_SHOWN]


def _likeness(one: str, other: str) -> float:
    """Return how much two names are alike, from 0 to 1."""
    parts, others = one.split("."), other.split(".")
    if len(parts) != len(others):
        parts, others = [one], [other]
    return min(map(_ratio, parts, others))


def _ratio(one: str, other: str) -> float:
    return SequenceMatcher(None, one, other).ratio()


def no_column(typed: str, known: Sequence[str]) -> str:
    """Return that there is no column of a name, and which columns there are."""
    more = ", …" if len(known) > _LISTED else ""
    columns = f"{', '.join(known[:_LISTED])}{more}"
    return f"there is no column {typed}{did_you_mean(typed, known)}; the columns are {columns}"


def no_snapshot_then(table: str, at: datetime, first_ms: int | None) -> str:
    """Return that a table had no snapshot at a time.

    Args:
        table: how the sentence calls it.
        at: the time, which has an offset.
        first_ms: the first time in its history, in milliseconds since 1970; None if it has none.
    """
    try:
        time = at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="seconds") + "Z"
    except OverflowError:  # in the first or the last hours of all
        time = at.isoformat()
    said = f"{table} had no snapshot at {time}"
    try:
        first = None if first_ms is None else datetime.fromtimestamp(first_ms / 1000, UTC)
    except (OverflowError, ValueError, OSError):  # a client's clock may say anything
        first = None
    if first is None:
        return said
    start = first.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return f"{said}; its history starts at {start}"
