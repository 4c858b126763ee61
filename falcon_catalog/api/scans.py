"""Server-side scan planning over HTTP."""

import falcon

from falcon_catalog.api.http import read_object, send
from falcon_catalog.catalog import scans
from falcon_catalog.catalog.base import Catalog
from falcon_catalog.errors import BadRequestError, show
from falcon_catalog.identifiers import TableIdentifier


class PlansResource:
    """``/v1/{prefix}/namespaces/{namespace}/tables/{table}/plan``."""

    in_warehouse = True

    def on_post(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        *,
        catalog: Catalog,
        identifier: TableIdentifier,
    ) -> None:
        """Plan a scan, or submit it for planning."""
        send(resp, scans.submit(catalog, identifier, read_object(req)))


class PlanResource:
    """``/v1/{prefix}/namespaces/{namespace}/tables/{table}/plan/{plan-id}``."""

    in_warehouse = True

    def on_get(
        self,
        _req: falcon.Request,
        resp: falcon.Response,
        *,
        catalog: Catalog,
        identifier: TableIdentifier,
        plan_id: str,
    ) -> None:
        """Answer how far a plan is, and its result when it is completed."""
        send(resp, scans.fetch_result(catalog, identifier, plan_id))

    def on_delete(
        self,
        _req: falcon.Request,
        resp: falcon.Response,
        *,
        catalog: Catalog,
        identifier: TableIdentifier,
        plan_id: str,
    ) -> None:
        """Give up a plan."""
        scans.cancel(catalog, identifier, plan_id)
        resp.status = falcon.HTTP_204


class ScanTasksResource:
    """``/v1/{prefix}/namespaces/{namespace}/tables/{table}/tasks``."""

    in_warehouse = True

    def on_post(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        *,
        catalog: Catalog,
        identifier: TableIdentifier,
    ) -> None:
        """Answer the scan tasks of one plan task."""
        token = read_object(req).get("plan-task")
        if not isinstance(token, str):
            raise BadRequestError(f"Invalid plan-task: {show(token)} is not a string")
        send(resp, scans.fetch_tasks(catalog, identifier, token))
