"""Rows of tables and of queries: values as text, as JSON and as CSV."""

import csv
import json
import math
import sys
from collections.abc import Iterable, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from falcon_catalog.console.output import Column, Output, cell_text, styled

Row = Sequence[Any]


def print_rows(out: Output, names: Sequence[str], rows: Iterable[Row]) -> None:
    """Print rows as a table; as JSON with --json, without titles and tab-separated with --quiet."""
    found = list(rows)
    if out.as_json:
        out.document([as_object(names, row) for row in found])
    elif out.quiet:
        for row in found:
            sys.stdout.write("\t".join(cell_text(text(value)) for value in row) + "\n")
    else:
        columns = [
            Column(name, _are_numbers(row[at] for row in found), may_be_cut=True)
            for at, name in enumerate(names)
        ]
        out.table(columns, ([_cell(value) for value in row] for row in found))


def print_csv(names: Sequence[str], rows: Iterable[Row], to: Any) -> None:
    """Write rows as CSV with a header; NULL is an empty field."""
    writer = csv.writer(to, lineterminator="\n")
    writer.writerow(names)
    for row in rows:
        writer.writerow("" if value is None else text(value) for value in row)


def text(value: object) -> str:
    """Return a value as text: times as ISO 8601, bytes in hexadecimal, nested values as JSON."""
    if value is None:
        return "NULL"
    found = as_json(value)
    if isinstance(found, dict | list):
        return json.dumps(found, ensure_ascii=False)
    if isinstance(found, bool):
        return str(found).lower()
    return str(found)


def as_json(value: Any) -> Any:  # noqa: PLR0911 - one for each kind of value
    """Return a value as JSON has it; numbers that JSON lacks, such as NaN, as text."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else str(value)
        case datetime() | date() | time():
            return value.isoformat()
        case bytes() | bytearray() | memoryview():
            return bytes(value).hex()
        case dict():
            return {str(key): as_json(inner) for key, inner in value.items()}
        case list() | tuple():
            return [as_json(inner) for inner in value]
    return str(value)  # Decimal, UUID, timedelta


def as_object(names: Sequence[str], row: Row) -> dict[str, Any]:
    """Return a row as a JSON object; a name that comes again has its number added."""
    found: dict[str, Any] = {}
    for at, (name, value) in enumerate(zip(names, row, strict=True)):
        found[name if name not in found else f"{name}_{at}"] = as_json(value)
    return found


def _cell(value: object) -> Any:
    return styled("NULL", "dim") if value is None else text(value)


def _are_numbers(values: Iterable[object]) -> bool:
    there = [value for value in values if value is not None]
    return bool(there) and all(
        isinstance(value, int | float | Decimal) and not isinstance(value, bool) for value in there
    )
