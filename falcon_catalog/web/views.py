"""The page of a view: its SQL in each dialect, its schema, versions and properties."""

import falcon

from falcon_catalog.catalog import authorization, tabulars
from falcon_catalog.catalog.call import Call
from falcon_catalog.catalog.tabulars import VIEW
from falcon_catalog.errors import BadRequestError, CatalogError, show
from falcon_catalog.identifiers import TableIdentifier, check_name
from falcon_catalog.metadata import columns, types
from falcon_catalog.metadata.json_fields import JSON
from falcon_catalog.web import forms, paths
from falcon_catalog.web.errors import note
from falcon_catalog.web.namespaces import trail
from falcon_catalog.web.rendering import send_page


class ViewPage:
    """``/ui/warehouses/{warehouse}/namespaces/{namespace}/views/{view}``."""

    def on_get(
        self, req: falcon.Request, resp: falcon.Response, call: Call, identifier: TableIdentifier
    ) -> None:
        """Show a view; ``?version=`` shows an older version."""
        _show(req, resp, call, identifier)


class DropForm:
    """``…/views/{view}/drop``: a form of the page."""

    def on_post(
        self, req: falcon.Request, resp: falcon.Response, call: Call, identifier: TableIdentifier
    ) -> None:
        """Drop a view, and show its namespace."""
        try:
            forms.require_confirmation(req)
            tabulars.drop(call, VIEW, identifier)
        except CatalogError as error:
            note(req, resp, error)
            _show(req, resp, call, identifier, problem=error.message)
            return
        resp.status = falcon.HTTP_303
        target = paths.to_namespace(call.warehouse.name, identifier.namespace)
        resp.location = f"{target}?done=view-dropped"


class RenameForm:
    """``…/views/{view}/rename``: a form of the page."""

    def on_post(
        self, req: falcon.Request, resp: falcon.Response, call: Call, identifier: TableIdentifier
    ) -> None:
        """Rename a view, also into another namespace, and show it."""
        try:
            form = forms.read(req)
            name = check_name(form.get("name"), "view")
            renamed = TableIdentifier(forms.destination(form, identifier), name)
            tabulars.rename(call, VIEW, identifier, renamed)
        except CatalogError as error:
            note(req, resp, error)
            _show(req, resp, call, identifier, problem=error.message)
            return
        resp.status = falcon.HTTP_303
        resp.location = f"{paths.to_view(call.warehouse.name, renamed)}?done=view-renamed"


def _show(
    req: falcon.Request,
    resp: falcon.Response,
    call: Call,
    identifier: TableIdentifier,
    *,
    problem: str | None = None,
) -> None:
    loaded = tabulars.load(call, VIEW, identifier)
    metadata = loaded.document.metadata
    version = _version(metadata, req.get_param("version"))
    schemas = {each["schema-id"]: each for each in metadata["schemas"]}
    schema = schemas.get(version["schema-id"])
    send_page(
        req,
        resp,
        "view.html",
        title=identifier.name,
        trail=trail(call, identifier.namespace),
        call=call,
        view=identifier,
        metadata=metadata,
        metadata_location=loaded.metadata_location,
        version=version,
        columns=[] if schema is None else list(columns.index(schema).values()),
        type_text=_type_text,
        versions=sorted(metadata["versions"], key=lambda each: each["version-id"], reverse=True),
        log=metadata["version-log"][::-1],
        problem=problem,
        may_drop=authorization.permits(call, "drop", identifier, "view"),
    )


def _version(metadata: JSON, wanted: str | None) -> JSON:
    """Return the version with an id as text; the current one for None."""
    versions: dict[str, JSON] = {str(each["version-id"]): each for each in metadata["versions"]}
    if not wanted:
        return versions[str(metadata["current-version-id"])]
    if wanted not in versions:
        raise BadRequestError(f"Version does not exist: {show(wanted)}")
    return versions[wanted]


def _type_text(kind: types.Type) -> str:
    """Return the type of a column; the parts of a nested one have rows of their own."""
    return kind if isinstance(kind, str) else str(kind["type"])
