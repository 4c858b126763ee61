"""What a cloud's module may do besides reading and writing: give clients access to files.

Two optional powers of a storage: it vends temporary credentials, or signs single requests.
"""

import os
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

Permission = Literal["read", "write"]
"""``write`` includes reading and deleting."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What access is given to: a table's folders, never more."""

    locations: tuple[str, ...]
    """The table's location, then the other folders that its properties name; all validated."""
    permission: Permission


@dataclass(frozen=True, slots=True)
class Credential:
    """A temporary credential, as clients are given it."""

    prefix: str
    """The location that it is for, without a slash at its end; a string prefix of the table's."""
    config: Mapping[str, str] = field(repr=False)
    """The properties of the specification: keys or tokens, their expiry, endpoint and region."""
    expires_at: int
    """Milliseconds since 1970-01-01 UTC."""


def common_prefix(locations: Sequence[str]) -> str:
    """Return the prefix of a credential: the longest folder that holds all locations.

    Without a slash at its end, but for a bucket: ``s3://bucket/``. If they share no bucket, it is
    the text before ``://``, which clients match as well.
    """
    folders = [f"{location.rstrip('/')}/" for location in locations]
    shared = os.path.commonprefix(folders)  # noqa: RUF071 - cut at a slash below
    shared = shared[: shared.rfind("/") + 1]
    bucket = shared.partition("://")[2]
    if not bucket:
        schemes = [folder.partition(":")[0] for folder in folders]
        return os.path.commonprefix(schemes)  # noqa: RUF071 - s3 of s3 and s3a
    is_folder = bucket.count("/") > 1 or shared.rstrip("/") in locations
    return shared.rstrip("/") if is_folder else shared


class Vends(Protocol):
    """A storage that issues temporary credentials. Safe to use from many threads."""

    def vend(self, scope: Scope, *, session: str) -> Credential:
        """Return a new credential for a scope; nothing is cached here.

        Args:
            scope: what it opens.
            session: names the principal and the request in the cloud's own audit log.

        Raises:
            ServiceUnavailableError: the cloud does not answer or refuses; the message names the
                warehouse, what was asked of whom, and never a secret.
            BadRequestError: the scope cannot be expressed, for example is too long for a policy.
        """

    def check(self, scope: Scope) -> None:
        """Check that a credential can be for a scope; nothing is asked of the cloud.

        Raises:
            BadRequestError: as ``vend``.
        """

    def version(self) -> Hashable:
        """Return what changes when the server's own credentials are replaced; does not wait."""


@dataclass(frozen=True, slots=True)
class SignRequest:
    """A request to an object store that a client asks to be signed."""

    method: str
    uri: str
    region: str
    headers: Mapping[str, tuple[str, ...]]
    body: str | None = None

    @property
    def permission(self) -> Permission:
        """What it needs. The parts of an unfinished upload are its writer's business."""
        is_upload = "uploadId=" in self.uri.partition("?")[2]
        return "read" if self.method in ("GET", "HEAD") and not is_upload else "write"


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """What makes a request a signed one."""

    uri: str
    """The request's own, unchanged."""
    headers: Mapping[str, tuple[str, ...]] = field(repr=False)
    """To be added to the request's own headers, of which none is changed."""
    operation: str
    """What it does, in the store's words, such as ``GetObject``."""
    key: str | None
    """The object's key in its bucket; None for an operation on many."""
    may_be_cached: bool = False
    """Whether the client may use it again for the same method and URI (``Cache-Control``)."""


class Signs(Protocol):
    """A storage whose requests can be signed. Safe to use from many threads."""

    def sign(
        self, request: SignRequest, scope: Scope, credential: Credential | None
    ) -> SignedRequest:
        """Return the request with a signature, if it stays within the scope.

        Args:
            request: of the client.
            scope: what the client may reach.
            credential: of that scope, to sign with; None: with the server's own.

        Raises:
            ForbiddenError: it is no operation or header of the allow-list, or reaches elsewhere.
            BadRequestError: it is malformed.
            ServiceUnavailableError: there are no credentials to sign with.
        """
