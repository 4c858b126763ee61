"""Partition and sort transforms in their text form, and the types each takes.

Source: the table specification, "Partition Transforms".
"""

import re
from collections.abc import Mapping

from falcon_catalog.errors import BadRequestError
from falcon_catalog.metadata import types
from falcon_catalog.metadata.columns import Column
from falcon_catalog.metadata.json_fields import INT_MAX, JSON, as_text

TIME_TRANSFORMS = frozenset({"year", "month", "day", "hour"})

_DATE_TIMES = frozenset({"timestamp", "timestamptz", "timestamp_ns", "timestamptz_ns"})
_TAKES = {
    "year": _DATE_TIMES | {"date"},
    "month": _DATE_TIMES | {"date"},
    "day": _DATE_TIMES | {"date"},
    "hour": _DATE_TIMES,
    "bucket": _DATE_TIMES
    | {"int", "long", "decimal", "date", "time", "string", "uuid", "fixed", "binary"},
    "truncate": frozenset({"int", "long", "decimal", "string", "binary"}),
}
_WIDTH_RULES = {
    "bucket": "Invalid number of buckets: {} (must be > 0)",
    "truncate": "Invalid truncate width: {} (must be > 0)",
}
_WITH_WIDTH = re.compile(r"(bucket|truncate)\[([0-9]{1,10})\]")


def as_transform(value: object, where: str) -> str:
    """Return a transform in its stored form; 400 when it is unknown."""
    text = as_text(value, where)
    lower = text.lower()
    if lower in ("identity", "void") or lower in TIME_TRANSFORMS:
        return lower
    match = _WITH_WIDTH.fullmatch(lower)
    if match is None or int(match[2]) > INT_MAX:
        raise BadRequestError(f"Invalid {where}: unknown transform {text[:80]!r}")
    width = int(match[2])
    if width == 0:
        raise BadRequestError(_WIDTH_RULES[match[1]].format(width))
    return f"{match[1]}[{width}]"


def as_stored_transform(value: object, where: str) -> str:
    """Return a transform of a metadata file; an unknown one as it is, 400 for a wrong width.

    Tables with transforms of later versions must be readable; new specs take known ones only.
    """
    text = as_text(value, where)
    name = text.lower().partition("[")[0]
    known = text.lower() in ("identity", "void") or name in _TAKES
    return as_transform(text, where) if known else text


def takes(transform: str, kind: types.Type) -> bool:
    """Return whether a transform can be applied to columns of this type."""
    name = types.base_name(kind)
    if transform == "void":
        return True
    if transform == "identity":
        return types.is_primitive(kind) and name not in ("geometry", "geography")
    taken = _TAKES.get(transform.partition("[")[0])
    return taken is None or name in taken  # as Java, which knows nothing of unknown ones either


def check_source(field: JSON, by_id: Mapping[int, Column], use: str, text: str) -> None:
    """Raise BadRequestError unless a field's transform can take its source column.

    ``use`` is ``partition`` or ``sort``; ``text`` is the field in the message.
    """
    source = by_id.get(field["source-id"])
    if source is None:
        raise BadRequestError(f"Cannot find source column for {use} field: {text}")
    kind = types.text(source.type)
    if not types.is_primitive(source.type):
        raise BadRequestError(f"Cannot {use} by non-primitive source field: {kind}")
    if not takes(field["transform"], source.type):
        raise BadRequestError(f"Invalid source type {kind} for transform: {field['transform']}")
