"""Results of previews and queries: on a page, and as CSV."""

import csv
import io

import falcon

from falcon_catalog.catalog.queries import Rows

_NUMERIC = (
    *("int", "long", "float", "double", "decimal"),
    *("tinyint", "smallint", "bigint", "hugeint", "utinyint", "usmallint", "uinteger", "ubigint"),
)
_SHORT = 120


def is_numeric(kind: str) -> bool:
    """Return whether values of a type, of Iceberg or DuckDB, are numbers."""
    return kind.lower().startswith(_NUMERIC) and "[" not in kind and kind.lower() != "interval"


def shortened(value: str) -> str | None:
    """Return the start of a value that is too long for a cell; None if it fits."""
    line = value.partition("\n")[0]
    return None if len(value) <= _SHORT and line == value else f"{line[:_SHORT]}…"


def send_csv(resp: falcon.Response, rows: Rows, name: str) -> None:
    """Respond with rows as a file; null is an empty field, an empty text is quoted."""
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_MINIMAL)
    writer.writerow(column["name"] for column in rows.columns)
    writer.writerows(rows.rows)
    resp.content_type = "text/csv; charset=utf-8"
    resp.downloadable_as = f"{name}.csv"
    resp.set_header("Cache-Control", "no-store")
    resp.set_header("X-Content-Type-Options", "nosniff")
    resp.text = text.getvalue()
