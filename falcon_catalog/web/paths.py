"""The paths of pages: links for templates, and the routes that they lead to."""

from urllib.parse import quote

from falcon_catalog.api.browsers import LOGIN_PAGE
from falcon_catalog.identifiers import SEPARATOR, Namespace, TableIdentifier

HOME = "/"
ROOT = "/ui"
STATIC = f"{ROOT}/static/{{file}}"
LOGIN = LOGIN_PAGE
CALLBACK = f"{LOGIN}/callback"
ISSUER_LOGIN = f"{LOGIN}/issuer/{{issuer:name}}"
LOGOUT = f"{ROOT}/logout"
ACTIVITY = f"{ROOT}/activity"
ADMINISTRATION = f"{ROOT}/admin"
ROLES = f"{ADMINISTRATION}/roles"
GRANTS = f"{ADMINISTRATION}/grants"
SETTINGS = f"{ADMINISTRATION}/settings"
STORAGE = f"{ADMINISTRATION}/storage"
BACKUPS = f"{ADMINISTRATION}/backups"
SEARCH = f"{ROOT}/search"
SQL = f"{ROOT}/sql"
WAREHOUSE = f"{ROOT}/warehouses/{{warehouse}}"
DROPPED = f"{WAREHOUSE}/dropped"
SIZE = f"{WAREHOUSE}/size"
NAMESPACE = f"{WAREHOUSE}/namespaces/{{namespace}}"
RUNS = f"{NAMESPACE}/runs"
RUN = f"{RUNS}/{{run}}"
TABLE = f"{NAMESPACE}/tables/{{table}}"
VIEW = f"{NAMESPACE}/views/{{view}}"
FUNCTION = f"{NAMESPACE}/functions/{{function}}"


def to_warehouse(warehouse: str, part: str = "") -> str:
    """Return the path of a warehouse's page, or of a part of it, such as ``dropped``."""
    return _with_part(f"{ROOT}/warehouses/{_segment(warehouse)}", part)


def to_namespace(warehouse: str, namespace: Namespace, part: str = "") -> str:
    """Return the path of a namespace's page, or of a part of it."""
    path = f"{to_warehouse(warehouse)}/namespaces/{_segment(SEPARATOR.join(namespace.levels))}"
    return _with_part(path, part)


def to_run(warehouse: str, namespace: Namespace, run: str) -> str:
    """Return the path of the page of a run that wrote tables of a namespace."""
    return to_namespace(warehouse, namespace, f"runs/{_segment(run)}")


def to_table(warehouse: str, table: TableIdentifier, part: str = "") -> str:
    """Return the path of a table's page, or of a part of it, such as ``history``."""
    path = f"{to_namespace(warehouse, table.namespace)}/tables/{_segment(table.name)}"
    return _with_part(path, part)


def to_view(warehouse: str, view: TableIdentifier, part: str = "") -> str:
    """Return the path of a view's page, or of a part of it."""
    path = f"{to_namespace(warehouse, view.namespace)}/views/{_segment(view.name)}"
    return _with_part(path, part)


def to_function(warehouse: str, function: TableIdentifier, part: str = "") -> str:
    """Return the path of a function's page, or of a part of it."""
    path = f"{to_namespace(warehouse, function.namespace)}/functions/{_segment(function.name)}"
    return _with_part(path, part)


def to_issuer_login(issuer: str) -> str:
    """Return where a form begins a login at an identity provider."""
    return f"{LOGIN}/issuer/{_segment(issuer)}"


def _with_part(path: str, part: str) -> str:
    return f"{path}/{part}" if part else path


def _segment(name: str) -> str:
    return quote(name, safe="")
