"""Metrics reports over HTTP."""

import falcon

from falcon_catalog.api.http import read_object
from falcon_catalog.catalog import metrics
from falcon_catalog.catalog.base import Catalog
from falcon_catalog.identifiers import TableIdentifier


class MetricsResource:
    """``/v1/{prefix}/namespaces/{namespace}/tables/{table}/metrics``."""

    in_warehouse = True

    def on_post(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        *,
        catalog: Catalog,
        identifier: TableIdentifier,
    ) -> None:
        """Take in a report of a scan or a commit."""
        metrics.report(catalog, identifier, read_object(req))
        resp.status = falcon.HTTP_204
