"""The report of a check: lines for people, a document for programs."""

from collections.abc import Iterator, Sequence
from typing import Any

from falcon_catalog import __version__
from falcon_catalog.conformance.catalog import Catalog
from falcon_catalog.conformance.check import Row, Status
from falcon_catalog.conformance.operations import BY_ID

_MARKS: dict[Status, str] = {"pass": "✓", "fail": "✗", "absent": "\N{EN DASH}"}
_WIDTH = max(map(len, BY_ID))


def lines(row: Row) -> Iterator[str]:
    """Yield a row's line, then lines for each probe that failed or is absent."""
    yield f"{_MARKS[row.status]} {row.subject:<{_WIDTH}}  {row.endpoint}".rstrip()
    for finding in row.findings:
        if finding.status != "pass" and row.status != "absent":
            yield f"    {_MARKS[finding.status]} {finding.claim}"
            yield f"      {finding.reason}"
    if row.status == "absent":
        yield f"    {row.findings[0].reason}"


def summary(rows: Sequence[Row]) -> str:
    """Return the last line of the table."""
    parts = []
    for what, are_operations in (("operations", True), ("rules", False)):
        some = [row.status for row in rows if (row.subject in BY_ID) == are_operations]
        counts = ", ".join(f"{some.count(status)} {status}" for status in _MARKS)
        parts.append(f"{len(some)} {what}: {counts}")
    return "; ".join(parts)


def document(uri: str, catalog: Catalog, rows: Sequence[Row]) -> dict[str, Any]:
    """Return the report as JSON."""
    return {
        "checker": f"falcon-catalog {__version__}",
        "uri": uri,
        "warehouse": catalog.warehouse,
        "summary": {status: sum(row.status == status for row in rows) for status in _MARKS},
        "rows": [
            {
                "subject": row.subject,
                "kind": "operation" if row.subject in BY_ID else "rule",
                "endpoint": row.endpoint or None,
                "status": row.status,
                "probes": [
                    {
                        "claim": finding.claim,
                        "status": finding.status,
                        "reason": finding.reason or None,
                    }
                    for finding in row.findings
                ],
            }
            for row in rows
        ],
    }
