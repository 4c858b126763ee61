"""Values as text, for pages and for CSV."""

import datetime as dt
import json
import math
from collections.abc import Iterable, Sequence
from typing import Any

MAX_TEXT = 20_000
"""The characters of one value that are sent; a longer one ends with a remark."""
MAX_CELLS, MAX_CHARACTERS = 200_000, 4_000_000
"""Of all rows: a page with more would keep the server and the browser busy for seconds."""


def rows_as_text(rows: Iterable[Sequence[Any]], most: int) -> tuple[list[list[str | None]], bool]:
    """Return rows of values as rows of text, None is null; and whether there are more.

    At most ``most`` are returned, and fewer if they exceed MAX_CELLS or MAX_CHARACTERS together.
    """
    found: list[list[str | None]] = []
    cells, characters = MAX_CELLS, MAX_CHARACTERS
    for row in rows:
        longest = min(MAX_TEXT, MAX_CHARACTERS // max(len(row), 1))
        shown = [None if value is None else as_text(value, longest) for value in row]
        cells, characters = cells - len(row), characters - sum(len(each or "") for each in shown)
        if len(found) == most or (found and min(cells, characters) < 0):
            return found, True
        found.append(shown)
    return found, False


def as_text(value: Any, most: int = MAX_TEXT) -> str:
    """Return a value as people read it: nested ones as JSON, bytes in hexadecimal."""
    text = value if isinstance(value, str) else _shown(value)
    if len(text) > most:
        return f"{text[:most]}… ({len(text)} characters)"
    return text


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value[: MAX_TEXT // 2 + 1]).hex()
    if isinstance(value, dict | list | tuple):
        return json.dumps(_plain(value), ensure_ascii=False)
    if isinstance(value, dt.datetime | dt.date | dt.time):
        return value.isoformat()
    return str(value)


def _plain(value: Any) -> Any:
    """Return a nested value as JSON has it."""
    if isinstance(value, dict):
        return {str(_key(key)): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    return _shown(value)


def _key(key: Any) -> Any:
    return key if isinstance(key, str) else _shown(key)
