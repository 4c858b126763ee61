"""IAM, as much of it as session policies use: does a document allow a request?

Written from AWS's documentation, apart from what writes the documents and from the emulator.
"""

import json
from typing import Any


def allowed(document: str, action: str, resource: str, prefix: str | None = None) -> bool:
    """Return whether a policy allows an action on an ARN, with this value of ``s3:prefix``."""
    policy = json.loads(document)
    assert policy["Version"] == "2012-10-17"
    assert policy["Statement"]
    for statement in policy["Statement"]:
        assert statement.keys() <= {"Effect", "Action", "Resource", "Condition"}
        assert statement["Effect"] == "Allow"
        if (
            any(matches(each, action) for each in statement["Action"])
            and any(matches(each, resource) for each in statement["Resource"])
            and _holds(statement.get("Condition"), prefix)
        ):
            return True
    return False


def _holds(condition: Any, prefix: str | None) -> bool:
    if condition is None:
        return True
    assert list(condition) == ["StringLike"]
    assert list(condition["StringLike"]) == ["s3:prefix"]
    return prefix is not None and any(
        matches(each, prefix) for each in condition["StringLike"]["s3:prefix"]
    )


def matches(pattern: str, text: str) -> bool:
    """Return whether a text matches: ``*`` any text, ``?`` any character, ``${x}`` is x."""
    if not pattern:
        return not text
    if pattern.startswith("${"):
        variable, _, rest = pattern[2:].partition("}")
        assert variable in ("*", "?", "$"), f"no such variable: {variable}"
        return text.startswith(variable) and matches(rest, text[1:])
    if pattern[0] == "*":
        return any(matches(pattern[1:], text[at:]) for at in range(len(text) + 1))
    if not text or pattern[0] not in ("?", text[0]):
        return False
    return matches(pattern[1:], text[1:])
