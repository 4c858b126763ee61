"""Tokens that this catalog signs.

They are JSON Web Tokens (RFC 7519) signed with HMAC SHA-256 and a key of the store, which they
name as ``kid``. No other algorithm is accepted, so neither unsigned nor foreign tokens are.

PyJWT is imported on first use: it brings the cryptography package, which a server without tokens
never needs and which takes a sixth of its start (``make bench``, start).
"""

import math
import os
import secrets
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

KEY_BYTES = 32

ISSUER = "falcon-catalog"
"""The ``iss`` of the tokens of this catalog."""
MAX_TOKEN_CHARACTERS = 16 * 1024
_ALGORITHM = "HS256"
_CLAIMS = ["iss", "aud", "sub", "pid", "exp"]


class InvalidTokenError(Exception):
    """The token was not issued by this catalog, was modified, or has expired."""


class UnknownKeyError(InvalidTokenError):
    """The token names a key that the store does not have, perhaps no longer."""


class KeysUnavailableError(Exception):
    """The keys of an identity provider could not be fetched: its tokens cannot be verified now."""


@dataclass(frozen=True, slots=True)
class Claims:
    """The principal that a token was issued to, and since when."""

    principal_id: int
    name: str
    authenticated_at: int
    """When the session began: when the principal presented its secret, or an identity provider
    issued the token that was exchanged; seconds since 1970-01-01 UTC, as all here."""
    session_end: int | None = None
    """When the exchanged token expires: no token of the session is valid for longer."""
    via: str = "token"
    """How the principal was authenticated, as ``catalog.call.Principal.via``."""
    groups: frozenset[tuple[str, str]] = frozenset()
    """Issuer and value of the groups that the exchanged token named."""
    origin: str = ""
    """What names the exchanged token among those that were revoked; empty if there is none."""
    jti: str = ""
    """The id of the token; empty before it is issued."""
    expires_at: int = 0
    """When the token expires; 0 before it is issued."""


def draw_key() -> bytes:
    """Return a new random signing key."""
    return os.urandom(KEY_BYTES)


def draw_kid() -> str:
    """Return a new random name of a signing key."""
    return secrets.token_hex(8)


def issue(kid: str, key: bytes, claims: Claims, lifetime_seconds: int) -> str:
    """Return a new token for a principal, valid for at least ``lifetime_seconds``."""
    now = time.time()
    content: dict[str, Any] = {
        "iss": ISSUER,
        "aud": ISSUER,
        "sub": claims.name,
        "pid": claims.principal_id,
        "iat": int(now),
        "exp": math.ceil(now) + lifetime_seconds,
        "auth_time": claims.authenticated_at,
        "jti": str(uuid.uuid4()),
    }
    if claims.session_end is not None:
        content["session_end"] = claims.session_end
        content["exp"] = min(content["exp"], claims.session_end)
        content["via"] = claims.via
    if claims.origin:
        content["origin"] = claims.origin
    if claims.groups:
        content["groups"] = sorted(claims.groups)
    return _signed(kid, key, content)


def read(
    key_of: Callable[[str], bytes | None], token: str, *, even_expired: bool = False
) -> Claims:
    """Return the claims of a token.

    Args:
        key_of: returns the key of a ``kid``; "" is that of tokens without one.
        token: the token.
        even_expired: whether it may have expired.

    Raises:
        UnknownKeyError: ``key_of`` does not know its key.
        InvalidTokenError: it is invalid, or has expired.
    """
    if len(token) > MAX_TOKEN_CHARACTERS:
        raise InvalidTokenError("the token is too long")
    content = _verified("the token", token, key_of, ISSUER, _CLAIMS, even_expired=even_expired)
    # Tokens of earlier versions do not say when their session began.
    begun = content.get("auth_time", content.get("iat", 0))
    end = content.get("session_end")
    try:
        return Claims(
            int(content["pid"]),
            str(content["sub"]),
            int(begun),
            None if end is None else int(end),
            str(content.get("via", "token")),
            frozenset((str(issuer), str(value)) for issuer, value in content.get("groups", ())),
            str(content.get("origin", "")),
            str(content.get("jti", "")),
            int(content["exp"]),
        )
    except (TypeError, ValueError):
        raise InvalidTokenError("the token was not issued by this catalog") from None


def unverified_issuer(token: str) -> str:
    """Return who a token claims to be from, to choose who verifies it; empty if nobody."""
    issuer = _unverified(token).get("iss")
    return issuer if isinstance(issuer, str) else ""


def unverified_names(token: str) -> tuple[str, str, int] | None:
    """Return the iss, jti and exp that a token claims, to revoke it; None if it has no exp."""
    content = _unverified(token)
    expires = content.get("exp")
    if isinstance(expires, bool) or not isinstance(expires, int | float):
        return None
    issuer, jti = content.get("iss"), content.get("jti")
    return (
        issuer if isinstance(issuer, str) else "",
        jti if isinstance(jti, str) else "",
        int(expires) + 1,
    )


def _unverified(token: str) -> dict[str, Any]:
    if len(token) > MAX_TOKEN_CHARACTERS:
        return {}
    import jwt  # noqa: PLC0415 - see above

    try:
        return dict(jwt.decode(token, options={"verify_signature": False}))
    except (jwt.InvalidTokenError, ValueError, RecursionError):
        return {}


def seal(
    kid: str, key: bytes, purpose: str, content: Mapping[str, Any], lifetime_seconds: int
) -> str:
    """Return text that only this catalog can write, for a client to bring back.

    It is readable, and no token: each purpose is an audience of its own.
    """
    claims = {
        "iss": ISSUER,
        "aud": f"{ISSUER}:{purpose}",
        "exp": math.ceil(time.time()) + lifetime_seconds,
        "content": dict(content),
    }
    return _signed(kid, key, claims)


def unseal(key_of: Callable[[str], bytes | None], purpose: str, sealed: str) -> dict[str, Any]:
    """Return the content of what ``seal`` wrote for a purpose.

    Raises:
        InvalidTokenError: it is something else, was modified, or has expired.
    """
    required = ["iss", "aud", "exp", "content"]
    return dict(_verified("it", sealed, key_of, f"{ISSUER}:{purpose}", required)["content"])


def _signed(kid: str, key: bytes, content: Mapping[str, Any]) -> str:
    import jwt  # noqa: PLC0415 - see above

    headers = {"kid": kid} if kid else None
    return jwt.encode(dict(content), key, algorithm=_ALGORITHM, headers=headers)


def _verified(
    name: str,
    text: str,
    key_of: Callable[[str], bytes | None],
    audience: str,
    required: list[str],
    *,
    even_expired: bool = False,
) -> dict[str, Any]:
    """Return what ``_signed`` signed; raise InvalidTokenError, which calls it ``name``."""
    import jwt  # noqa: PLC0415 - see above

    try:
        key = key_of(str(jwt.get_unverified_header(text).get("kid", "")))
        if key is None:
            raise UnknownKeyError(f"{name} was not issued by this catalog, or its key has ended")
        # Without iat, new tokens stay valid when the clock is set back a little.
        return jwt.decode(
            text,
            key,
            algorithms=[_ALGORITHM],
            audience=audience,
            issuer=ISSUER,
            options={"require": required, "verify_exp": not even_expired, "verify_iat": False},
        )
    except jwt.ExpiredSignatureError:
        raise InvalidTokenError(f"{name} has expired") from None
    except (jwt.InvalidTokenError, TypeError, ValueError):
        raise InvalidTokenError(f"{name} was not issued by this catalog") from None
