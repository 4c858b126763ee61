"""Results of previews and queries: on a page, and as CSV."""

import re

import falcon

from falcon_catalog.catalog.queries import Rows

_NUMERIC = (
    *("int", "long", "float", "double", "decimal"),
    *("tinyint", "smallint", "bigint", "hugeint", "utinyint", "usmallint", "uinteger", "ubigint"),
)
_SHORT = 60
_FORMULA = "=+-@\t\r"
_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_UNSAFE = re.compile(r"[^\w .()+=@~-]")
"""What a name of a file, or a header with it, may give another meaning."""


def is_numeric(kind: str) -> bool:
    """Return whether values of a type, of Iceberg or DuckDB, are numbers."""
    return kind.lower().startswith(_NUMERIC) and "[" not in kind and kind.lower() != "interval"


def shortened(value: str) -> str | None:
    """Return the start of a value that is too long for a cell; None if it fits."""
    line = value.partition("\n")[0]
    return None if len(value) <= _SHORT and line == value else f"{line[:_SHORT]}…"


def send_csv(resp: falcon.Response, rows: Rows, name: str) -> None:
    """Respond with rows as a file; null is an empty field, an empty text is quoted.

    ``csv`` of Python 3.11 cannot distinguish the two. Spreadsheets evaluate a text that looks like
    a formula, so an apostrophe is put before it.
    """
    kinds = [is_numeric(column["type"]) for column in rows.columns]
    lines = [[_plain(column["name"]) for column in rows.columns]]
    for row in rows.rows:
        cells = zip(row, kinds, strict=True)
        lines.append([value if numeric else _plain(value) for value, numeric in cells])
    resp.content_type = "text/csv; charset=utf-8"
    resp.downloadable_as = f"{_UNSAFE.sub('_', name)}.csv"
    resp.text = "".join(f"{','.join(map(_field, line))}\r\n" for line in lines)


def _plain(value: str | None) -> str | None:
    is_formula = value and value[0] in _FORMULA and not _NUMBER.fullmatch(value)
    return f"'{value}" if is_formula else value


def _field(value: str | None) -> str:
    if value is None:
        return ""
    if not value or any(one in value for one in ',"\r\n'):
        return '"' + value.replace('"', '""') + '"'
    return value
