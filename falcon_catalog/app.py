"""The application: its collaborators wired together."""

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import falcon

from falcon_catalog import logs
from falcon_catalog.api import responses
from falcon_catalog.api.browsers import LOGIN_PAGE, Browsers, is_page
from falcon_catalog.api.config import ConfigResource
from falcon_catalog.api.idempotency import Idempotency
from falcon_catalog.api.middleware import (
    Authentication,
    Calls,
    ReadOnly,
    Warehouses,
    WSGIApp,
    with_raw_path,
)
from falcon_catalog.api.oauth import TOKENS_PATH, TokensResource
from falcon_catalog.api.operations import Operation
from falcon_catalog.api.refusals import Refusals
from falcon_catalog.api.request_log import RequestLog
from falcon_catalog.api.requests import NameConverter, NamespaceConverter
from falcon_catalog.api.routes import (
    ENDPOINTS,
    MANAGEMENT_ROUTES,
    OLDER_ROUTES,
    OPTIONAL,
    ROUTES,
    inline_paths,
    operations,
    with_converters,
)
from falcon_catalog.api.status import LiveResource, MetricsTextResource, ReadyResource
from falcon_catalog.api.whoami import LOGIN_PATH, LoginResource, WhoamiResource
from falcon_catalog.catalog import first_administrators
from falcon_catalog.catalog.bootstrap import close_warehouses, open_warehouses
from falcon_catalog.catalog.events import Origin
from falcon_catalog.catalog.identity import Realm
from falcon_catalog.catalog.purge import PurgeWorker
from falcon_catalog.catalog.store_mount import require_serving
from falcon_catalog.catalog.warehouse import Warehouse
from falcon_catalog.catalog.watching import watch
from falcon_catalog.errors import CatalogError, WouldWaitError
from falcon_catalog.metrics import Metrics
from falcon_catalog.settings import Settings, SettingsError

if TYPE_CHECKING:
    from falcon_catalog.auth.oidc import Issuers
    from falcon_catalog.catalog.tracing import Traces


