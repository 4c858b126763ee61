"""The verbs of principals and their tokens."""

import re
from dataclasses import dataclass, field

from falcon_catalog import auth
from falcon_catalog.auth import Claims, InvalidTokenError
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
from falcon_catalog.store.database import Database
from falcon_catalog.store.principals import PrincipalRow

# No colon: clients write "name:secret". No space: the name is in log lines.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")


@dataclass(frozen=True, slots=True)
class Realm:
    """The principals of one store, and the key that signs their tokens."""

    database: Database
    key: bytes = field(repr=False)
    lifetime_seconds: int

    @classmethod
    def of(cls, database: Database, lifetime_seconds: int) -> "Realm":
        """Return the realm of a store; its key is generated the first time."""
        with database.write() as tx:
            key = rows.signing_key(tx, auth.draw_key())
        return cls(database, key, lifetime_seconds)


@dataclass(frozen=True, slots=True)
class Token:
    """An access token."""

    text: str = field(repr=False)
    lifetime_seconds: int


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


def remove(database: Database, name: str) -> None:
    """Remove a principal and invalidate its tokens.

    Raises:
        NoSuchPrincipalError: no principal has this name.
    """
    with database.write() as tx:
        if not rows.delete(tx, name):
            raise NoSuchPrincipalError(f"Principal does not exist: {name}")


def authenticate(realm: Realm, name: str, secret: str) -> Token:
    """Return a token for a principal that presents its secret.

    Raises:
        InvalidClientError: no principal has this name, or the secret is wrong; the response and the
            time it takes are the same.
    """
    return _token(realm, _known(realm, name, secret))


def renew(realm: Realm, subject_token: str, client: tuple[str, str] | None) -> Token:
    """Return a new token for an old one.

    With ``client``, the name and secret of the token's principal, the old one may have expired.

    Raises:
        InvalidClientError: the name or the secret is wrong.
        OAuthError: the token is invalid, has expired, or was issued to another principal.
    """
    row = None if client is None else _known(realm, *client)
    try:
        claims = auth.read(realm.key, subject_token, even_expired=row is not None)
        _check_present(realm, claims)
    except InvalidTokenError as error:
        raise OAuthError(f"The subject_token is refused: {error}") from None
    if row is not None and row.id != claims.principal_id:
        raise OAuthError("The subject_token is refused: it was issued to another client")
    return _token(realm, claims)


def identify(realm: Realm, token: str) -> str:
    """Return the name of the principal that a token was issued to.

    Raises:
        NotAuthenticatedError: it is invalid, has expired, or its principal was removed.
    """
    try:
        claims = auth.read(realm.key, token)
        _check_present(realm, claims)
    except InvalidTokenError as error:
        raise NotAuthenticatedError(f"Not authorized: {error}") from None
    return claims.name


def _known(realm: Realm, name: str, secret: str) -> PrincipalRow:
    with realm.database.read() as tx:
        row = rows.find(tx, name)
    # The same work for an unknown name: the time must not reveal it.
    matches = auth.secret_matches(secret, auth.nobody() if row is None else row.secret_hash)
    if row is None or not matches:
        raise InvalidClientError("The client is unknown, or its secret is wrong")
    return row


def _check_present(realm: Realm, claims: Claims) -> None:
    with realm.database.read() as tx:
        row = rows.find(tx, claims.name)
    if row is None or row.id != claims.principal_id:
        raise InvalidTokenError("the owner of the token was removed")


def _token(realm: Realm, of: PrincipalRow | Claims) -> Token:
    claims = of if isinstance(of, Claims) else Claims(of.id, of.name)
    return Token(auth.issue(realm.key, claims, realm.lifetime_seconds), realm.lifetime_seconds)
