"""For who watches the server: is it alive, may traffic be sent to it, and its metrics."""

from collections.abc import Callable

import falcon

from falcon_catalog.api.responses import send
from falcon_catalog.telemetry.meters import CONTENT_TYPE, Meters


class LiveResource:
    """``/health/live``: the process answers."""

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """Answer that the process is alive."""
        send(resp, {"status": "live"})


class ReadyResource:
    """``/health/ready``: the database answers and takes changes, and each warehouse is there."""

    def __init__(self, check: Callable[[], None]) -> None:
        self._check = check

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """Answer 200 when requests can be served, else an error."""
        self._check()
        send(resp, {"status": "ready"})


class MetersResource:
    """``/metrics``: everything that is measured, for Prometheus."""

    def __init__(self, meters: Meters) -> None:
        self._meters = meters

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """Answer Prometheus's text format."""
        resp.content_type = CONTENT_TYPE
        resp.data = self._meters.text().encode()
