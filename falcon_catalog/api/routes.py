"""The routes: which resource serves a path, and which operation each method is."""

import re
from collections.abc import Iterator, Mapping

from falcon_catalog.api.access import AccessResource, EntitiesResource, GrantsResource
from falcon_catalog.api.audit import AuditResource, EventsResource
from falcon_catalog.api.credentials import CredentialsResource
from falcon_catalog.api.dropped import DroppedOneResource, DroppedResource, UndropResource
from falcon_catalog.api.functions import FunctionResource, FunctionsResource
from falcon_catalog.api.management import (
    ManagedFunctionResource,
    MetricsReportsResource,
    StorageCheckResource,
)
from falcon_catalog.api.metrics import MetricsResource
from falcon_catalog.api.namespaces import (
    NamespacePropertiesResource,
    NamespaceResource,
    NamespacesResource,
)
from falcon_catalog.api.openapi import OpenApiResource
from falcon_catalog.api.operations import OPERATIONS, Operation
from falcon_catalog.api.principals import (
    GroupsResource,
    MembersResource,
    PrincipalResource,
    PrincipalsResource,
    RoleResource,
    RolesResource,
    SecretResource,
)
from falcon_catalog.api.responses import send_table, send_view
from falcon_catalog.api.scans import PlanResource, PlansResource, ScanTasksResource
from falcon_catalog.api.signing import SignResource
from falcon_catalog.api.tables import TableResource, TransactionResource, UnregisterTableResource
from falcon_catalog.api.tabulars import RegisterResource, RenameResource, TabularsResource
from falcon_catalog.api.views import ViewResource
from falcon_catalog.api.whoami import LOGIN_PATH
from falcon_catalog.catalog import creation
from falcon_catalog.catalog.tabulars import TABLE, VIEW

_NAMESPACE = "/v1/{prefix}/namespaces/{namespace}"
_TABLE = f"{_NAMESPACE}/tables/{{table}}"
_VIEW = f"{_NAMESPACE}/views/{{view}}"
OPTIONAL = "/{prefix:name}"  # without it a route is of the default warehouse

# The routes of the specification, as it spells them, and its name for what each verb does.
# getConfig advertises exactly these.
ROUTES: dict[str, tuple[object, Mapping[str, str]]] = {
    "/v1/{prefix}/namespaces": (
        NamespacesResource(),
        {"GET": "listNamespaces", "POST": "createNamespace"},
    ),
    _NAMESPACE: (
        NamespaceResource(),
        {"GET": "loadNamespaceMetadata", "HEAD": "namespaceExists", "DELETE": "dropNamespace"},
    ),
    f"{_NAMESPACE}/properties": (NamespacePropertiesResource(), {"POST": "updateProperties"}),
    f"{_NAMESPACE}/tables": (
        TabularsResource(TABLE, creation.create_table, send_table),
        {"GET": "listTables", "POST": "createTable"},
    ),
    _TABLE: (
        TableResource(),
        {"GET": "loadTable", "HEAD": "tableExists", "POST": "updateTable", "DELETE": "dropTable"},
    ),
    f"{_TABLE}/unregister": (UnregisterTableResource(), {"POST": "unregisterTable"}),
    f"{_TABLE}/plan": (PlansResource(), {"POST": "planTableScan"}),
    f"{_TABLE}/plan/{{plan-id}}": (
        PlanResource(),
        {"GET": "fetchPlanningResult", "DELETE": "cancelPlanning"},
    ),
    f"{_TABLE}/tasks": (ScanTasksResource(), {"POST": "fetchScanTasks"}),
    f"{_TABLE}/credentials": (CredentialsResource(), {"GET": "loadCredentials"}),
    f"{_TABLE}/sign": (SignResource(), {"POST": "signRequest"}),
    f"{_TABLE}/metrics": (MetricsResource(), {"POST": "reportMetrics"}),
    f"{_NAMESPACE}/register": (RegisterResource(TABLE, send_table), {"POST": "registerTable"}),
    "/v1/{prefix}/tables/rename": (RenameResource(TABLE), {"POST": "renameTable"}),
    f"{_NAMESPACE}/views": (
        TabularsResource(VIEW, creation.create_view, send_view),
        {"GET": "listViews", "POST": "createView"},
    ),
    _VIEW: (
        ViewResource(),
        {"GET": "loadView", "HEAD": "viewExists", "POST": "replaceView", "DELETE": "dropView"},
    ),
    f"{_NAMESPACE}/register-view": (RegisterResource(VIEW, send_view), {"POST": "registerView"}),
    "/v1/{prefix}/views/rename": (RenameResource(VIEW), {"POST": "renameView"}),
    f"{_NAMESPACE}/functions": (FunctionsResource(), {"GET": "listFunctions"}),
    f"{_NAMESPACE}/functions/{{function}}": (FunctionResource(), {"GET": "loadFunction"}),
    "/v1/{prefix}/transactions/commit": (TransactionResource(), {"POST": "commitTransaction"}),
}
ENDPOINTS = [
    "GET /v1/config",
    "POST /v1/oauth/tokens",
    *(f"{verb} {path}" for path, (_, verbs) in ROUTES.items() for verb in verbs),
]

