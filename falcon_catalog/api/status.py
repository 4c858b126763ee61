"""Health: is the process alive, and may traffic be sent to it."""

from collections.abc import Callable

import falcon

from falcon_catalog.api.http import send


class LiveResource:
    """``/health/live``: the process answers."""

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """Answer that the process is alive."""
        send(resp, {"status": "live"})


class ReadyResource:
    """``/health/ready``: the database answers and takes changes."""

    def __init__(self, check: Callable[[], None]) -> None:
        self._check = check

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """Answer 200 when requests can be served, else an error."""
        self._check()
        send(resp, {"status": "ready"})
