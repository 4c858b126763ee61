"""The application of the pages: its routes, middleware and error pages."""

from collections.abc import Iterator, Mapping
from typing import Any

import falcon

from falcon_catalog.api.browsers import Browsers
from falcon_catalog.api.middleware import Calls, ReadOnly, Warehouses
from falcon_catalog.api.operations import Operation
from falcon_catalog.api.refusals import Refusals
from falcon_catalog.api.request_log import RequestLog
from falcon_catalog.api.requests import NameConverter, NamespaceConverter
from falcon_catalog.api.routes import with_converters
from falcon_catalog.catalog.entities import Type
from falcon_catalog.errors import CatalogError
from falcon_catalog.web import errors, paths, rendering
from falcon_catalog.web.activity import ActivityPage, WarehouseActivityPage
from falcon_catalog.web.administration import (
    BackupsPage,
    PrincipalsPage,
    RolesPage,
    SettingsPage,
    StoragePage,
)
from falcon_catalog.web.dropped import DroppedPage, PurgeForm, UndropForm
from falcon_catalog.web.functions import FunctionPage
from falcon_catalog.web.grants import GrantsPage
from falcon_catalog.web.home import HomeResource, SizePage
from falcon_catalog.web.login import Callback, LoginPage, Logout, ProviderLogin
from falcon_catalog.web.namespaces import NamespacePage, WarehousePage
from falcon_catalog.web.operations import OPERATIONS
from falcon_catalog.web.rendering import StaticResource
from falcon_catalog.web.runs import RunPage, RunsPage
from falcon_catalog.web.search import SearchPage
from falcon_catalog.web.sign_in import Visitors
from falcon_catalog.web.site import Site
from falcon_catalog.web.sql import SqlPage
from falcon_catalog.web.tables.actions import DropTable, RenameTable
from falcon_catalog.web.tables.diff import DiffPage
from falcon_catalog.web.tables.files import FilesPage
from falcon_catalog.web.tables.history import HistoryPage
from falcon_catalog.web.tables.maintenance import MaintenancePage
from falcon_catalog.web.tables.overview import MetadataPage, OverviewPage
from falcon_catalog.web.tables.properties import PropertiesPage
from falcon_catalog.web.tables.rows import RowsPage
from falcon_catalog.web.views import DropForm, RenameForm, ViewPage

Routes = Mapping[str, tuple[object, Mapping[str, str]]]
_WITH_GRANTS: Mapping[str, Type] = {
    paths.GRANTS: "server",
    f"{paths.WAREHOUSE}/grants": "warehouse",
    f"{paths.NAMESPACE}/grants": "namespace",
    f"{paths.TABLE}/grants": "table",
    f"{paths.VIEW}/grants": "view",
    f"{paths.FUNCTION}/grants": "function",
}


