"""The operations table of the pages: what each needs, as ``api.operations`` has it for the API."""

from falcon_catalog.api.operations import OPERATIONS as API
from falcon_catalog.api.operations import Operation
from falcon_catalog.web.activity import audit_of_warehouse
from falcon_catalog.web.tables.actions import needs_to_drop, needs_to_rename

_ADMINISTER, _GRANTS = API["listPrincipals"].needs, API["listGrants"]

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
        Operation("pageWarehouse", "list"),
        Operation("pageNamespace", "list"),
        Operation("pageTable", "describe"),
        Operation("pageTableFiles", "select"),
        Operation("pageDropTable", needs_to_drop, changes=True),
        Operation("pageRenameTable", needs_to_rename, changes=True),
    )
}
