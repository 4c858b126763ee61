"""The application: its collaborators wired together, and the table of its routes."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import falcon

from falcon_catalog.api import http
from falcon_catalog.api.access import RequestLog
from falcon_catalog.api.config import ConfigResource
from falcon_catalog.api.credentials import CredentialsResource, SignResource
from falcon_catalog.api.dropped import DroppedResource, UndropResource
from falcon_catalog.api.functions import FunctionResource, FunctionsResource
from falcon_catalog.api.limits import Limits
from falcon_catalog.api.management import ManagedFunctionResource, MetricsReportsResource
from falcon_catalog.api.metrics import MetricsResource
from falcon_catalog.api.middleware import AtOnce, Authentication, Names, with_raw_path
from falcon_catalog.api.namespaces import (
    NamespacePropertiesResource,
    NamespaceResource,
    NamespacesResource,
)
from falcon_catalog.api.oauth import TokensResource
from falcon_catalog.api.retries import Retries
from falcon_catalog.api.scans import PlanResource, PlansResource, ScanTasksResource
from falcon_catalog.api.status import LiveResource, MetersResource, ReadyResource
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
from falcon_catalog.store.database import Database, Doubt
from falcon_catalog.telemetry.meters import Meters

_NAMESPACE = "/v1/{prefix}/namespaces/{namespace}"
_TABLE = f"{_NAMESPACE}/tables/{{table}}"
_VIEW = f"{_NAMESPACE}/views/{{view}}"
_OPTIONAL = "/{prefix:name}"  # without it a route is of the default warehouse

# The routes of the specification, as it spells them, and its name for what each verb does.
# getConfig advertises exactly these.
ROUTES: dict[str, tuple[type, Mapping[str, str]]] = {
    "/v1/{prefix}/namespaces": (
        NamespacesResource,
        {"GET": "listNamespaces", "POST": "createNamespace"},
    ),
    _NAMESPACE: (
        NamespaceResource,
        {"GET": "loadNamespaceMetadata", "HEAD": "namespaceExists", "DELETE": "dropNamespace"},
    ),
    f"{_NAMESPACE}/properties": (NamespacePropertiesResource, {"POST": "updateProperties"}),
    f"{_NAMESPACE}/tables": (TablesResource, {"GET": "listTables", "POST": "createTable"}),
    _TABLE: (
        TableResource,
        {"GET": "loadTable", "HEAD": "tableExists", "POST": "updateTable", "DELETE": "dropTable"},
    ),
    f"{_TABLE}/unregister": (UnregisterTableResource, {"POST": "unregisterTable"}),
    f"{_TABLE}/plan": (PlansResource, {"POST": "planTableScan"}),
    f"{_TABLE}/plan/{{plan-id}}": (
        PlanResource,
        {"GET": "fetchPlanningResult", "DELETE": "cancelPlanning"},
    ),
    f"{_TABLE}/tasks": (ScanTasksResource, {"POST": "fetchScanTasks"}),
    f"{_TABLE}/credentials": (CredentialsResource, {"GET": "loadCredentials"}),
    f"{_TABLE}/sign": (SignResource, {"POST": "signRequest"}),
    f"{_TABLE}/metrics": (MetricsResource, {"POST": "reportMetrics"}),
    f"{_NAMESPACE}/register": (RegisterTableResource, {"POST": "registerTable"}),
    "/v1/{prefix}/tables/rename": (RenameTableResource, {"POST": "renameTable"}),
    f"{_NAMESPACE}/views": (ViewsResource, {"GET": "listViews", "POST": "createView"}),
    _VIEW: (
        ViewResource,
        {"GET": "loadView", "HEAD": "viewExists", "POST": "replaceView", "DELETE": "dropView"},
    ),
    f"{_NAMESPACE}/register-view": (RegisterViewResource, {"POST": "registerView"}),
    "/v1/{prefix}/views/rename": (RenameViewResource, {"POST": "renameView"}),
    f"{_NAMESPACE}/functions": (FunctionsResource, {"GET": "listFunctions"}),
    f"{_NAMESPACE}/functions/{{function}}": (FunctionResource, {"GET": "loadFunction"}),
    "/v1/{prefix}/transactions/commit": (TransactionResource, {"POST": "commitTransaction"}),
}
ENDPOINTS = [
    "GET /v1/config",
    "POST /v1/oauth/tokens",
    *(f"{verb} {path}" for path, (_, verbs) in ROUTES.items() for verb in verbs),
]

# What the specification does not have: for operators, and not advertised.
_WAREHOUSE = "/management/v1/warehouses/{warehouse}"
MANAGEMENT_ROUTES: dict[str, tuple[type, Mapping[str, str]]] = {
    f"{_WAREHOUSE}/dropped": (DroppedResource, {"GET": "listDropped"}),
    f"{_WAREHOUSE}/dropped/{{dropped}}/undrop": (UndropResource, {"POST": "undrop"}),
    f"{_WAREHOUSE}/metrics": (MetricsReportsResource, {"GET": "listMetricsReports"}),
    f"{_WAREHOUSE}/namespaces/{{namespace}}/functions/{{function}}": (
        ManagedFunctionResource,
        {"PUT": "putFunction", "DELETE": "dropFunction"},
    ),
}
_LONE_ROUTES = {
    "/v1/config": {"GET": "getConfig"},
    "/v1/oauth/tokens": {"POST": "getToken"},
    "/health/live": {"GET": "live"},
    "/health/ready": {"GET": "ready"},
    "/metrics": {"GET": "metrics"},
}


def _operations() -> Iterator[tuple[tuple[str, str], str]]:
    for path, (_, verbs) in {**ROUTES, **MANAGEMENT_ROUTES}.items():
        template = _with_converters(path)
        for verb, operation in verbs.items():
            yield (template, verb), operation
            yield (template.replace(_OPTIONAL, ""), verb), operation
    for path, verbs in _LONE_ROUTES.items():
        for verb, operation in verbs.items():
            yield (path, verb), operation


class CatalogApp:
    """A WSGI application that serves one catalog until it is closed."""

    def __init__(
        self, catalogs: list[Catalog], realm: Realm, settings: Settings, meters: Meters
    ) -> None:
        self._catalogs = catalogs
        self.meters = meters
        self._wsgi = with_raw_path(self._route(realm, settings))
        self._housekeeper = Housekeeper(catalogs)

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        """Answer one request."""
        self.meters.in_flight.add()
        try:
            return self._wsgi(environ, start_response)
        finally:
            self.meters.in_flight.add(amount=-1)

    def ready(self) -> None:
        """Raise an error unless requests can be served."""
        self._catalogs[0].database.check()

    def lost(self) -> bool:
        """Say whether a COMMIT failed, in this process or another: nobody may build on that."""
        return self._catalogs[0].database.writer.doubt.open

    def close(self) -> None:
        """Stop what works in the background, close the database; no request may be running."""
        self._housekeeper.stop()
        close_catalogs(self._catalogs)

    def _route(self, realm: Realm, settings: Settings) -> falcon.App[Any, Any]:
        warehouses = http.Warehouses(self._catalogs)
        app = falcon.App(middleware=_middleware(warehouses, realm, settings, self.meters))
        app.router_options.converters["name"] = http.NameConverter
        app.router_options.converters["namespace"] = http.NamespaceConverter
        app.add_error_handler(Exception, http.render_failure)
        app.add_error_handler(falcon.HTTPError, http.render_http_error)
        app.add_error_handler(CatalogError, http.render_catalog_error)
        for path, (resource, _) in ROUTES.items():
            template = _with_converters(path)
            serving = resource()
            app.add_route(template, serving)
            app.add_route(template.replace(_OPTIONAL, ""), serving)
        for path, (resource, _) in MANAGEMENT_ROUTES.items():
            app.add_route(_with_converters(path), resource())
        app.add_route("/v1/oauth/tokens", TokensResource(realm))
        app.add_route("/v1/config", ConfigResource(warehouses, ENDPOINTS))
        app.add_route("/health/live", LiveResource())
        app.add_route("/health/ready", ReadyResource(self.ready))
        app.add_route("/metrics", MetersResource(self.meters))
        return app


def new_meters(processes: int = 1) -> Meters:
    """Return the metrics of a server of one or more processes, to be made before they fork."""
    return Meters(sorted({operation for _, operation in _operations()}), processes)


def create_app(
    settings: Settings, meters: Meters | None = None, doubt: Doubt | None = None
) -> CatalogApp:
    """Make the application that serves what the settings name. Raises as ``open_catalogs``."""
    meters = meters or new_meters()
    catalogs = open_catalogs(settings, meters, doubt)
    realm = Realm.of(catalogs[0].database, settings.auth.token_lifetime)
    return CatalogApp(catalogs, realm, settings, meters)


class CatalogService:
    """A catalog that several processes serve: what they share, made before they are forked."""

    def __init__(self, settings: Settings) -> None:
        self.meters = new_meters(settings.server.processes)
        self._settings = settings
        self._doubt = Doubt()

    def prepare(self) -> None:
        """Open the store, migrated and recovered as needed, and close it. Nobody has it open.

        Raises:
            StoreError: it cannot be opened.
        """
        store = self._settings.store
        Database.open(store.url, store.durability).close()
        self._doubt.settle()

    def make(self) -> CatalogApp:
        """Open the catalog for one process. Raises as ``create_app``."""
        return create_app(self._settings, self.meters, self._doubt)

    def lost(self) -> bool:
        """Say whether a COMMIT of any process failed, and all must open the store anew."""
        return self._doubt.open


def _middleware(
    warehouses: http.Warehouses, realm: Realm, settings: Settings, meters: Meters
) -> list[Any]:
    # Who asks comes before all that is looked up: a stranger learns of nothing.
    guards = [Authentication(realm, settings.metrics.public)] if settings.auth.required else []
    operations = dict(_operations())
    log = RequestLog(operations, meters, access=settings.log.access)
    limits = Limits(settings.limits)
    return [log, *guards, limits, AtOnce(operations), Names(warehouses), Retries(meters)]


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
