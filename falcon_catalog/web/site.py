"""What all pages share: the server that they are of."""

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import falcon

from falcon_catalog.catalog import authorization
from falcon_catalog.catalog.authorization import SERVER
from falcon_catalog.catalog.call import Call, Principal
from falcon_catalog.catalog.identity import Realm
from falcon_catalog.catalog.query_process import QueryProcesses
from falcon_catalog.catalog.warehouse import Warehouse
from falcon_catalog.errors import NoSuchWarehouseError
from falcon_catalog.metrics import Metrics
from falcon_catalog.settings import Settings


@dataclass(frozen=True, slots=True)
class Site:
    """The server, as pages need it."""

    warehouses: tuple[Warehouse, ...]
    realm: Realm
    settings: Settings
    metrics: Metrics
    serving: Callable[[], list[str]]
    """Returns why warehouses cannot be used; raises an error if none can, as /health/ready."""
    closing: threading.Event = field(default_factory=threading.Event)
    """Set when the server closes."""
    backups: Callable[[], Sequence[object]] = list
    """Returns the backups beside a store that is a file, as ``backup.beside.kept``."""
    queries: QueryProcesses = field(default_factory=QueryProcesses)

    def calls(self, req: falcon.Request) -> Iterator[Call]:
        """Yield a Call for each warehouse that the visitor can see."""
        principal = getattr(req.context, "principal", None)
        for warehouse in self.warehouses:
            call = Call(
                warehouse,
                principal,
                request_id=req.context.id,
                user_agent=req.user_agent or "",
                address=req.remote_addr or "",
            )
            try:
                yield authorization.authorized(call)
            except NoSuchWarehouseError:
                continue

    def administers(self, principal: Principal) -> bool:
        """Return whether a visitor holds ``admin`` on the server."""
        return authorization.permits(Call(self.warehouses[0], principal), "admin", SERVER)
