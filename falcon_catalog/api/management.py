"""The management API: metrics reports, functions and the storage check of a warehouse."""

from datetime import UTC, datetime
from typing import Any

import falcon
import orjson
from falcon import Request, Response

from falcon_catalog.api.functions import send_function
from falcon_catalog.api.requests import read_namespace, read_object, read_page
from falcon_catalog.api.responses import send, send_page
from falcon_catalog.catalog import functions, metrics
from falcon_catalog.catalog.call import Call
from falcon_catalog.catalog.storage_check.server import check_storage
from falcon_catalog.identifiers import TableIdentifier


class MetricsReportsResource:
    """``/management/v1/warehouses/{warehouse}/metrics``."""

    def on_get(self, req: Request, resp: Response, call: Call) -> None:
        """List metrics reports, newest first; ``?namespace=`` and ``&table=`` filter."""
        namespace, table = read_namespace(req, "namespace"), req.get_param("table") or None
        page = read_page(req, call, "metrics", namespace, table, always=True)
        found = metrics.newest(call, namespace, table, page)
        send_page(resp, "reports", found, page, name=lambda row: str(row.id), show=_show_report)


class ManagedFunctionResource:
    """``/management/v1/warehouses/{warehouse}/namespaces/{namespace}/functions/{function}``."""

    def on_put(self, req: Request, resp: Response, call: Call, identifier: TableIdentifier) -> None:
        """Add or replace a function."""
        send_function(resp, functions.put(call, identifier, read_object(req)))

    def on_delete(
        self, _req: Request, resp: Response, call: Call, identifier: TableIdentifier
    ) -> None:
        """Drop a function."""
        functions.drop(call, identifier)
        resp.status = falcon.HTTP_204


class StorageCheckResource:
    """``/management/v1/warehouses/{warehouse}/check``."""

    def on_post(self, _req: Request, resp: Response, call: Call) -> None:
        """Check the storage; 200 also if a check failed, which the body says."""
        send(resp, check_storage(call).as_json())


def _show_report(row: metrics.Report) -> dict[str, Any]:
    received = datetime.fromtimestamp(row.received_at / 1000, UTC)
    return {
        "identifier": row.identifier.as_json(),
        "table-uuid": row.table_uuid,
        "received-at": received.isoformat(timespec="milliseconds"),
        "report": orjson.Fragment(row.report),
    }
