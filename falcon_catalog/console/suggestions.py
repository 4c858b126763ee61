"""Names that are close to one that was not found."""

from collections.abc import Sequence
from difflib import SequenceMatcher

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
