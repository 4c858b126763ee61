"""getConfig: what a client must know before its first real request."""

from collections.abc import Sequence

import falcon

from falcon_catalog.api.http import Warehouses, send
from falcon_catalog.catalog.idempotency import LIFETIME


class ConfigResource:
    """``/v1/config``."""

    def __init__(self, warehouses: Warehouses, endpoints: Sequence[str]) -> None:
        self._warehouses = warehouses
        self._endpoints = list(endpoints)

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer the warehouse's prefix, and every route that exists."""
        catalog = self._warehouses.by_selector(req.get_param("warehouse") or "")
        send(
            resp,
            {
                "defaults": {},
                "overrides": {"prefix": catalog.name},
                "endpoints": self._endpoints,
                "idempotency-key-lifetime": LIFETIME,
            },
        )
