"""The application: its collaborators wired together."""

from collections.abc import Callable, Iterable
from typing import Any

import falcon

from falcon_catalog import logs
from falcon_catalog.api import responses
from falcon_catalog.api.config import ConfigResource
from falcon_catalog.api.idempotency import Idempotency
from falcon_catalog.api.middleware import Authentication, Calls, Warehouses, with_raw_path
from falcon_catalog.api.oauth import TokensResource
from falcon_catalog.api.request_log import RequestLog
from falcon_catalog.api.requests import NameConverter, NamespaceConverter
from falcon_catalog.api.routes import (
    ENDPOINTS,
    MANAGEMENT_ROUTES,
    OPTIONAL,
    ROUTES,
    inline_paths,
    operations,
    with_converters,
)
from falcon_catalog.api.status import LiveResource, MetersResource, ReadyResource
from falcon_catalog.catalog.bootstrap import close_warehouses, open_warehouses, prepare_store
from falcon_catalog.catalog.mount import unavailable
from falcon_catalog.catalog.principals import Realm
from falcon_catalog.catalog.purge import PurgeWorker
from falcon_catalog.catalog.warehouse import Warehouse
from falcon_catalog.catalog.watching import watch
from falcon_catalog.errors import CatalogError, WarehouseUnavailableError
from falcon_catalog.settings import Settings
from falcon_catalog.store.database import Doubt
from falcon_catalog.telemetry.meters import Meters


class CatalogApp:
    """A WSGI application that serves one catalog until it is closed."""

    def __init__(
        self, warehouses: list[Warehouse], realm: Realm, settings: Settings, meters: Meters
    ) -> None:
        self.warehouses = warehouses
        self.meters = meters
        self._wsgi = with_raw_path(self._route(realm, settings))
        self._inline_paths = inline_paths()
        self._purge_worker = PurgeWorker(warehouses, watch(meters, warehouses))

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        """Answer one request."""
        self.meters.in_flight.add()
        try:
            return self._wsgi(environ, start_response)
        finally:
            self.meters.in_flight.add(amount=-1)

    def may_be_quick(self, method: str, path: str) -> bool:
        """Say whether the event loop may ask, as ``at_once`` has it."""
        paths = self._inline_paths.get(method)
        return paths is not None and paths.fullmatch(path) is not None

    def ready(self) -> None:
        """Raise an error if the store does not answer or takes no changes."""
        self.warehouses[0].store.check()

    def serving(self) -> None:
        """Raise an error unless all requests can be served: every warehouse is there, too.

        No restart mounts one, so that ``ready``, which supervisors go by, does not ask for it.
        """
        self.ready()
        if missing := unavailable([warehouse.mount for warehouse in self.warehouses]):
            raise WarehouseUnavailableError("; ".join(missing))

    def lost(self) -> bool:
        """Say whether a COMMIT failed, in this process or another: nobody may build on that."""
        return self.warehouses[0].store.writer.doubt.open

    def close(self) -> None:
        """Stop what works in the background, close the database; no request may be running."""
        self._purge_worker.stop()
        close_warehouses(self.warehouses)

    def _route(self, realm: Realm, settings: Settings) -> falcon.App[Any, Any]:
        warehouses = Warehouses(self.warehouses)
        app = falcon.App(middleware=_middleware(warehouses, realm, settings, self.meters))
        app.router_options.converters["name"] = NameConverter
        app.router_options.converters["namespace"] = NamespaceConverter
        app.add_error_handler(Exception, responses.render_failure)
        app.add_error_handler(falcon.HTTPError, responses.render_http_error)
        app.add_error_handler(CatalogError, responses.render_catalog_error)
        for path, (resource, _) in ROUTES.items():
            template = with_converters(path)
            serving = resource()
            _add_route(app, template, serving)
            _add_route(app, template.replace(OPTIONAL, ""), serving)
        for path, (resource, _) in MANAGEMENT_ROUTES.items():
            _add_route(app, with_converters(path), resource())
        _add_route(app, "/v1/oauth/tokens", TokensResource(realm))
        _add_route(app, "/v1/config", ConfigResource(warehouses, ENDPOINTS))
        _add_route(app, "/health/live", LiveResource())
        _add_route(app, "/health/ready", ReadyResource(self.serving))
        _add_route(app, "/metrics", MetersResource(self.meters))
        return app


def _add_route(app: falcon.App[Any, Any], template: str, resource: object) -> None:
    """Add a route, each of whose methods must be an operation: else none would authorize it."""
    table = dict(operations())
    for name in dir(resource):
        method = name.removeprefix("on_").upper()
        if name.startswith("on_") and (template, method) not in table:
            raise RuntimeError(f"{method} {template} is in no row of the operations table")
    app.add_route(template, resource)


def new_meters(processes: int = 1) -> Meters:
    """Return the metrics of a server of one or more processes, to be made before they fork."""
    return Meters(sorted({operation.name for _, operation in operations()}), processes)


def create_app(
    settings: Settings, meters: Meters | None = None, doubt: Doubt | None = None
) -> CatalogApp:
    """Make the application that serves what the settings name. Raises as ``open_warehouses``."""
    meters = meters or new_meters()
    warehouses = open_warehouses(settings, meters, doubt)
    meters.poll(meters.lines_dropped, logs.dropped)
    realm = Realm.of(warehouses[0].store, settings.auth.token_lifetime)
    return CatalogApp(warehouses, realm, settings, meters)


class CatalogService:
    """A catalog that several processes serve: what they share, made before they are forked."""

    def __init__(self, settings: Settings) -> None:
        self.meters = new_meters(settings.server.processes)
        self._settings = settings
        self._doubt = Doubt()

    def prepare(self) -> None:
        """Open the store, migrated and recovered as needed, and close it. Nobody has it open.

        Raises:
            StoreError, SettingsError: as ``open_warehouses``.
        """
        prepare_store(self._settings)
        self._doubt.settle()

    def make(self) -> CatalogApp:
        """Open the catalog for one process. Raises as ``create_app``."""
        return create_app(self._settings, self.meters, self._doubt)

    def lost(self) -> bool:
        """Say whether a COMMIT of any process failed, and all must open the store anew."""
        return self._doubt.open


def _middleware(
    warehouses: Warehouses, realm: Realm, settings: Settings, meters: Meters
) -> list[Any]:
    # Who asks comes before all that is looked up: a stranger learns of nothing.
    guards = [Authentication(realm, settings.metrics.public)] if settings.auth.required else []
    table = dict(operations())
    log = RequestLog(table, meters, access=settings.log.access)
    return [log, *guards, Calls(warehouses, table, settings.limits), Idempotency(meters)]
