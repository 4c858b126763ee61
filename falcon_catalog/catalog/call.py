"""One request, as an object: the first argument of every verb."""

from dataclasses import dataclass, field

from falcon_catalog.catalog.permissions import Decision
from falcon_catalog.catalog.warehouse import Warehouse
from falcon_catalog.store.database import Database, now_ms


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


@dataclass(slots=True)  # not frozen: one is made for each request, and that takes longer
class Call:
    """Who requests something of which warehouse, and when. Created once for each request.

    Not changed after authorization.
    """

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
    decision: Decision | None = None
    """What authorization found; None as for ``principal``."""

    @property
    def principal_id(self) -> int | None:
        """The caller's id; None as for ``principal``."""
        return None if self.principal is None else self.principal.id

    @property
    def on_store(self) -> "StoreCall":
        """The same request, for verbs on the store itself."""
        return StoreCall(
            self.warehouse.store,
            self.principal,
            request_id=self.request_id,
            address=self.address,
            user_agent=self.user_agent,
            now=self.now,
        )


@dataclass(frozen=True, slots=True)
class StoreCall:
    """A request on the store itself, not on a warehouse in it: principals, roles and grants."""

    store: Database
    principal: Principal | None = None
    """None as for a Call."""
    local: str = ""
    """The user of a local command, as ``local:UID``; empty for a request over HTTP."""
    request_id: str = ""
    address: str = ""
    user_agent: str = ""
    now: int = field(default_factory=now_ms)

    @property
    def principal_id(self) -> int | None:
        """The caller's id; None as for ``principal``."""
        return None if self.principal is None else self.principal.id

    @property
    def actor(self) -> str:
        """What rows name as the one who changed them."""
        return self.local or ("anonymous" if self.principal is None else self.principal.name)