def routes(site: Site) -> Routes:
    """Return the pages: which resource serves a path, and which operation each method is."""
    return {
        paths.STATIC: (StaticResource(), {"GET": "pageStatic"}),
        paths.LOGIN: (LoginPage(site), {"GET": "pageLogin", "POST": "logIn"}),
        paths.ISSUER_LOGIN: (ProviderLogin(site), {"POST": "logInAtIssuer"}),
        paths.CALLBACK: (Callback(site), {"GET": "finishLogin"}),
        paths.LOGOUT: (Logout(site), {"POST": "logOut"}),
        paths.ACTIVITY: (ActivityPage(site), {"GET": "pageActivity"}),
        f"{paths.WAREHOUSE}/activity": (WarehouseActivityPage(), {"GET": "pageWarehouseActivity"}),
        paths.ADMINISTRATION: (
            PrincipalsPage(),
            {"GET": "pagePrincipals", "POST": "changePrincipals"},
        ),
        paths.ROLES: (RolesPage(), {"GET": "pageRoles", "POST": "changeRoles"}),
        paths.SETTINGS: (SettingsPage(site), {"GET": "pageSettings"}),
        paths.STORAGE: (StoragePage(site), {"GET": "pageStorage", "POST": "checkStorage"}),
        paths.BACKUPS: (BackupsPage(site), {"GET": "pageBackups"}),
        **{
            path: (GrantsPage(kind), {"GET": "pageGrants", "POST": "changeGrants"})
            for path, kind in _WITH_GRANTS.items()
        },
        paths.HOME: (HomeResource(site), {"GET": "pageHome"}),
        paths.SEARCH: (SearchPage(site), {"GET": "pageSearch"}),
        paths.WAREHOUSE: (WarehousePage(), {"GET": "pageWarehouse"}),
        paths.SIZE: (SizePage(), {"GET": "pageSize"}),
        paths.DROPPED: (DroppedPage(), {"GET": "pageDropped"}),
        paths.NAMESPACE: (NamespacePage(), {"GET": "pageNamespace"}),
        f"{paths.DROPPED}/{{dropped}}/undrop": (UndropForm(), {"POST": "undropOnPage"}),
        f"{paths.DROPPED}/{{dropped}}/purge": (PurgeForm(), {"POST": "purgeDroppedOnPage"}),
        f"{paths.VIEW}/drop": (DropForm(), {"POST": "dropViewOnPage"}),
        f"{paths.VIEW}/rename": (RenameForm(), {"POST": "renameViewOnPage"}),
        paths.VIEW: (ViewPage(), {"GET": "pageView"}),
        paths.FUNCTION: (FunctionPage(), {"GET": "pageFunction"}),
        paths.TABLE: (OverviewPage(), {"GET": "pageTable"}),
        f"{paths.TABLE}/metadata": (MetadataPage(), {"GET": "pageTable"}),
        f"{paths.TABLE}/history": (HistoryPage(), {"GET": "pageTable"}),
        f"{paths.TABLE}/drop": (DropTable(), {"POST": "pageDropTable"}),
        f"{paths.TABLE}/rename": (RenameTable(), {"POST": "pageRenameTable"}),
        f"{paths.TABLE}/diff": (DiffPage(site), {"GET": "pageTable"}),
        f"{paths.TABLE}/files": (FilesPage(), {"GET": "pageTableFiles"}),
        f"{paths.TABLE}/maintenance": (MaintenancePage(site), {"GET": "pageTable"}),
        f"{paths.TABLE}/properties": (PropertiesPage(), {"GET": "pageTable"}),
        f"{paths.TABLE}/rows": (RowsPage(site), {"GET": "pageRows"}),
        paths.RUNS: (RunsPage(), {"GET": "pageRuns"}),
        paths.RUN: (RunPage(), {"GET": "pageRuns"}),
        paths.SQL: (SqlPage(site), {"GET": "pageSql"}),
    }


def create_pages(site: Site) -> falcon.App[Any, Any]:
    """Create the application that serves the pages; what they consist of is read now."""
    rendering.load()
    pages = routes(site)
    table = dict(_operations(pages))
    middleware: list[Any] = [
        RequestLog(table, site.metrics, access=site.settings.log.access),
        Refusals(table, site.warehouses[0].audit),
        Browsers(site.settings),
        Visitors(site),
        Calls(
            Warehouses(site.warehouses, hide=site.settings.auth.required),
            table,
            site.settings.limits,
        ),
        ReadOnly(table),
    ]
    app: falcon.App[Any, Any] = falcon.App(middleware=middleware)
    app.router_options.converters["name"] = NameConverter
    app.router_options.converters["namespace"] = NamespaceConverter
    app.add_error_handler(Exception, errors.render_failure)
    app.add_error_handler(falcon.HTTPError, errors.render_http_error)
    app.add_error_handler(CatalogError, errors.render_catalog_error)
    for path, (resource, _) in pages.items():
        app.add_route(with_converters(path), resource)
    return app


def _operations(pages: Routes) -> Iterator[tuple[tuple[str, str], Operation]]:
    for path, (_, verbs) in pages.items():
        for verb, name in verbs.items():
            yield (with_converters(path), verb), OPERATIONS[name]