# What the specification does not have: for operators, and not advertised.
_WAREHOUSE = "/management/v1/warehouses/{warehouse}"
MANAGEMENT_ROUTES: dict[str, tuple[object, Mapping[str, str]]] = {
    f"{_WAREHOUSE}/dropped": (DroppedResource(), {"GET": "listDropped"}),
    f"{_WAREHOUSE}/dropped/{{dropped}}": (DroppedOneResource(), {"DELETE": "purgeDropped"}),
    f"{_WAREHOUSE}/dropped/{{dropped}}/undrop": (UndropResource(), {"POST": "undrop"}),
    f"{_WAREHOUSE}/events": (EventsResource(), {"POST": "listEvents"}),
    f"{_WAREHOUSE}/audit": (AuditResource(of_warehouse=True), {"GET": "listWarehouseAudit"}),
    "/management/v1/audit": (AuditResource(of_warehouse=False), {"GET": "listAudit"}),
    f"{_WAREHOUSE}/check": (StorageCheckResource(), {"POST": "checkStorage"}),
    f"{_WAREHOUSE}/metrics": (MetricsReportsResource(), {"GET": "listMetricsReports"}),
    f"{_WAREHOUSE}/namespaces/{{namespace}}/functions/{{function}}": (
        ManagedFunctionResource(),
        {"PUT": "putFunction", "DELETE": "dropFunction"},
    ),
}
_MANAGEMENT = "/management/v1"
MANAGEMENT_ROUTES |= {
    f"{_MANAGEMENT}/principals": (
        PrincipalsResource(),
        {"GET": "listPrincipals", "POST": "createPrincipal"},
    ),
    f"{_MANAGEMENT}/principals/{{principal}}": (
        PrincipalResource(),
        {"GET": "getPrincipal", "POST": "updatePrincipal", "DELETE": "deletePrincipal"},
    ),
    f"{_MANAGEMENT}/principals/{{principal}}/secret": (SecretResource(), {"POST": "rotateSecret"}),
    f"{_MANAGEMENT}/roles": (RolesResource(), {"GET": "listRoles", "POST": "createRole"}),
    f"{_MANAGEMENT}/roles/{{role}}": (
        RoleResource(),
        {"GET": "getRole", "POST": "renameRole", "DELETE": "deleteRole"},
    ),
    f"{_MANAGEMENT}/roles/{{role}}/members": (MembersResource(), {"POST": "updateMembers"}),
    f"{_MANAGEMENT}/groups": (GroupsResource(), {"GET": "listGroups", "POST": "updateGroups"}),
    f"{_MANAGEMENT}/grants": (GrantsResource(), {"GET": "listGrants", "POST": "updateGrants"}),
    f"{_MANAGEMENT}/access": (AccessResource(), {"GET": "explainAccess"}),
    f"{_MANAGEMENT}/entities": (EntitiesResource(), {"GET": "getEntity", "POST": "updateEntity"}),
    f"{_MANAGEMENT}/openapi.json": (OpenApiResource(), {"GET": "getOpenApi"}),
}
# Clients that have only the address of a signer add the path of the older specification to it.
OLDER_ROUTES: dict[str, tuple[object, Mapping[str, str]]] = {
    f"{_TABLE}/v1/aws/s3/sign": (SignResource(), {"POST": "signRequest"}),
}
_LONE_ROUTES = {
    "/v1/config": {"GET": "getConfig"},
    "/v1/oauth/tokens": {"POST": "getToken"},
    "/health/live": {"GET": "live"},
    "/health/ready": {"GET": "ready"},
    "/metrics": {"GET": "metrics"},
    "/management/v1/whoami": {"GET": "whoami"},
    LOGIN_PATH: {"GET": "getLogin"},
}
_ALL = {**ROUTES, **OLDER_ROUTES, **MANAGEMENT_ROUTES}


def operations() -> Iterator[tuple[tuple[str, str], Operation]]:
    """Yield each route's template and method, with the operation that it is."""
    for path, verbs in {
        **{path: verbs for path, (_, verbs) in _ALL.items()},
        **_LONE_ROUTES,
    }.items():
        template = with_converters(path)
        for verb, name in verbs.items():
            yield (template, verb), OPERATIONS[name]
            if OPTIONAL in template and path not in MANAGEMENT_ROUTES:
                yield (template.replace(OPTIONAL, ""), verb), OPERATIONS[name]


def inline_paths() -> dict[str, re.Pattern[str]]:
    """Return by method the paths that the event loop may answer itself."""
    templates: dict[str, list[str]] = {}
    for (template, verb), operation in operations():
        if operation.inline:
            templates.setdefault(verb, []).append(re.sub("{[^}]*}", "[^/]+", template))
    return {verb: re.compile("|".join(paths)) for verb, paths in templates.items()}


def with_converters(path: str) -> str:
    """Return a path of the specification as Falcon has it, its parts decoded."""
    return (
        path.replace("{prefix}", "{prefix:name}")
        .replace("{warehouse}", "{prefix:name}")
        .replace("{namespace}", "{namespace:namespace}")
        .replace("{table}", "{table:name}")
        .replace("{view}", "{view:name}")
        .replace("{dropped}", "{dropped:int}")
        .replace("{plan-id}", "{plan_id:name}")
        .replace("{function}", "{function:name}")
        .replace("{principal}", "{principal:name}")
        .replace("{role}", "{role:name}")
        .replace("{run}", "{run:name}")
    )
