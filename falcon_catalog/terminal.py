"""Text for terminals: without control characters, which names of tables may contain."""

import json


def printable(text: str) -> str:
    """Return text without characters that a terminal would obey, or that turn text around.

    Names of tables may contain such: C1 controls, NEL and bidirectional formatting.
    """
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() or each in "\n\t" else each.encode("unicode_escape").decode()
        for each in text
    )


def json_text(value: object) -> str:
    """Return a value as JSON; ASCII only, if it has characters that are not printable."""
    text = json.dumps(value, indent=1, ensure_ascii=False)
    return text if text == printable(text) else json.dumps(value, indent=1)
