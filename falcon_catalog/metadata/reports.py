"""Validation of the metrics reports that clients send.

Source: ``ScanReport`` and ``CommitReport`` of the REST specification.
"""

from collections.abc import Mapping
from typing import Any

from falcon_catalog.errors import BadRequestError, show
from falcon_catalog.metadata.json_fields import (
    Fields,
    Maybe,
    array_of,
    as_integer,
    as_long,
    as_object,
    as_text,
    as_texts,
    object_of,
    required,
)


def check(report: Mapping[str, Any]) -> None:
    """Raise BadRequestError, naming the field, unless this is a report.

    ``report`` is a ReportMetricsRequest: a scan or commit report with its ``report-type``.
    Fields that the specification does not know are allowed.
    """
    kind = required(report, "report-type", as_text, "metrics report")
    if kind not in _REPORTS:
        known = " and ".join(_REPORTS)
        raise BadRequestError(f"Invalid report-type: {show(kind)} is unknown, {known} are known")
    _REPORTS[kind](report, kind)


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


_TIMER = object_of({"time-unit": as_text, "count": as_long, "total-duration": as_long})
_COUNTER = object_of({"unit": as_text, "value": as_long})


def _check_metrics(value: object, where: str) -> None:
    for name, result in as_object(value, where).items():
        here = f"{where}, {show(name)}"
        source = as_object(result, here)
        (_TIMER if "time-unit" in source else _COUNTER)(source, here)


_REPORT: Fields = {
    "report-type": as_text,
    "table-name": as_text,
    "snapshot-id": as_long,
    "metrics": _check_metrics,
    "metadata": Maybe(as_texts),
}
_REPORTS = {
    "scan-report": object_of(
        {
            **_REPORT,
            "filter": _check_filter,
            "schema-id": as_integer,
            "projected-field-ids": array_of(as_integer),
            "projected-field-names": array_of(as_text),
        }
    ),
    "commit-report": object_of({**_REPORT, "sequence-number": as_long, "operation": as_text}),
}
