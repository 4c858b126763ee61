"""Requirements of a commit on the table that it changes.

Source: ``TableRequirement`` of the REST specification; the texts are those of Java's
``UpdateRequirement``, which clients and their tests match on.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from falcon_catalog.errors import BadRequestError, CommitFailedError, show
from falcon_catalog.metadata.json_fields import (
    JSON,
    array_of,
    as_integer,
    as_long,
    as_object,
    as_text,
    optional,
    required,
)

CREATE = "assert-create"

# requirement type: the metadata's field, and what the text calls it
_IDS = {
    "assert-last-assigned-field-id": ("last-column-id", "last assigned field id"),
    "assert-current-schema-id": ("current-schema-id", "current schema"),
    "assert-last-assigned-partition-id": ("last-partition-id", "last assigned partition id"),
    "assert-default-spec-id": ("default-spec-id", "default partition spec"),
    "assert-default-sort-order-id": ("default-sort-order-id", "default sort order"),
}

Check = Callable[[JSON], None]


def check_requirements(base: JSON | None, requirements: Sequence[Mapping[str, Any]]) -> None:
    """Check the requirements of a commit against the table's metadata, None if it does not exist.

    Raises:
        BadRequestError: a requirement is unknown or malformed, or joined with assert-create.
        CommitFailedError: a requirement does not hold; its text is Java's.
    """
    given = array_of(as_object)(requirements, "requirements")
    kinds = [required(item, "type", as_text, "requirement") for item in given]
    checks = [_parse(kind, item) for kind, item in zip(kinds, given, strict=True)]
    if CREATE in kinds:
        others = [kind for kind in kinds if kind != CREATE]
        if others:
            raise BadRequestError(f"Invalid create requirements: [{', '.join(others)}]")
        if base is not None:
            raise CommitFailedError("Requirement failed: table already exists")
        return
    if base is None:
        if kinds:
            raise BadRequestError(f"Cannot require {kinds[0]} of a table that does not exist")
        return
    for check in checks:
        check(base)


def _parse(kind: str, requirement: Mapping[str, Any]) -> Check:
    where = f"{kind} requirement"
    if kind in _IDS:
        expected = required(requirement, kind.removeprefix("assert-"), as_integer, where)
        return _id_check(expected, *_IDS[kind])
    if kind == "assert-table-uuid":
        return uuid_check(required(requirement, "uuid", as_text, where), "table-uuid", "UUID")
    if kind == "assert-ref-snapshot-id":
        name = required(requirement, "ref", as_text, where)
        return _ref_check(name, optional(requirement, "snapshot-id", as_long, where))
    if kind == CREATE:
        return lambda _: None
    raise BadRequestError(f"Unknown requirement type: {show(kind)}")


def _require(truth: bool, otherwise: str) -> None:  # noqa: FBT001
    if not truth:
        raise CommitFailedError(f"Requirement failed: {otherwise}")


def _id_check(expected: int, key: str, noun: str) -> Check:
    return lambda metadata: _require(
        metadata[key] == expected, f"{noun} changed: expected id {expected} != {metadata[key]}"
    )


def uuid_check(expected: str, key: str, noun: str) -> Check:
    """Return the check that metadata's uuid, in field ``key``, is the expected one."""
    return lambda metadata: _require(
        metadata[key].lower() == expected.lower(),
        f"{noun} does not match: expected {metadata[key]} != {expected}",
    )


def _ref_check(name: str, expected: int | None) -> Check:
    def check(metadata: JSON) -> None:
        ref = metadata["refs"].get(name)
        if ref is None:
            _require(expected is None, f"branch or tag {name} is missing, expected {expected}")
            return
        what = f"{ref['type']} {name}"
        _require(expected is not None, f"{what} was created concurrently")
        found = ref["snapshot-id"]
        _require(found == expected, f"{what} has changed: expected id {expected} != {found}")

    return check
