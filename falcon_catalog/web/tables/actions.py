"""Renaming and dropping a table."""

import falcon

from falcon_catalog.api.operations import Params
from falcon_catalog.catalog import tabulars
from falcon_catalog.catalog.authorization import Need
from falcon_catalog.catalog.call import Call
from falcon_catalog.catalog.tabulars import TABLE
from falcon_catalog.errors import CatalogError
from falcon_catalog.identifiers import TableIdentifier, check_name
from falcon_catalog.web import forms, paths
from falcon_catalog.web.errors import note
from falcon_catalog.web.tables.overview import show_overview


class DropTable:
    """``…/tables/{table}/drop``."""

    def on_post(
        self, req: falcon.Request, resp: falcon.Response, call: Call, identifier: TableIdentifier
    ) -> None:
        """Drop the table; with ``purge`` its files are deleted once it cannot be undropped."""
        form = forms.read(req)
        try:
            forms.require_confirmation(req)
            tabulars.drop(call, TABLE, identifier, purge="purge" in form)
        except CatalogError as error:
            note(req, resp, error)
            show_overview(req, resp, call, identifier, problem=error.message)
            return
        resp.status = falcon.HTTP_303
        target = paths.to_namespace(call.warehouse.name, identifier.namespace)
        resp.location = f"{target}?done=table-dropped"


class RenameTable:
    """``…/tables/{table}/rename``."""

    def on_post(
        self, req: falcon.Request, resp: falcon.Response, call: Call, identifier: TableIdentifier
    ) -> None:
        """Rename the table, also into another namespace."""
        try:
            form = forms.read(req)
            name = check_name(form.get("name"), "table")
            renamed = TableIdentifier(forms.destination(form, identifier), name)
            tabulars.rename(call, TABLE, identifier, renamed)
        except CatalogError as error:
            note(req, resp, error)
            show_overview(req, resp, call, identifier, problem=error.message)
            return
        resp.status = falcon.HTTP_303
        resp.location = f"{paths.to_table(call.warehouse.name, renamed)}?done=table-renamed"


def needs_to_drop(req: falcon.Request, params: Params) -> list[Need]:
    """`drop` on the table; to delete its files also `write`."""
    table = params["identifier"]
    needs = [Need("drop", table)]
    if "purge" in forms.read(req):
        needs.append(Need("write", table))
    return needs


def needs_to_rename(req: falcon.Request, params: Params) -> list[Need]:
    """`drop` on the table, and `create` on the namespace that the form names."""
    table = params["identifier"]
    into = Need("create", forms.destination(forms.read(req), table))
    return [Need("drop", table, into=into), into]
