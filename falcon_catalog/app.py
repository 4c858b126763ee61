"""The application: its collaborators wired together."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import falcon

from falcon_catalog import logs
from falcon_catalog.api import http
from falcon_catalog.api.access import RequestLog
from falcon_catalog.api.config import ConfigResource
from falcon_catalog.api.limits import Limits
from falcon_catalog.api.middleware import Authentication, Names, with_raw_path
from falcon_catalog.api.oauth import TOKENS_PATH, TokensResource
from falcon_catalog.api.retries import Retries
from falcon_catalog.api.routes import (
    ENDPOINTS,
    MANAGEMENT_ROUTES,
    OPTIONAL,
    ROUTES,
    operations,
    quick_paths,
    with_converters,
)
from falcon_catalog.api.status import LiveResource, MetricsTextResource, ReadyResource
from falcon_catalog.catalog.base import Catalog
from falcon_catalog.catalog.housekeeping import Housekeeper
from falcon_catalog.catalog.mount import unavailable
from falcon_catalog.catalog.opening import close_catalogs, open_catalogs
from falcon_catalog.catalog.principals import Realm
from falcon_catalog.catalog.watching import watch
from falcon_catalog.errors import CatalogError, WarehouseUnavailableError
from falcon_catalog.metrics import Metrics
from falcon_catalog.settings import Settings


class CatalogApp:
    """A WSGI application that serves one catalog until it is closed."""

    slow_paths = frozenset({TOKENS_PATH})
    """Of requests that keep a processor busy: hashing a secret takes 50 ms."""

    def __init__(
        self, catalogs: list[Catalog], realm: Realm, settings: Settings, metrics: Metrics
    ) -> None:
        self._catalogs = catalogs
        self.metrics = metrics
        self._authentication = (
            Authentication(realm, settings.metrics.public) if settings.auth.required else None
        )
        self._wsgi = with_raw_path(self._route(realm, settings))
        self._quick_paths = quick_paths()
        self._housekeeper = Housekeeper(catalogs, watch(metrics, catalogs))

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        """Answer one request."""
        self.metrics.in_flight.inc()
        try:
            return self._wsgi(environ, start_response)
        finally:
            self.metrics.in_flight.dec()

    def may_respond_inline(self, method: str, path: str) -> bool:
        """Say whether the event loop may ask, as ``at_once`` has it."""
        paths = self._quick_paths.get(method)
        return paths is not None and paths.fullmatch(path) is not None

    def admit(self, _method: str, path: str, headers: Mapping[str, str]) -> CatalogError | None:
        """Return an error for a request that must not send its body, for lack of a valid token."""
        if self._authentication is None:
            return None
        try:
            self._authentication.identify(path, headers.get("AUTHORIZATION"))
        except CatalogError as error:
            return error
        return None

    def ready(self) -> None:
        """Raise an error if the store does not answer or takes no changes."""
        self._catalogs[0].database.check()

    def serving(self) -> None:
        """Raise an error unless all requests can be served: every file and warehouse is there, too.

        No restart brings one back, so that ``ready``, which supervisors go by, does not ask for it.
        """
        self.ready()
        self._catalogs[0].database.require_file()
        if missing := unavailable([catalog.mount for catalog in self._catalogs]):
            raise WarehouseUnavailableError("; ".join(missing))

    def must_stop(self) -> str | None:
        """Return why the process must end: a COMMIT failed, here or in another process."""
        broken = self._catalogs[0].database.writer.broken
        if broken is None:
            return None
        return (
            f"a COMMIT failed, and nobody can tell what it stored ({broken})."
            " Start again: what the database recovers decides"
        )

    def close(self) -> None:
        """Stop what works in the background, close the database; no request may be running."""
        self._housekeeper.stop()
        close_catalogs(self._catalogs)

    def _route(self, realm: Realm, settings: Settings) -> falcon.App[Any, Any]:
        warehouses = http.Warehouses(self._catalogs)
        app = falcon.App(
            middleware=_middleware(warehouses, self._authentication, settings, self.metrics)
        )
        app.router_options.converters["name"] = http.NameConverter
        app.router_options.converters["namespace"] = http.NamespaceConverter
        app.add_error_handler(Exception, http.render_failure)
        app.add_error_handler(falcon.HTTPError, http.render_http_error)
        app.add_error_handler(CatalogError, http.render_catalog_error)
        for path, (resource, _) in ROUTES.items():
            template = with_converters(path)
            serving = resource()
            app.add_route(template, serving)
            app.add_route(template.replace(OPTIONAL, ""), serving)
        for path, (resource, _) in MANAGEMENT_ROUTES.items():
            app.add_route(with_converters(path), resource())
        app.add_route(TOKENS_PATH, TokensResource(realm))
        app.add_route("/v1/config", ConfigResource(warehouses, ENDPOINTS))
        app.add_route("/health/live", LiveResource())
        app.add_route("/health/ready", ReadyResource(self.serving))
        app.add_route("/metrics", MetricsTextResource(self.metrics))
        return app


def create_app(settings: Settings) -> CatalogApp:
    """Make the application that serves what the settings name. Raises as ``open_catalogs``."""
    metrics = Metrics()
    catalogs = open_catalogs(settings, metrics)
    metrics.lines_dropped.poll(logs.dropped)
    realm = Realm.of(catalogs[0].database, settings.auth.token_lifetime)
    return CatalogApp(catalogs, realm, settings, metrics)


def _middleware(
    warehouses: http.Warehouses,
    authentication: Authentication | None,
    settings: Settings,
    metrics: Metrics,
) -> list[Any]:
    # Authentication comes before every lookup: a caller without a token learns nothing.
    guards = [authentication] if authentication is not None else []
    log = RequestLog(dict(operations()), metrics, access=settings.log.access)
    return [log, *guards, Limits(settings.limits), Names(warehouses), Retries(metrics)]
