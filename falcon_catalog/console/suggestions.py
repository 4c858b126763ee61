"""Names that are close to one that was not found."""

import difflib
from collections.abc import Sequence

_SHOWN = 3


def did_you_mean(typed: str, known: Sequence[str]) -> str:
    """Return `` (did you mean …?)`` with the known names close to a typed one, or an empty text."""
    by_lower = {name.lower(): name for name in known}
    close = difflib.get_close_matches(typed.lower(), list(by_lower), _SHOWN)
    if not close:
        return ""
    return f" (did you mean {' or '.join(by_lower[name] for name in close)}?)"
