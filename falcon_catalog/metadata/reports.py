"""Check what clients report of a scan or a commit.

Source: ``ScanReport`` and ``CommitReport`` of the REST specification.
"""

from collections.abc import Callable, Mapping
from typing import Any

from falcon_catalog.errors import BadRequestError, show
from falcon_catalog.metadata.json_fields import (
    array_of,
    as_integer,
    as_long,
    as_object,
    as_text,
    as_texts,
    optional,
    required,
)

Reader = Callable[[object, str], Any]


def check(report: Mapping[str, Any]) -> None:
    """Raise BadRequestError, naming the field, unless this is a report.

    ``report`` is a ReportMetricsRequest: a scan or commit report with its ``report-type``.
    Fields that the specification does not know are allowed.
    """
    kind = required(report, "report-type", as_text, "metrics report")
    if kind not in _FIELDS:
        known = " and ".join(_FIELDS)
        raise BadRequestError(f"Invalid report-type: {show(kind)} is unknown, {known} are known")
    for field, read in _FIELDS[kind].items():
        required(report, field, read, kind)
    optional(report, "metadata", as_texts, kind)


def _check_filter(value: object, where: str) -> None:
    """Check the outer form of an expression in either dialect, however deep it is."""
    waiting = [value]
    while waiting:
        expression = waiting.pop()
        if isinstance(expression, bool):
            continue
        source = as_object(expression, where)
        kind = source.get("type")
        if not isinstance(kind, str | bool):
            raise BadRequestError(f"Invalid {where}: the type of an expression is {show(kind)}")
        inner = {"and": ("left", "right"), "or": ("left", "right"), "not": ("child",)}
        for part in inner.get(str(kind), ()):
            if part not in source:
                raise BadRequestError(f"Invalid {where}: an expression {kind!r} has no {part}")
            waiting.append(source[part])


def _check_metrics(value: object, where: str) -> None:
    for name, result in as_object(value, where).items():
        here = f"{where}, {show(name)}"
        source = as_object(result, here)
        if "time-unit" in source:
            required(source, "time-unit", as_text, here)
            required(source, "count", as_long, here)
            required(source, "total-duration", as_long, here)
        else:
            required(source, "unit", as_text, here)
            required(source, "value", as_long, here)


_FIELDS: dict[str, dict[str, Reader]] = {
    "scan-report": {
        "table-name": as_text,
        "snapshot-id": as_long,
        "filter": _check_filter,
        "schema-id": as_integer,
        "projected-field-ids": array_of(as_integer),
        "projected-field-names": array_of(as_text),
        "metrics": _check_metrics,
    },
    "commit-report": {
        "table-name": as_text,
        "snapshot-id": as_long,
        "sequence-number": as_long,
        "operation": as_text,
        "metrics": _check_metrics,
    },
}
