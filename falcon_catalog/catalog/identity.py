"""Who calls: tokens of this catalog, tokens of identity providers, clients of a Unix socket."""

import hashlib
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from falcon_catalog import auth
from falcon_catalog.auth import (
    Claims,
    InvalidTokenError,
    KeysUnavailableError,
    UnknownKeyError,
)
from falcon_catalog.catalog import accounts, events
from falcon_catalog.catalog.call import Principal
from falcon_catalog.catalog.events import Event, Origin
from falcon_catalog.catalog.privileges import ADMIN, OWN, names
from falcon_catalog.catalog.rate_limit import RateLimit
from falcon_catalog.errors import (
    BadRequestError,
    InvalidClientError,
    NoSuchPrincipalError,
    NotAuthenticatedError,
    OAuthError,
    ServiceUnavailableError,
    UnsupportedGrantTypeError,
    WouldWaitError,
)
from falcon_catalog.store import grants
from falcon_catalog.store import principals as rows
from falcon_catalog.store.database import Database, again
from falcon_catalog.store.principals import PrincipalRow, SigningKey

if TYPE_CHECKING:
    from falcon_catalog.auth.oidc import Issuer, Issuers, Verified

LOCAL = "local"
"""The issuer of the users of this machine."""
_MOST_CACHED = 10_000
_MOST_USERS = 100_000
# Users who are added, by issuer: each is a transaction.
_NEW_USERS_BURST, _NEW_USERS_PER_SECOND = 100, 1.0
# Failed logins, for each address and each client id: one takes 100 ms of CPU time.
_FAILED_BURST, _FAILED_PER_SECOND = 20, 1.0


