"""The application: its collaborators wired together, and the table of its routes."""

from collections.abc import Callable, Iterable
from typing import Any

import falcon

from falcon_catalog.api import http
from falcon_catalog.api.config import ConfigResource
from falcon_catalog.api.credentials import CredentialsResource, SignResource
from falcon_catalog.api.dropped import DroppedResource, UndropResource
from falcon_catalog.api.functions import FunctionResource, FunctionsResource
from falcon_catalog.api.management import ManagedFunctionResource, MetricsReportsResource
from falcon_catalog.api.metrics import MetricsResource
from falcon_catalog.api.middleware import (
    Authentication,
    Names,
    RequestLog,
    with_raw_path,
)
from falcon_catalog.api.namespaces import (
    NamespacePropertiesResource,
    NamespaceResource,
    NamespacesResource,
)
from falcon_catalog.api.oauth import TokensResource
from falcon_catalog.api.retries import Retries
from falcon_catalog.api.scans import PlanResource, PlansResource, ScanTasksResource
from falcon_catalog.api.status import LiveResource, ReadyResource
from falcon_catalog.api.tables import (
    RegisterTableResource,
    RenameTableResource,
    TableResource,
    TablesResource,
    TransactionResource,
    UnregisterTableResource,
)
from falcon_catalog.api.views import (
    RegisterViewResource,
    RenameViewResource,
    ViewResource,
    ViewsResource,
)
from falcon_catalog.catalog.base import Catalog
from falcon_catalog.catalog.housekeeping import Housekeeper
from falcon_catalog.catalog.opening import close_catalogs, open_catalogs
from falcon_catalog.catalog.principals import Realm
from falcon_catalog.errors import CatalogError
from falcon_catalog.settings import Settings

_NAMESPACE = "/v1/{prefix}/namespaces/{namespace}"
_TABLE = f"{_NAMESPACE}/tables/{{table}}"
_VIEW = f"{_NAMESPACE}/views/{{view}}"

# The routes of the specification, as it spells them. getConfig advertises exactly these.
ROUTES: dict[str, tuple[type, tuple[str, ...]]] = {
    "/v1/{prefix}/namespaces": (NamespacesResource, ("GET", "POST")),
    _NAMESPACE: (NamespaceResource, ("GET", "HEAD", "DELETE")),
    f"{_NAMESPACE}/properties": (NamespacePropertiesResource, ("POST",)),
    f"{_NAMESPACE}/tables": (TablesResource, ("GET", "POST")),
    _TABLE: (TableResource, ("GET", "HEAD", "POST", "DELETE")),
    f"{_TABLE}/unregister": (UnregisterTableResource, ("POST",)),
    f"{_TABLE}/plan": (PlansResource, ("POST",)),
    f"{_TABLE}/plan/{{plan-id}}": (PlanResource, ("GET", "DELETE")),
    f"{_TABLE}/tasks": (ScanTasksResource, ("POST",)),
    f"{_TABLE}/credentials": (CredentialsResource, ("GET",)),
    f"{_TABLE}/sign": (SignResource, ("POST",)),
    f"{_TABLE}/metrics": (MetricsResource, ("POST",)),
    f"{_NAMESPACE}/register": (RegisterTableResource, ("POST",)),
    "/v1/{prefix}/tables/rename": (RenameTableResource, ("POST",)),
    f"{_NAMESPACE}/views": (ViewsResource, ("GET", "POST")),
    _VIEW: (ViewResource, ("GET", "HEAD", "POST", "DELETE")),
    f"{_NAMESPACE}/register-view": (RegisterViewResource, ("POST",)),
    "/v1/{prefix}/views/rename": (RenameViewResource, ("POST",)),
    f"{_NAMESPACE}/functions": (FunctionsResource, ("GET",)),
    f"{_NAMESPACE}/functions/{{function}}": (FunctionResource, ("GET",)),
    "/v1/{prefix}/transactions/commit": (TransactionResource, ("POST",)),
}
ENDPOINTS = [
    "GET /v1/config",
    "POST /v1/oauth/tokens",
    *(f"{verb} {path}" for path, (_, verbs) in ROUTES.items() for verb in verbs),
]

