"""One request, as an object: the first argument of every verb."""

import time
from dataclasses import dataclass, field

from falcon_catalog.catalog.warehouse import Warehouse


def now_ms() -> int:
    """Return the milliseconds since 1970-01-01 UTC."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """The Idempotency-Key of a request, and the request that it was first sent with."""

    key: str
    request: str


@dataclass(frozen=True, slots=True)
class Call:
    """Who requests something of which warehouse, and when. Created once for each request."""

    warehouse: Warehouse
    principal: str | None = None
    """The caller's name; None where no token is required, and for local commands."""
    idempotency_key: IdempotencyKey | None = None
    request_id: str = ""
    now: int = field(default_factory=now_ms)
    """Milliseconds since 1970-01-01 UTC."""