class TokenCache:
    """Principals of verified tokens, by the SHA-256 of the token. Safe to use from many threads.

    An entry is void when the token or its key expires, and when the generation of permissions
    changes: whoever revokes something raises it in the same transaction.
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._entries: OrderedDict[bytes, tuple[Principal, float, int]] = OrderedDict()

    def get(self, digest: bytes, generation: int) -> Principal | None:
        """Return the principal of a token, or None if it must be verified."""
        with self._guard:
            entry = self._entries.get(digest)
            if entry is None:
                return None
            principal, until, cached = entry
            if cached != generation or time.time() >= until:
                del self._entries[digest]
                return None
            self._entries.move_to_end(digest)
            return principal

    def put(self, digest: bytes, principal: Principal, until: float, generation: int) -> None:
        """Remember the principal of a token until a time, in seconds since 1970-01-01 UTC."""
        with self._guard:
            self._entries[digest] = principal, until, generation
            while len(self._entries) > _MOST_CACHED:
                self._entries.popitem(last=False)


@dataclass(frozen=True, slots=True)
class Realm:
    """The principals of one store, how they are authenticated, and how long tokens are valid."""

    database: Database
    lifetime_seconds: int
    session_seconds: int
    """For how long tokens can be renewed after the principal presented its secret."""
    issuers: "Issuers | None" = None
    """The identity providers; None if there are none."""
    secrets: bool = True
    """Whether principals can log in with a secret."""
    unix_users: Mapping[int, str] = field(default_factory=dict)
    """The principals of users of this machine, by their ids."""
    cache: TokenCache = field(default_factory=TokenCache)
    new_users: RateLimit = field(
        default_factory=lambda: RateLimit(_NEW_USERS_BURST, _NEW_USERS_PER_SECOND)
    )
    failed_logins: RateLimit = field(
        default_factory=lambda: RateLimit(_FAILED_BURST, _FAILED_PER_SECOND)
    )

    @classmethod
    def of(cls, database: Database, lifetime_seconds: int, session_seconds: int) -> "Realm":
        """Return the realm of a store; its signing key is generated the first time."""
        if rows.signing_key(database.autocommit()) is None:
            with database.write() as tx:
                rows.ensure_signing_key(tx, _new_key())
        return cls(database, lifetime_seconds, session_seconds)


@dataclass(frozen=True, slots=True)
class Token:
    """An access token."""

    text: str = field(repr=False)
    lifetime_seconds: int


@again
def rotate_key(database: Database, overlap_seconds: int) -> None:
    """Sign tokens with another key; those of the old one end after ``overlap_seconds``."""
    with database.write() as tx:
        rows.replace_signing_key(tx, _new_key(), overlap_ms=overlap_seconds * 1000)
        detail = {"overlap-seconds": overlap_seconds}
        event = Event("rotateSigningKey", "server", None, "access", detail=detail)
        events.record(tx, events.local(), event)


def revoke(database: Database, name: str) -> None:
    """Invalidate all tokens of a principal, from its next request on.

    Tokens that it gets afterwards are valid.

    Raises:
        NoSuchPrincipalError: no user or service has this name.
    """
    with database.write() as tx:
        row = rows.find(tx, name)
        if row is None or row.kind == "role":
            raise NoSuchPrincipalError(f"Principal does not exist: {name}")
        rows.revoke_sessions(tx, name)
        events.record(tx, events.local(), accounts.event("revokeTokens", name, id=row.id))


def authenticate(realm: Realm, name: str, secret: str) -> Token:
    """Return a token for a principal that presents its secret.

    Raises:
        InvalidClientError: no principal has this name, or the secret is wrong; the response and the
            time it takes are the same.
        UnsupportedGrantTypeError: this catalog takes no secrets.
    """
    return _token(realm, _session(_known(realm, name, secret)))


def renew(realm: Realm, subject_token: str, client: tuple[str, str] | None) -> Token:
    """Return a new token for an old one, or for one of an identity provider.

    With ``client``, the name and secret of the token's principal, the old one may have expired, and
    a new session begins. Without, the session ends ``realm.session_seconds`` after it began, or
    when the token of the identity provider expires.

    Raises:
        InvalidClientError: the name or the secret is wrong.
        OAuthError: the token is invalid, has expired, or was issued to another principal; or its
            session is over.
        ServiceUnavailableError: the keys of the identity provider are not available.
    """
    row = None if client is None else _known(realm, *client)
    issuer = _issuer_of(realm, subject_token)
    try:
        if issuer is not None:
            claims = _exchanged(realm, issuer, subject_token)
        else:
            claims, _ = _read(realm, subject_token, even_expired=row is not None)
    except UnknownKeyError as error:
        if row is None:
            raise _refused(error) from None
        return _token(realm, _session(row))  # the secret is proof enough
    except (InvalidTokenError, NotAuthenticatedError) as error:
        raise _refused(error) from None
    if row is None:
        return _token(realm, claims)
    if row.id != claims.principal_id:
        raise _refused("it was issued to another client")
    return _token(realm, _session(row))


def identify(realm: Realm, token: str, *, wait: bool = True) -> Principal:
    """Return the principal that a token was issued to.

    Args:
        realm: the principals.
        token: the token.
        wait: whether to wait for keys of an identity provider, and to add users.

    Raises:
        NotAuthenticatedError: it is invalid, has expired, or its principal was removed.
        ServiceUnavailableError: it cannot be judged now.
        WouldWaitError: it must be waited for, and ``wait`` is false.
    """
    digest = hashlib.sha256(token.encode()).digest()
    generation = grants.generation(realm.database.autocommit())
    known = realm.cache.get(digest, generation)
    if known is not None:
        return known
    try:
        issuer = _issuer_of(realm, token)
        if issuer is not None:
            principal, verified = _identify_user(realm, issuer, token, wait=wait)
            until: float = verified.expires_at
        else:
            claims, until = _read(realm, token)
            principal = Principal(claims.principal_id, claims.name, claims.via, claims.groups)
    except InvalidTokenError as error:
        raise NotAuthenticatedError(f"Not authorized: {error}") from None
    realm.cache.put(digest, principal, until, generation)
    return principal


def identify_client(realm: Realm, name: str, secret: str) -> Principal:
    """Return the principal that presents its secret; raises as ``authenticate``."""
    row = _known(realm, name, secret)
    return Principal(row.id, row.name)


def identify_peer(realm: Realm, uid: int, *, wait: bool = True) -> Principal:
    """Return the principal of a user of this machine, who connected to the Unix socket.

    The server's own user and root own the server: they can read and change its store.

    Raises:
        NotAuthenticatedError: the user is none of these, and none of the settings.
        WouldWaitError: the user must be added, and ``wait`` is false.
    """
    if uid not in realm.unix_users and uid not in (0, os.geteuid()):
        raise NotAuthenticatedError(
            f"Not authorized: the user {uid} of this machine is no principal (auth.unix_users), and"
            " presents no token"
        )
    return identify_local(realm, uid, wait=wait)


def identify_local(realm: Realm, uid: int, *, wait: bool = True) -> Principal:
    """Return the principal of a user of this machine who owns the server, or is in the settings.

    Raises:
        NotAuthenticatedError: the principal does not exist, or is disabled.
        WouldWaitError: the user must be added, and ``wait`` is false.
    """
    tx, name = realm.database.autocommit(), realm.unix_users.get(uid)
    if name is not None:
        row = rows.find(tx, name)
    else:
        row = rows.find_subject(tx, LOCAL, str(uid)) or _add_owner(realm, uid, wait=wait)
    if row is None or row.disabled:
        raise NotAuthenticatedError("Not authorized: the principal does not exist, or is disabled")
    return Principal(row.id, row.name, f"{LOCAL}:{uid}")


def revoke_token(database: Database, token: str) -> None:
    """Invalidate one token, from its next use on.

    Raises:
        BadRequestError: it is no token that expires.
    """
    names = auth.unverified_names(token)
    if names is None:
        raise BadRequestError("Not a token: it must be a JSON Web Token with exp")
    issuer, _, expires_at = names
    with database.write() as tx:
        rows.revoke_token(tx, revoked_name(token), expires_at=expires_at)
        detail = {"issuer": issuer, "expires-at": expires_at}
        events.record(
            tx, events.local(), Event("revokeToken", "token", None, "access", detail=detail)
        )


def revoked_name(token: str) -> str:
    """Return the name that a token has among those that were revoked."""
    names = auth.unverified_names(token)
    own = "" if names is None or names[0] != auth.ISSUER else names[1]
    return own or _signed_part(token)


def objection(realm: Realm, via: str) -> str | None:
    """Return why the settings no longer accept a way to authenticate; None if they do."""
    if via == "token" and not realm.secrets:
        return "this catalog takes no secrets any more (auth.secrets)"
    provider = via.removeprefix("oidc:")
    if provider != via and (realm.issuers is None or provider not in realm.issuers.names):
        return "it was exchanged for one of an identity provider that has gone"
    return None


def _issuer_of(realm: Realm, token: str) -> "Issuer | None":
    """Return the identity provider that a token claims to be from; None for all other tokens."""
    return None if realm.issuers is None else realm.issuers.of(auth.unverified_issuer(token))


def _known(realm: Realm, name: str, secret: str) -> PrincipalRow:
    if not realm.secrets:
        raise UnsupportedGrantTypeError(
            "This catalog takes no secrets (auth.secrets): get a token from its identity provider"
        )
    with realm.database.read() as tx:
        row = rows.find(tx, name)
    # The same work for an unknown name, and for one without a secret or an older one: the time
    # must not reveal any of these.
    hashes = (None, None) if row is None else (row.secret_hash, row.previous_secret_hash)
    matches = any(auth.secret_matches(secret, each or auth.nobody()) for each in hashes)
    if row is None or row.disabled or not matches:
        raise InvalidClientError("The client is unknown, or its secret is wrong")
    return row


def _read(realm: Realm, token: str, *, even_expired: bool = False) -> tuple[Claims, float]:
    """Return the claims of a token of this catalog, and until when they hold.

    Raises:
        InvalidTokenError: it is invalid, or was revoked.
    """
    ends: list[float] = []

    def key_of(kid: str) -> bytes | None:
        found = rows.verifying_key_until(tx, kid)
        if found is None:
            return None
        key, end = found
        ends.extend([] if end is None else [end / 1000])
        return key

    with realm.database.read() as tx:
        claims = auth.read(key_of, token, even_expired=even_expired)
        row = rows.find(tx, claims.name)
        revoked = bool(claims.jti) and rows.is_revoked(tx, claims.jti)
        exchanged = bool(claims.origin) and rows.is_revoked(tx, claims.origin)
    if row is None or row.id != claims.principal_id:
        raise InvalidTokenError("the owner of the token was removed")
    if revoked or exchanged or row.disabled or claims.authenticated_at < row.sessions_since:
        raise InvalidTokenError("the token was revoked")
    if reason := objection(realm, claims.via):
        raise InvalidTokenError(reason)
    return claims, min([claims.expires_at, *ends])


def _identify_user(
    realm: Realm, issuer: "Issuer", token: str, *, wait: bool
) -> "tuple[Principal, Verified]":
    """Return the user that a token of an identity provider is about, and what it says.

    Raises:
        InvalidTokenError: it is invalid, or was revoked.
    """
    try:
        verified = issuer.verify(token, wait=wait)
    except KeysUnavailableError as error:
        raise ServiceUnavailableError(str(error)) from None
    with realm.database.read() as tx:
        row = rows.find_subject(tx, verified.issuer, verified.subject)
        revoked = any(rows.is_revoked(tx, each) for each in (_signed_part(token), _digest(token)))
    if row is None:
        row = _add_user(realm, issuer, verified, wait=wait)
    if revoked or row.disabled or verified.issued_at < row.sessions_since:
        raise InvalidTokenError("the token was revoked")
    if wait and verified.display_name and verified.display_name != row.display_name:
        with realm.database.write() as tx:
            rows.set_display_name(tx, row.id, verified.display_name)
    return Principal(row.id, row.name, f"oidc:{verified.issuer}", verified.groups), verified


def _add_user(realm: Realm, issuer: "Issuer", verified: "Verified", *, wait: bool) -> PrincipalRow:
    """Add a user who presents a valid token for the first time, without any grants."""
    if not issuer.settings.auto_create:
        raise InvalidTokenError("its user is no principal of this catalog")
    if not wait:
        raise WouldWaitError
    if realm.new_users.wait(verified.issuer):
        raise ServiceUnavailableError("Too many new users: try again in a moment")
    realm.new_users.add(verified.issuer)
    with realm.database.write() as tx:
        if rows.count_of_issuer(tx, verified.issuer) >= _MOST_USERS:
            raise InvalidTokenError(f"its issuer has {_MOST_USERS} users here already")
        rows.insert(
            tx,
            f"{verified.issuer}~{verified.subject}",
            "",
            kind="user",
            issuer=verified.issuer,
            subject=verified.subject,
            display_name=verified.display_name,
            created_by=f"oidc:{verified.issuer}",
        )
        row = rows.find_subject(tx, verified.issuer, verified.subject)
        if row is not None:
            by = Origin(row.id, row.name, f"oidc:{verified.issuer}")
            detail = {"type": "user"}
            added = accounts.event("createPrincipal", row.name, id=row.id, detail=detail)
            events.record(tx, by, added)
    if row is None:
        raise InvalidTokenError("its user has the name of another principal")
    return row


def _add_owner(realm: Realm, uid: int, *, wait: bool) -> PrincipalRow | None:
    if not wait:
        raise WouldWaitError
    with realm.database.write() as tx:
        added = rows.insert(
            tx,
            f"{LOCAL}~{uid}",
            "",
            kind="user",
            issuer=LOCAL,
            subject=str(uid),
            created_by=f"{LOCAL}:{uid}",
        )
        if added is not None:
            grants.set_bits(tx, grants.SERVER, added, OWN | ADMIN, by=f"{LOCAL}:{uid}")
            name, by = f"{LOCAL}~{uid}", f"{LOCAL}:{uid}"
            detail = {"type": "user", "privileges": names(OWN | ADMIN)}
            event = accounts.event("createPrincipal", name, id=added, detail=detail)
            events.record(tx, Origin(added, name, by), event)
        return rows.find_subject(tx, LOCAL, str(uid))


def _exchanged(realm: Realm, issuer: "Issuer", token: str) -> Claims:
    """Return the claims of our own token for one of an identity provider."""
    principal, verified = _identify_user(realm, issuer, token, wait=True)
    return Claims(
        principal.id,
        principal.name,
        verified.issued_at or int(time.time()),
        verified.expires_at,
        principal.via,
        principal.groups,
        _signed_part(token),
    )


def _session(row: PrincipalRow) -> Claims:
    """Return the claims of a principal that has just presented its secret."""
    return Claims(row.id, row.name, max(int(time.time()), row.sessions_since))


def _token(realm: Realm, claims: Claims) -> Token:
    now = int(time.time())
    left = claims.authenticated_at + realm.session_seconds - now
    if claims.session_end is not None:
        left = min(left, claims.session_end - now)
    seconds = min(realm.lifetime_seconds, left)
    if seconds <= 0 and claims.session_end is not None:
        raise _refused("the identity provider's token that its session began with has expired")
    if seconds <= 0:
        raise _refused(
            f"its session began more than {realm.session_seconds} seconds ago: present the"
            " client's credentials"
        )
    with realm.database.read() as tx:
        signing = rows.signing_key(tx)
    if signing is None:
        raise LookupError("the signing key")
    issued = replace(claims, jti="", expires_at=0)
    return Token(auth.issue(signing.kid, signing.key, issued, seconds), seconds)


def _new_key() -> SigningKey:
    return SigningKey(auth.draw_kid(), auth.draw_key())


def _signed_part(token: str) -> str:
    """Return the name of a token of an identity provider among those that were revoked.

    It is that of what is signed: the signature itself can be written in several ways.
    """
    signed = token.rpartition(".")[0]
    return f"signed:{hashlib.sha256(signed.encode()).hexdigest()}"


def _digest(token: str) -> str:
    """Return the name that versions before this one gave such a token."""
    return f"sha256:{hashlib.sha256(token.encode()).hexdigest()}"


def _refused(reason: object) -> OAuthError:
    return OAuthError(f"The subject_token is refused: {reason}")
