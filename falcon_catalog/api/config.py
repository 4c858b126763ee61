"""getConfig: what a client needs before its first real request."""

from collections.abc import Sequence

from falcon import Request, Response

from falcon_catalog.api.middleware import Warehouses
from falcon_catalog.api.responses import send
from falcon_catalog.catalog import authorization
from falcon_catalog.catalog.call import Call
from falcon_catalog.catalog.idempotency import LIFETIME


class ConfigResource:
    """``/v1/config``."""

    def __init__(self, warehouses: Warehouses, endpoints: Sequence[str]) -> None:
        self._warehouses = warehouses
        self._endpoints = list(endpoints)

    def on_get(self, req: Request, resp: Response) -> None:
        """Respond with the warehouse's prefix and all endpoints; a hidden warehouse has none."""
        selector = req.get_param("warehouse") or ""
        warehouse = self._warehouses.by_selector(selector)
        principal = getattr(req.context, "principal", None)
        authorization.require(Call(warehouse, principal), [], asked=selector or None)
        send(
            resp,
            {
                "defaults": dict(warehouse.storage.client_config),
                "overrides": {"prefix": warehouse.name},
                "endpoints": self._endpoints,
                "idempotency-key-lifetime": LIFETIME,
            },
        )