# What the specification does not have: for operators, and not advertised.
_WAREHOUSE = "/management/v1/warehouses/{warehouse}"
MANAGEMENT_ROUTES: dict[str, tuple[type, tuple[str, ...]]] = {
    f"{_WAREHOUSE}/dropped": (DroppedResource, ("GET",)),
    f"{_WAREHOUSE}/dropped/{{dropped}}/undrop": (UndropResource, ("POST",)),
    f"{_WAREHOUSE}/metrics": (MetricsReportsResource, ("GET",)),
    f"{_WAREHOUSE}/namespaces/{{namespace}}/functions/{{function}}": (
        ManagedFunctionResource,
        ("PUT", "DELETE"),
    ),
}


class CatalogApp:
    """A WSGI application that serves one catalog until it is closed."""

    def __init__(self, catalogs: list[Catalog], realm: Realm, *, guarded: bool) -> None:
        self._catalogs = catalogs
        routes = _route(http.Warehouses(catalogs), realm, self.ready, guarded=guarded)
        self._wsgi = with_raw_path(routes)
        self._housekeeper = Housekeeper(catalogs)

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        """Answer one request."""
        return self._wsgi(environ, start_response)

    def ready(self) -> None:
        """Raise an error unless requests can be served."""
        self._catalogs[0].database.check()

    def close(self) -> None:
        """Stop what works in the background, close the database; no request may be running."""
        self._housekeeper.stop()
        close_catalogs(self._catalogs)


def create_app(settings: Settings) -> CatalogApp:
    """Make the application that serves what the settings name. Raises as ``open_catalogs``."""
    catalogs = open_catalogs(settings)
    realm = Realm.of(catalogs[0].database, settings.auth.token_lifetime)
    return CatalogApp(catalogs, realm, guarded=settings.auth.required)


def _route(
    warehouses: http.Warehouses, realm: Realm, check: Callable[[], None], *, guarded: bool
) -> falcon.App[Any, Any]:
    # Who asks comes before all that is looked up: a stranger learns of nothing.
    guards: list[Any] = [Authentication(realm)] if guarded else []
    middleware: list[Any] = [RequestLog(), *guards, Names(warehouses), Retries()]
    app = falcon.App(middleware=middleware)
    app.router_options.converters["name"] = http.NameConverter
    app.router_options.converters["namespace"] = http.NamespaceConverter
    app.add_error_handler(Exception, http.render_failure)
    app.add_error_handler(falcon.HTTPError, http.render_http_error)
    app.add_error_handler(CatalogError, http.render_catalog_error)
    for path, (resource, _) in ROUTES.items():
        template = _with_converters(path)
        serving = resource()
        app.add_route(template, serving)
        app.add_route(template.replace("/{prefix:name}", ""), serving)
    for path, (resource, _) in MANAGEMENT_ROUTES.items():
        app.add_route(_with_converters(path), resource())
    app.add_route("/v1/oauth/tokens", TokensResource(realm))
    app.add_route("/v1/config", ConfigResource(warehouses, ENDPOINTS))
    app.add_route("/health/live", LiveResource())
    app.add_route("/health/ready", ReadyResource(check))
    return app


def _with_converters(path: str) -> str:
    return (
        path.replace("{prefix}", "{prefix:name}")
        .replace("{warehouse}", "{prefix:name}")
        .replace("{namespace}", "{namespace:namespace}")
        .replace("{table}", "{table:name}")
        .replace("{view}", "{view:name}")
        .replace("{dropped}", "{dropped:int}")
        .replace("{plan-id}", "{plan_id:name}")
        .replace("{function}", "{function:name}")
    )
