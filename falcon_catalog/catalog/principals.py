"""The verbs of principals and their tokens."""

import re
import time
from dataclasses import dataclass, field

from falcon_catalog import auth
from falcon_catalog.auth import Claims, InvalidTokenError, UnknownKeyError
from falcon_catalog.errors import (
    AlreadyExistsError,
    BadRequestError,
    InvalidClientError,
    NoSuchPrincipalError,
    NotAuthenticatedError,
    OAuthError,
    show,
)
from falcon_catalog.store import principals as rows
from falcon_catalog.store.database import Database, again
from falcon_catalog.store.principals import PrincipalRow, SigningKey

# No colon: clients write "name:secret". No space: the name is in log lines.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")


@dataclass(frozen=True, slots=True)
class Realm:
    """The principals of one store, and how long their tokens are valid."""

    database: Database
    lifetime_seconds: int
    session_seconds: int
    """For how long tokens can be renewed after the principal presented its secret."""

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
def add(database: Database, name: str) -> str:
    """Add a principal; return its secret, of which only a hash is stored.

    Raises:
        AlreadyExistsError: the name is taken.
        BadRequestError: the name is invalid.
    """
    if not _NAME.fullmatch(name):
        raise BadRequestError(
            f"Invalid principal name {show(name)}: it must be 1 to 64 letters, digits and . _ @ -, "
            "a letter or digit first"
        )
    secret = auth.draw_secret()
    hashed = auth.hash_secret(secret)
    with database.write() as tx:
        if not rows.insert(tx, name, hashed):
            raise AlreadyExistsError(f"Principal already exists: {name}")
    return secret


@again
def rotate(database: Database, name: str, overlap_seconds: int) -> str:
    """Give a principal another secret, and return it; the old one ends after ``overlap_seconds``.

    Raises:
        NoSuchPrincipalError: no principal has this name.
    """
    secret = auth.draw_secret()
    hashed = auth.hash_secret(secret)
    with database.write() as tx:
        if not rows.replace_secret(tx, name, hashed, overlap_ms=overlap_seconds * 1000):
            raise _no_such(name)
    return secret


@again
def rotate_key(database: Database, overlap_seconds: int) -> None:
    """Sign tokens with another key; those of the old one end after ``overlap_seconds``."""
    with database.write() as tx:
        rows.replace_signing_key(tx, _new_key(), overlap_ms=overlap_seconds * 1000)


@again
def remove(database: Database, name: str) -> None:
    """Remove a principal and invalidate its tokens.

    Raises:
        NoSuchPrincipalError: no principal has this name.
    """
    with database.write() as tx:
        if not rows.delete(tx, name):
            raise _no_such(name)


def authenticate(realm: Realm, name: str, secret: str) -> Token:
    """Return a token for a principal that presents its secret.

    Raises:
        InvalidClientError: no principal has this name, or the secret is wrong; the response and the
            time it takes are the same.
    """
    return _token(realm, _session(_known(realm, name, secret)))


def renew(realm: Realm, subject_token: str, client: tuple[str, str] | None) -> Token:
    """Return a new token for an old one.

    With ``client``, the name and secret of the token's principal, the old one may have expired, and
    a new session begins. Without, the session ends ``realm.session_seconds`` after it began.

    Raises:
        InvalidClientError: the name or the secret is wrong.
        OAuthError: the token is invalid, has expired, or was issued to another principal; or its
            session is over.
    """
    row = None if client is None else _known(realm, *client)
    try:
        claims = _read(realm, subject_token, even_expired=row is not None)
    except UnknownKeyError as error:
        if row is None:
            raise _refused(error) from None
        return _token(realm, _session(row))  # the secret is proof enough
    except InvalidTokenError as error:
        raise _refused(error) from None
    if row is None:
        return _token(realm, claims)
    if row.id != claims.principal_id:
        raise _refused("it was issued to another client")
    return _token(realm, _session(row))


def identify(realm: Realm, token: str) -> str:
    """Return the name of the principal that a token was issued to.

    Raises:
        NotAuthenticatedError: it is invalid, has expired, or its principal was removed.
    """
    try:
        claims = _read(realm, token)
    except InvalidTokenError as error:
        raise NotAuthenticatedError(f"Not authorized: {error}") from None
    return claims.name


def _known(realm: Realm, name: str, secret: str) -> PrincipalRow:
    with realm.database.read() as tx:
        row = rows.find(tx, name)
    # The same work for an unknown name, and for one without an older secret: the time must not
    # reveal either.
    hashes = (None, None) if row is None else (row.secret_hash, row.previous_secret_hash)
    matches = any(auth.secret_matches(secret, each or auth.nobody()) for each in hashes)
    if row is None or not matches:
        raise InvalidClientError("The client is unknown, or its secret is wrong")
    return row


def _read(realm: Realm, token: str, *, even_expired: bool = False) -> Claims:
    """Return the claims of a token whose principal exists; raise InvalidTokenError if not."""
    with realm.database.read() as tx:
        claims = auth.read(
            lambda kid: rows.verifying_key(tx, kid), token, even_expired=even_expired
        )
        row = rows.find(tx, claims.name)
    if row is None or row.id != claims.principal_id:
        raise InvalidTokenError("the owner of the token was removed")
    return claims


def _session(row: PrincipalRow) -> Claims:
    """Return the claims of a principal that has just presented its secret."""
    return Claims(row.id, row.name, int(time.time()))


def _token(realm: Realm, claims: Claims) -> Token:
    left = claims.authenticated_at + realm.session_seconds - int(time.time())
    seconds = min(realm.lifetime_seconds, left)
    if seconds <= 0:
        raise _refused(
            f"its session began more than {realm.session_seconds} seconds ago: present the"
            " client's credentials"
        )
    with realm.database.read() as tx:
        signing = rows.signing_key(tx)
    if signing is None:
        raise LookupError("the signing key")
    return Token(auth.issue(signing.kid, signing.key, claims, seconds), seconds)


def _new_key() -> SigningKey:
    return SigningKey(auth.draw_kid(), auth.draw_key())


def _refused(reason: object) -> OAuthError:
    return OAuthError(f"The subject_token is refused: {reason}")


def _no_such(name: str) -> NoSuchPrincipalError:
    return NoSuchPrincipalError(f"Principal does not exist: {name}")
