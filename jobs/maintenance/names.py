"""Table names as text: ``ns.table``, ``ns."a.b"``.

Everywhere else a name is a tuple of levels, because levels may contain dots.
"""

import re

from pyiceberg.typedef import Identifier

Name = str | Identifier
"""A table's name: its levels, or a text for ``parse``."""

_LEVEL = re.compile(r'"((?:[^"]|"")*)"|`((?:[^`]|``)*)`|([^."`]+)')
_PLAIN = re.compile(r'[^."`*\s]+')


def parse(text: str) -> Identifier:
    """Return the levels of a name, which are separated by dots.

    A level may be quoted with double quotes or backticks, which are doubled inside it, as in SQL.

    Raises:
        ValueError: a level is empty, or a quote is not closed.
    """
    return tuple(level for level, _ in _levels(text))


def parse_pattern(text: str) -> tuple[Identifier, bool]:
    """Return the levels of a table's name, or of ``namespace.*`` for all its tables.

    Returns:
        The table and False, or the namespace and True. A quoted ``"*"`` is a table's name.

    Raises:
        ValueError: as ``parse``, or the name has no namespace.
    """
    levels = _levels(text)
    name = tuple(level for level, _ in levels)
    if len(name) == 1:
        raise ValueError(f"{text!r} names no table: give namespace.table, or namespace.*")
    if levels[-1] == ("*", False):
        return name[:-1], True
    return name, False


def identifier(name: Name) -> Identifier:
    """Return a name's levels."""
    return parse(name) if isinstance(name, str) else tuple(name)


def spell(name: Identifier) -> str:
    """Return a name as text for ``parse``; levels are quoted if necessary."""
    return ".".join(
        level if _PLAIN.fullmatch(level) else '"' + level.replace('"', '""') + '"' for level in name
    )


def _levels(text: str) -> list[tuple[str, bool]]:
    """Return the levels, each with whether it was quoted."""
    levels, position = [], 0
    while True:
        match = _LEVEL.match(text, position)
        if match is None or text[match.end() : match.end() + 1] not in {"", "."}:
            raise ValueError(
                f"{text!r} is not a name: levels are separated by single dots, and one with a"
                ' dot or a quote in it is written in double quotes, as in ns."a.b"'
            )
        double, back, plain = match.groups()
        if double is not None:
            levels.append((double.replace('""', '"'), True))
        elif back is not None:
            levels.append((back.replace("``", "`"), True))
        else:
            levels.append((plain, False))
        position = match.end() + 1
        if match.end() == len(text):
            return levels
