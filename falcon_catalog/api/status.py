"""Liveness, readiness and metrics."""

from collections.abc import Callable

import falcon

from falcon_catalog.api.responses import send
from falcon_catalog.metrics import CONTENT_TYPE, Metrics


class LiveResource:
    """``/health/live``: the process responds."""

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """Report that the process is alive."""
        send(resp, {"status": "live"})


class ReadyResource:
    """``/health/ready``: the database accepts changes, and warehouses are available.

    All local ones, and at least one: an object store that does not answer keeps no client of
    another warehouse waiting.
    """

    def __init__(self, check: Callable[[], list[str]]) -> None:
        self._check = check

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """Respond 200 if requests can be served, else with an error."""
        unavailable = self._check()
        send(resp, {"status": "ready"} | ({"unavailable": unavailable} if unavailable else {}))


class MetricsTextResource:
    """``/metrics``: everything that is measured, for Prometheus."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """Respond in Prometheus's text format."""
        resp.content_type = CONTENT_TYPE
        resp.data = self._metrics.text()
