"""The page that previews the rows of a table at any snapshot."""

import re

import falcon

from falcon_catalog.catalog import queries
from falcon_catalog.catalog.call import Call
from falcon_catalog.catalog.queries import PREVIEW_LIMITS, Preview, Rows
from falcon_catalog.decimals import read_decimal
from falcon_catalog.errors import BadRequestError, CatalogError
from falcon_catalog.identifiers import TableIdentifier
from falcon_catalog.metadata import history
from falcon_catalog.metadata.json_fields import JSON
from falcon_catalog.web.results import send_csv
from falcon_catalog.web.site import Site
from falcon_catalog.web.tables import view

_SNAPSHOTS = 50
_COLUMNS = 500
_PLAIN_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
"""A name that a filter may have without quotes."""


class RowsPage:
    """``…/tables/{table}/rows``."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def on_get(
        self, req: falcon.Request, resp: falcon.Response, call: Call, identifier: TableIdentifier
    ) -> None:
        """Show rows, or respond with them as CSV."""
        table = view.open_(call, identifier)
        rows: Rows | None = None
        problem: CatalogError | None = None
        wanted = Preview()
        try:
            wanted = _read(req)
            rows = queries.preview(call, self._site.queries, identifier, wanted)
        except CatalogError as error:
            problem = error
            resp.status = falcon.code_to_http_status(error.status)
        if rows is not None and req.get_param("format") == "csv":
            send_csv(resp, rows, identifier.name)
            return
        fields = _fields(table.metadata)
        view.send(
            req,
            resp,
            table,
            "rows",
            "rows",
            wanted=wanted,
            limits=PREVIEW_LIMITS,
            refs=sorted(table.metadata["refs"]),
            snapshots=history.newest_first(table.metadata)[:_SNAPSHOTS],
            names=[field["name"] for field in fields[:_COLUMNS]],
            example=_example(fields),
            rows=rows,
            problem=None if problem is None else problem.message,
            csv=_with_format(req),
        )


def _read(req: falcon.Request) -> Preview:
    """Return what a request wants to see; raise BadRequestError for what is not valid."""
    limit = req.get_param("limit") or str(PREVIEW_LIMITS[0])
    number = read_decimal(limit, most=PREVIEW_LIMITS[-1] + 1)
    if number is None or number not in PREVIEW_LIMITS:
        known = ", ".join(map(str, PREVIEW_LIMITS))
        raise BadRequestError(f"Invalid limit {limit[:20]!r}: it must be one of {known}")
    return Preview(
        (req.get_param("time") or req.get_param("at") or "").strip(),
        tuple(req.get_param_as_list("column") or ())[:_COLUMNS],
        req.get_param("filter") or "",
        number,
    )


def _fields(metadata: JSON) -> list[JSON]:
    current = metadata["current-schema-id"]
    schema = next(each for each in metadata["schemas"] if each["schema-id"] == current)
    fields: list[JSON] = schema["fields"]
    return fields


def _example(fields: list[JSON]) -> str:
    """Return a filter that suits a table: of a number and a text, as far as it has such columns."""
    found: dict[str, str] = {}
    for field in fields:
        kind, name = field["type"], field["name"]
        if not isinstance(kind, str) or not _PLAIN_NAME.fullmatch(name):
            continue
        if kind in ("float", "double", "int", "long") or kind.startswith("decimal"):
            found.setdefault("number", f"{name} > 30")
        elif kind == "string":
            found.setdefault("text", f"{name} = 'text'")
        else:
            found.setdefault("other", f"{name} is not null")
    both = [found[kind] for kind in ("number", "text") if kind in found]
    return " and ".join(both) or found.get("other", "")


def _with_format(req: falcon.Request) -> str:
    return f"?{req.query_string}&format=csv" if req.query_string else "?format=csv"