class CatalogApp:
    """A WSGI application that serves one catalog until it is closed."""

    slow_paths = frozenset({TOKENS_PATH, LOGIN_PAGE})
    """Of requests that keep a processor busy: hashing a secret takes 50 ms."""

    def __init__(
        self,
        warehouses: list[Warehouse],
        realm: Realm,
        settings: Settings,
        metrics: Metrics,
        traces: "Traces | None" = None,
    ) -> None:
        self.warehouses = warehouses
        self.metrics = metrics
        self._traces = traces
        self._realm = realm
        self._authentication = (
            Authentication(realm, settings.metrics.public) if settings.auth.required else None
        )
        self._browsers = Browsers(settings)
        self._settings = settings
        self._pages: WSGIApp | None = None
        self._pages_lock = threading.Lock()
        self._closing = threading.Event()
        api = self._routed(realm, settings)
        self._wsgi = with_raw_path(self._with_pages(api) if settings.web.enabled else api)
        if traces is not None:
            from falcon_catalog.api.tracing import with_spans  # noqa: PLC0415 - an extra

            self._wsgi = with_spans(self._wsgi, traces.tracer)
        self._inline_paths = inline_paths()
        self._purge_worker = PurgeWorker(warehouses, watch(metrics, warehouses), settings.web)

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        """Respond to one request."""
        self.metrics.in_flight.inc()
        try:
            return self._wsgi(environ, start_response)
        finally:
            self.metrics.in_flight.dec()

    def may_respond_inline(self, method: str, path: str) -> bool:
        """Return whether the event loop may call the application itself (``server.inline``).

        Never if each request asks a database over a network, for which the loop must not wait.
        """
        if self.warehouses[0].store.path is None:
            return False
        paths = self._inline_paths.get(method)
        return paths is not None and paths.fullmatch(path) is not None

    def admit(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        address: str,
        *,
        peer: int | None = None,
    ) -> CatalogError | None:
        """Return an error for a request that must not send its body, by its head alone.

        ``peer`` is the user who connected to a Unix socket.
        """
        error = self._browsers.refusal(
            method, path, lambda name: headers.get(name.upper().replace("-", "_"))
        )
        if error is not None or self._authentication is None or is_page(path):
            return error  # a page's visitor may have a session, which takes a look at the store
        try:
            self._authentication.identify(path, headers.get("AUTHORIZATION"), peer, wait=False)
        except WouldWaitError:
            return None  # a thread will judge it, before it reads the body
        except CatalogError as error:
            client = headers.get("USER_AGENT", "")
            by = Origin(None, "anonymous", "anonymous", address, client)
            self.warehouses[0].audit.refused(by, None, None, path, "unauthenticated")
            return error
        return None

    def error_headers(self, headers: Mapping[str, str]) -> Mapping[str, str]:
        """Return the headers of an error that the server itself responds with."""
        return self._browsers.headers_for(headers.get("ORIGIN"))

    def ready(self) -> None:
        """Raise an error if this process cannot use the store, and a new one could."""
        self.warehouses[0].store.check()

    def serving(self) -> list[str]:
        """Return why warehouses in object stores cannot be used; the others can be.

        Raise an error if a local file or warehouse is not there, or no warehouse at all. A restart
        brings none of them back, so ``ready``, which supervisors watch, ignores them.
        """
        self.ready()
        self.warehouses[0].store.require_available()
        unavailable = require_serving([warehouse.mount for warehouse in self.warehouses])
        if self._realm.issuers is not None:
            names = self._realm.issuers.unavailable()
            unavailable += [f"issuer {name}: its keys could not be fetched" for name in names]
        return unavailable

    def must_stop(self) -> str | None:
        """Return why the process must end: a COMMIT failed, here or in another process."""
        broken = self.warehouses[0].store.broken
        if broken is None:
            return None
        return (
            f"a COMMIT failed, and nobody can tell what it stored ({broken})."
            " Start again: what the database recovers decides"
        )

    def close(self) -> None:
        """Stop the background work and close the store; no request may be running."""
        self._closing.set()
        self._purge_worker.stop()
        if self._realm.issuers is not None:
            self._realm.issuers.close()
        close_warehouses(self.warehouses)
        if self._traces is not None:
            self._traces.close()

    def _with_pages(self, api: WSGIApp) -> WSGIApp:
        """Return an application that serves the pages, too; they are created when first opened."""

        def choose(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
            app = self._open_pages() if is_page(environ["PATH_INFO"]) else api
            return app(environ, start_response)

        return choose

    def _open_pages(self) -> WSGIApp:
        with self._pages_lock:
            if self._pages is None:
                from falcon_catalog.backup.beside import kept  # noqa: PLC0415 - as create_pages
                from falcon_catalog.web.application import (  # noqa: PLC0415 - it loads templates
                    create_pages,
                )
                from falcon_catalog.web.site import Site  # noqa: PLC0415 - as create_pages

                self._pages = create_pages(
                    Site(
                        tuple(self.warehouses),
                        self._realm,
                        self._settings,
                        self.metrics,
                        self.serving,
                        self._closing,
                        lambda: kept(self._settings.store.path),
                    )
                )
            return self._pages

    def _routed(self, realm: Realm, settings: Settings) -> falcon.App[Any, Any]:
        table = dict(operations())
        warehouses = Warehouses(self.warehouses, hide=settings.auth.required)
        log = RequestLog(table, self.metrics, access=settings.log.access)
        # Authentication comes before every lookup: a caller without a token learns nothing.
        guards = [] if self._authentication is None else [self._authentication]
        calls = Calls(warehouses, table, settings.limits)
        refusals = Refusals(table, self.warehouses[0].audit)
        middleware: list[Any] = [log, refusals, self._browsers, *guards, calls]
        middleware += [Idempotency(self.metrics), ReadOnly(table)]
        if self._traces is not None:
            from falcon_catalog.api.tracing import RequestSpan, VerbSpan  # noqa: PLC0415 - an extra

            middleware = [RequestSpan(), *middleware, VerbSpan(self._traces.tracer, table)]
        app: falcon.App[Any, Any] = falcon.App(middleware=middleware)
        app.router_options.converters["name"] = NameConverter
        app.router_options.converters["namespace"] = NamespaceConverter
        app.add_error_handler(Exception, responses.render_failure)
        app.add_error_handler(falcon.HTTPError, responses.render_http_error)
        app.add_error_handler(CatalogError, responses.render_catalog_error)
        for path, (resource, _) in {**ROUTES, **OLDER_ROUTES}.items():
            template = with_converters(path)
            add_route(app, table, template, resource)
            add_route(app, table, template.replace(OPTIONAL, ""), resource)
        for path, (resource, _) in MANAGEMENT_ROUTES.items():
            add_route(app, table, with_converters(path), resource)
        add_route(app, table, TOKENS_PATH, TokensResource(realm))
        add_route(app, table, "/v1/config", ConfigResource(warehouses, ENDPOINTS))
        add_route(app, table, "/health/live", LiveResource())
        add_route(app, table, "/health/ready", ReadyResource(self.serving))
        add_route(app, table, "/management/v1/whoami", WhoamiResource())
        add_route(app, table, LOGIN_PATH, LoginResource(settings.auth))
        add_route(app, table, "/metrics", MetricsTextResource(self.metrics))
        return app


def add_route(
    app: falcon.App[Any, Any],
    table: Mapping[tuple[str, str], Operation],
    template: str,
    resource: object,
) -> None:
    """Add a route; raise RuntimeError if a method of it is no operation, which none authorizes."""
    for name in dir(resource):
        method = name.removeprefix("on_").upper()
        if name.startswith("on_") and (template, method) not in table:
            raise RuntimeError(f"{method} {template} is in no row of the operations table")
    app.add_route(template, resource)


def create_app(settings: Settings) -> CatalogApp:
    """Create the application that serves what the settings name. Raises as ``open_warehouses``."""
    metrics, traces = Metrics(), _open_traces(settings)
    issuers = _load_issuers(settings)
    warehouses = open_warehouses(settings, metrics)
    metrics.lines_dropped.poll(logs.dropped)
    auth, store = settings.auth, warehouses[0].store
    if auth.required:
        first_administrators.ensure(store, auth)
        import jwt  # noqa: F401, PLC0415 - before the first request, which would wait for it
    realm = replace(
        Realm.of(store, auth.token_lifetime, auth.session_lifetime),
        issuers=None if issuers is None else issuers(auth.issuers),
        secrets=auth.secrets,
        unix_users=auth.users,
    )
    if traces is not None:
        warehouses = [traces.of(warehouse) for warehouse in warehouses]
    return CatalogApp(warehouses, realm, settings, metrics, traces)


def _load_issuers(settings: Settings) -> "type[Issuers] | None":
    """Return what verifies tokens of identity providers; None without any: nothing is imported."""
    if not settings.auth.issuers:
        return None
    try:
        from falcon_catalog.auth.oidc import Issuers  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise SettingsError(
            f"[auth.issuer.{next(iter(settings.auth.issuers))}]: it needs an extra that is not"
            f" installed: pip install '.[oidc]' in a clone of the repository ({error.name} is"
            " missing)"
        ) from None
    return Issuers


def _open_traces(settings: Settings) -> "Traces | None":
    """Return where spans go; None if nowhere, in which case OpenTelemetry is not imported."""
    if not settings.tracing.endpoint:
        return None
    try:
        from falcon_catalog.catalog.tracing import Traces  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise SettingsError(
            f"tracing.endpoint = {settings.tracing.endpoint!r}: it needs an extra that is not"
            f" installed: pip install '.[otel]' in a clone of the repository ({error.name} is"
            " missing)"
        ) from None
    return Traces(settings.tracing)
