"""Names of namespaces, tables and views as people type them: ``weather.observations@main``.

Parts are separated by dots. A part with a dot, ``@``, quote or blank in it is quoted, as in SQL:
``"a.b".c``, with a quote doubled. What follows the first ``@`` outside of quotes selects a
snapshot, and is taken as it is; ``falcon_catalog.console.snapshots`` has its forms.
"""

import re
from dataclasses import dataclass, replace

_PART = re.compile(r'"(?P<quoted>(?:[^"]|"")*)"|(?P<bare>[^".@]+)', re.DOTALL)
_IS_BARE = re.compile(r'[^".@\s]+')


class InvalidNameError(ValueError):
    """The text is no name; the message says which rule it breaks."""


@dataclass(frozen=True, slots=True)
class Name:
    """The name of a namespace, table or view, and which snapshot of it is meant."""

    parts: tuple[str, ...]
    at: str | None = None
    """A branch, a tag, a snapshot id or a time, as it was typed; None: the current snapshot."""

    def __str__(self) -> str:
        """Return the text that ``parse`` reads."""
        selector = "" if self.at is None else f"@{self.at}"
        return f"{dotted(self.parts)}{selector}"

    @property
    def entity(self) -> "Name":
        """The same name without a snapshot."""
        return replace(self, at=None)


def parse(text: str) -> Name:
    """Return the name that a text is.

    Raises:
        InvalidNameError: it has an empty part, an open quote, or nothing after ``@``.
    """
    parts, position = [], 0
    while True:
        found = _PART.match(text, position)
        if found is None:
            raise _invalid(text, position)
        quoted = found["quoted"]
        part = found["bare"] if quoted is None else quoted.replace('""', '"')
        if not part:
            raise InvalidNameError(f"{text!r} is not a name: a part is empty")
        parts.append(part)
        position = found.end()
        if position == len(text):
            return Name(tuple(parts))
        if text[position] == "@":
            at = text[position + 1 :]
            if not at:
                raise InvalidNameError(
                    f"{text!r} is not a name: a branch, tag, snapshot id or time follows @"
                )
            return Name(tuple(parts), at)
        if text[position] != ".":
            raise _invalid(text, position)
        position += 1


def dotted(parts: tuple[str, ...]) -> str:
    """Return parts as one text, quoted where ``parse`` needs it."""
    return ".".join(part if _IS_BARE.fullmatch(part) else _quoted(part) for part in parts)


def _quoted(part: str) -> str:
    return '"' + part.replace('"', '""') + '"'


def _invalid(text: str, position: int) -> InvalidNameError:
    if text[position : position + 1] == '"':
        why = (
            "a quoted part has no closing quote"
            if position == 0 or text[position - 1] == "."
            else "a quote within a part needs quotes around the part"
        )
    elif text[position - 1 : position] == '"':
        why = "only . or @ follow a quoted part"
    else:
        why = "a part is empty"
    return InvalidNameError(
        f'{text!r} is not a name: {why}. Names are like weather.observations, or "a.b".c'
    )
