"""The management API: what an operator asks of a warehouse, beside the specification."""

from datetime import UTC, datetime
from typing import Any

import falcon
import orjson

from falcon_catalog.api.functions import send_function
from falcon_catalog.api.http import read_namespace, read_object, read_page, send_page
from falcon_catalog.catalog import functions, metrics
from falcon_catalog.catalog.base import Catalog
from falcon_catalog.identifiers import Namespace, TableIdentifier


class MetricsReportsResource:
    """``/management/v1/warehouses/{warehouse}/metrics``."""

    in_warehouse = True

    def on_get(self, req: falcon.Request, resp: falcon.Response, *, catalog: Catalog) -> None:
        """List what clients reported, newest first, of ``?namespace=`` and ``&table=`` if given."""
        page = read_page(req, always=True)
        namespace, table = read_namespace(req, "namespace"), req.get_param("table") or None
        found = metrics.newest(catalog, namespace, table, page)
        send_page(resp, "reports", found, page, name=lambda row: str(row.id), show=_show_report)


class ManagedFunctionResource:
    """``/management/v1/warehouses/{warehouse}/namespaces/{namespace}/functions/{function}``."""

    in_warehouse = True

    def on_put(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        *,
        catalog: Catalog,
        namespace: Namespace,
        function: str,
    ) -> None:
        """Add or replace a function."""
        identifier = TableIdentifier(namespace, function)
        send_function(resp, functions.put(catalog, identifier, read_object(req)))

    def on_delete(
        self,
        _req: falcon.Request,
        resp: falcon.Response,
        *,
        catalog: Catalog,
        namespace: Namespace,
        function: str,
    ) -> None:
        """Drop a function."""
        functions.drop(catalog, TableIdentifier(namespace, function))
        resp.status = falcon.HTTP_204


def _show_report(row: metrics.Report) -> dict[str, Any]:
    received = datetime.fromtimestamp(row.received_at / 1000, UTC)
    return {
        "identifier": row.identifier.as_json(),
        "table-uuid": row.table_uuid,
        "received-at": received.isoformat(timespec="milliseconds"),
        "report": orjson.Fragment(row.report),
    }
