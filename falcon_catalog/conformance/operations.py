"""The operations of the Iceberg REST specification, in the order of its OpenAPI document."""

from dataclasses import dataclass

_NAMESPACE = "/v1/{prefix}/namespaces/{namespace}"
_TABLE = f"{_NAMESPACE}/tables/{{table}}"
_VIEW = f"{_NAMESPACE}/views/{{view}}"


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation: its id, and the route that getConfig advertises for it."""

    id: str
    verb: str
    path: str

    @property
    def endpoint(self) -> str:
        """The route as an entry of the configuration's ``endpoints``."""
        return f"{self.verb} {self.path}"


OPERATIONS = tuple(
    Operation(*row)
    for row in (
        ("getConfig", "GET", "/v1/config"),
        ("getToken", "POST", "/v1/oauth/tokens"),
        ("listNamespaces", "GET", "/v1/{prefix}/namespaces"),
        ("createNamespace", "POST", "/v1/{prefix}/namespaces"),
        ("loadNamespaceMetadata", "GET", _NAMESPACE),
        ("namespaceExists", "HEAD", _NAMESPACE),
        ("dropNamespace", "DELETE", _NAMESPACE),
        ("updateProperties", "POST", f"{_NAMESPACE}/properties"),
        ("listTables", "GET", f"{_NAMESPACE}/tables"),
        ("createTable", "POST", f"{_NAMESPACE}/tables"),
        ("listFunctions", "GET", f"{_NAMESPACE}/functions"),
        ("loadFunction", "GET", f"{_NAMESPACE}/functions/{{function}}"),
        ("planTableScan", "POST", f"{_TABLE}/plan"),
        ("fetchPlanningResult", "GET", f"{_TABLE}/plan/{{plan-id}}"),
        ("cancelPlanning", "DELETE", f"{_TABLE}/plan/{{plan-id}}"),
        ("fetchScanTasks", "POST", f"{_TABLE}/tasks"),
        ("registerTable", "POST", f"{_NAMESPACE}/register"),
        ("loadTable", "GET", _TABLE),
        ("updateTable", "POST", _TABLE),
        ("dropTable", "DELETE", _TABLE),
        ("tableExists", "HEAD", _TABLE),
        ("unregisterTable", "POST", f"{_TABLE}/unregister"),
        ("loadCredentials", "GET", f"{_TABLE}/credentials"),
        ("signRequest", "POST", f"{_TABLE}/sign"),
        ("renameTable", "POST", "/v1/{prefix}/tables/rename"),
        ("reportMetrics", "POST", f"{_TABLE}/metrics"),
        ("commitTransaction", "POST", "/v1/{prefix}/transactions/commit"),
        ("listViews", "GET", f"{_NAMESPACE}/views"),
        ("createView", "POST", f"{_NAMESPACE}/views"),
        ("loadView", "GET", _VIEW),
        ("replaceView", "POST", _VIEW),
        ("dropView", "DELETE", _VIEW),
        ("viewExists", "HEAD", _VIEW),
        ("renameView", "POST", "/v1/{prefix}/views/rename"),
        ("registerView", "POST", f"{_NAMESPACE}/register-view"),
    )
)
BY_ID = {operation.id: operation for operation in OPERATIONS}

# The operations that clients assume when the configuration lists no endpoints.
_ASSUMED = """
    listNamespaces createNamespace loadNamespaceMetadata dropNamespace updateProperties
    listTables createTable loadTable updateTable dropTable registerTable reportMetrics renameTable
    commitTransaction
"""
ASSUMED = frozenset(BY_ID[name].endpoint for name in _ASSUMED.split())
