"""One request, as an object: the first argument of every verb."""

from dataclasses import dataclass, field

from falcon_catalog.catalog.warehouse import Warehouse
from falcon_catalog.store.database import now_ms


@dataclass(frozen=True, slots=True)
class Principal:
    """Who calls."""

    id: int
    name: str
    via: str = "token"
    """How it was authenticated: ``token``, ``oidc:ISSUER``, or ``local:UID``."""
    groups: frozenset[tuple[str, str]] = frozenset()
    """Issuer and value of the groups that an identity provider's token names."""


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """The Idempotency-Key of a request, and the request that it is sent with."""

    header: str
    """The UUID that the client sent."""
    principal: int | None
    """The caller's id: the same UUID of another principal is another key."""
    request: str
    """The method and the path."""
    digest: str
    """Of the query and the body."""

    @property
    def key(self) -> str:
        """The key under which the answer is stored."""
        return f"{'' if self.principal is None else self.principal}/{self.header}"


@dataclass(frozen=True, slots=True)
class Call:
    """Who requests something of which warehouse, and when. Created once for each request."""

    warehouse: Warehouse
    principal: Principal | None = None
    """None where no token is required, and for local commands: they may do everything."""
    idempotency_key: IdempotencyKey | None = None
    request_id: str = ""
    delegation: frozenset[str] = frozenset()
    """How the client wants to get to files (``catalog.access``); empty: it did not say."""
    user_agent: str = ""
    """Of the client, for settings that only one kind of client understands."""
    address: str = ""
    """Of the client; empty on a Unix socket, and for local commands."""
    now: int = field(default_factory=now_ms)
    """Milliseconds since 1970-01-01 UTC."""

    @property
    def principal_id(self) -> int | None:
        """The caller's id; None as for ``principal``."""
        return None if self.principal is None else self.principal.id
