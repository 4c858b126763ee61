"""Server-side scan planning over HTTP."""

from typing import Any

import falcon
from falcon import Request, Response

from falcon_catalog.api.requests import read_object
from falcon_catalog.api.responses import forbid_storing, send
from falcon_catalog.catalog import access, credentials
from falcon_catalog.catalog.call import Call
from falcon_catalog.catalog.scan_planning import verbs as scans
from falcon_catalog.errors import BadRequestError, show
from falcon_catalog.identifiers import TableIdentifier

JSON = dict[str, Any]


class PlansResource:
    """``/v1/{prefix}/namespaces/{namespace}/tables/{table}/plan``."""

    def on_post(
        self, req: Request, resp: Response, call: Call, identifier: TableIdentifier
    ) -> None:
        """Plan a scan, or submit it for planning."""
        _send(req, resp, call, identifier, scans.submit(call, identifier, read_object(req)))


class PlanResource:
    """``/v1/{prefix}/namespaces/{namespace}/tables/{table}/plan/{plan-id}``."""

    def on_get(
        self, req: Request, resp: Response, call: Call, identifier: TableIdentifier, plan_id: str
    ) -> None:
        """Respond with the status of a plan, and its result when it is completed."""
        _send(req, resp, call, identifier, scans.fetch_result(call, identifier, plan_id))

    def on_delete(
        self, _req: Request, resp: Response, call: Call, identifier: TableIdentifier, plan_id: str
    ) -> None:
        """Cancel a plan."""
        scans.cancel(call, identifier, plan_id)
        resp.status = falcon.HTTP_204


def _send(
    req: Request, resp: Response, call: Call, identifier: TableIdentifier, result: JSON
) -> None:
    """Respond with a plan; a completed one has credentials to read its files, if asked for."""
    if result["status"] == "completed" and access.wants_credentials(call):
        entries = credentials.load(call, identifier, read_only=True)
        result = {**result, "storage-credentials": entries}
        forbid_storing(req, resp)
    send(resp, result)


class ScanTasksResource:
    """``/v1/{prefix}/namespaces/{namespace}/tables/{table}/tasks``."""

    def on_post(
        self, req: Request, resp: Response, call: Call, identifier: TableIdentifier
    ) -> None:
        """Respond with the scan tasks of one plan task."""
        token = read_object(req).get("plan-task")
        if not isinstance(token, str):
            raise BadRequestError(f"Invalid plan-task: {show(token)} is not a string")
        send(resp, scans.fetch_tasks(call, identifier, token))
