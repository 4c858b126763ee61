"""The overview of a table, and its metadata file."""

import falcon
import orjson

from falcon_catalog.catalog import authorization
from falcon_catalog.catalog.call import Call
from falcon_catalog.errors import BadRequestError, show
from falcon_catalog.identifiers import TableIdentifier
from falcon_catalog.metadata import columns, comparing, history, types
from falcon_catalog.metadata.json_fields import JSON
from falcon_catalog.web.tables import view

_SHOWN_BYTES = 256 * 1024


class OverviewPage:
    """``…/tables/{table}``."""

    def on_get(
        self, req: falcon.Request, resp: falcon.Response, call: Call, identifier: TableIdentifier
    ) -> None:
        """Show a table as its metadata describes it; ``?schema=`` shows an older schema."""
        show_overview(req, resp, call, identifier)


class MetadataPage:
    """``…/tables/{table}/metadata``."""

    def on_get(
        self, req: falcon.Request, resp: falcon.Response, call: Call, identifier: TableIdentifier
    ) -> None:
        """Show the current metadata file; ``?download=true`` is the file."""
        table = view.open_(call, identifier)
        if req.get_param("download") == "true":
            resp.content_type = falcon.MEDIA_JSON
            resp.downloadable_as = "metadata.json"
            resp.data = table.document.text()
            return
        parsed = orjson.loads(table.document.text())
        text = orjson.dumps(parsed, option=orjson.OPT_INDENT_2).decode()
        view.send(
            req,
            resp,
            table,
            "metadata",
            "",
            metadata_location=table.metadata_location,
            size=len(text),
            shown=text[:_SHOWN_BYTES],
        )


def show_overview(
    req: falcon.Request,
    resp: falcon.Response,
    call: Call,
    identifier: TableIdentifier,
    *,
    problem: str = "",
) -> None:
    """Respond with the overview; ``problem`` is why a change of the table was refused."""
    table = view.open_(call, identifier)
    if view.is_unchanged(req, resp, table):
        return
    metadata = table.metadata
    current = history.current(metadata)
    schema = _schema(metadata, req.get_param("schema"))
    changed = metadata["last-updated-ms"]
    changes = table.changes(changed - 1000, changed + 3_600_000)
    view.send(
        req,
        resp,
        table,
        "overview",
        "",
        metadata_location=table.metadata_location,
        snapshot=current,
        numbers=history.numbers(metadata, current),
        last=changes and changes[0],
        shows_authors=changes is not None,
        schema=schema,
        columns=list(columns.index(schema).values()),
        type_text=_type_text,
        column_names=comparing.column_names(metadata, schema),
        refs=sorted(
            metadata["refs"].items(), key=lambda each: (each[0] != "main", each[1]["type"])
        ),
        snapshots=history.by_id(metadata),
        problem=problem,
        may_drop=authorization.permits(call, "drop", identifier),
        may_purge=authorization.permits(call, "write", identifier),
    )


def _schema(metadata: JSON, wanted: str | None) -> JSON:
    """Return the schema with an id as text; the current one for None."""
    schemas: dict[str, JSON] = {str(each["schema-id"]): each for each in metadata["schemas"]}
    if not wanted:
        return schemas[str(metadata["current-schema-id"])]
    if wanted not in schemas:
        raise BadRequestError(f"Schema does not exist: {show(wanted)}")
    return schemas[wanted]


def _type_text(kind: types.Type) -> str:
    """Return the type of a column in a tree, which has the parts of it below."""
    if isinstance(kind, str):
        return kind
    parts = [kind[part] for part in types.PARTS.get(kind["type"], ())]
    if parts and all(isinstance(part, str) for part in parts):
        return types.text(kind)
    return str(kind["type"])
