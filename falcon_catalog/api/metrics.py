"""Metrics reports over HTTP."""

import falcon
from falcon import Request, Response

from falcon_catalog.api.requests import read_object
from falcon_catalog.catalog import metrics
from falcon_catalog.catalog.call import Call
from falcon_catalog.identifiers import TableIdentifier


class MetricsResource:
    """``/v1/{prefix}/namespaces/{namespace}/tables/{table}/metrics``."""

    def on_post(
        self, req: Request, resp: Response, call: Call, identifier: TableIdentifier
    ) -> None:
        """Store a report of a scan or a commit."""
        metrics.report(call, identifier, read_object(req))
        resp.status = falcon.HTTP_204
