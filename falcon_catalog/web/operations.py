"""The operations table of the pages: what each needs, as ``api.operations`` has it for the API."""

import falcon

from falcon_catalog.api.operations import OPERATIONS as API
from falcon_catalog.api.operations import Operation, Params
from falcon_catalog.catalog.authorization import Need
from falcon_catalog.web import forms
from falcon_catalog.web.activity import audit_of_warehouse
from falcon_catalog.web.tables.actions import needs_to_drop, needs_to_rename

_ADMINISTER, _GRANTS = API["listPrincipals"].needs, API["listGrants"]


def _undrop(_req: falcon.Request, params: Params) -> list[Need]:
    """`drop` on what was dropped, and `create` on the namespace that it returns to; see moves."""
    into = Need("create", params["dropped"], "home")
    return [Need("list", None), Need("drop", params["dropped"], "dropped", into=into), into]


def _purge(_req: falcon.Request, params: Params) -> list[Need]:
    """`drop` and `write` on what was dropped."""
    drop = params["dropped"]
    return [Need("list", None), Need("drop", drop, "dropped"), Need("write", drop, "dropped")]


def _drop_view(_req: falcon.Request, params: Params) -> list[Need]:
    """`drop` on the view, and `describe`, since a refusal is shown on its page."""
    view = params["identifier"]
    return [Need("describe", view, "view"), Need("drop", view, "view")]


def _rename_view(req: falcon.Request, params: Params) -> list[Need]:
    """As for a drop, and `create` on the namespace that the form names."""
    view = params["identifier"]
    into = Need("create", forms.destination(forms.read(req), view))
    return [Need("describe", view, "view"), Need("drop", view, "view", into=into), into]


OPERATIONS = {
    operation.name: operation
    for operation in (
        Operation("pageStatic", None),
        Operation("pageHome", None),
        Operation("pageLogin", None),
        Operation("logIn", None),
        Operation("logInAtIssuer", None),
        Operation("finishLogin", None),
        Operation("logOut", None),
        Operation("pageActivity", None),
        Operation("pageWarehouseActivity", audit_of_warehouse),
        Operation("pagePrincipals", _ADMINISTER),
        Operation("changePrincipals", _ADMINISTER),
        Operation("pageRoles", _ADMINISTER),
        Operation("changeRoles", _ADMINISTER),
        Operation("pageSettings", _ADMINISTER),
        Operation("pageStorage", _ADMINISTER),
        Operation("checkStorage", _ADMINISTER),
        Operation("pageBackups", _ADMINISTER),
        Operation("pageGrants", _GRANTS.needs, by_verb=_GRANTS.by_verb),
        Operation("changeGrants", _GRANTS.needs, by_verb=API["updateGrants"].by_verb),
        Operation("pageSearch", None),
        Operation("pageWarehouse", "list"),
        Operation("pageSize", "describe"),
        Operation("pageNamespace", "list"),
        Operation("pageRuns", "list"),
        Operation("pageTable", "describe"),
        Operation("pageTableFiles", "select"),
        Operation("pageDropTable", needs_to_drop, changes=True),
        Operation("pageRenameTable", needs_to_rename, changes=True),
        Operation("pageView", "describe"),
        Operation("dropViewOnPage", _drop_view, changes=True),
        Operation("renameViewOnPage", _rename_view, changes=True),
        Operation("pageFunction", "describe"),
        Operation("pageDropped", "list"),
        Operation("undropOnPage", _undrop, changes=True),
        Operation("purgeDroppedOnPage", _purge, changes=True),
        Operation("pageRows", "select"),
        Operation("pageSql", None),  # each table of a query is authorized when it is read
    )
}
