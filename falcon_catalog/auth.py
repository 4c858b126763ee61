"""Secrets, which are hashed, and tokens, which are signed.

Tokens are JSON Web Tokens (RFC 7519) signed with HMAC SHA-256 and a key of the store, which they
name as ``kid``. No other algorithm is accepted, so neither unsigned nor foreign tokens are.

PyJWT is imported on first use: it brings the cryptography package, which a server without tokens
never needs and which takes a sixth of its start (``make bench``, start).
"""

import base64
import hashlib
import hmac
import math
import os
import secrets
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

KEY_BYTES = 32

_ISSUER = "falcon-catalog"
_ALGORITHM = "HS256"
_CLAIMS = ["iss", "aud", "sub", "pid", "exp"]
# 16 MiB and about 50 ms for each try. Secrets have 256 random bits.
_COST, _BLOCKS, _LANES = 1 << 14, 8, 1


class InvalidTokenError(Exception):
    """The token was not issued by this catalog, was modified, or has expired."""


class UnknownKeyError(InvalidTokenError):
    """The token names a key that the store does not have, perhaps no longer."""


@dataclass(frozen=True, slots=True)
class Claims:
    """The principal that a token was issued to, and since when."""

    principal_id: int
    name: str
    authenticated_at: int
    """When the principal presented its secret; seconds since 1970-01-01 UTC."""


def draw_key() -> bytes:
    """Return a new random signing key."""
    return os.urandom(KEY_BYTES)


def draw_kid() -> str:
    """Return a new random name of a signing key."""
    return secrets.token_hex(8)


def draw_secret() -> str:
    """Return a new random secret."""
    return secrets.token_urlsafe(KEY_BYTES)


def hash_secret(secret: str) -> str:
    """Return the hash of a secret, with a new salt, as ``scrypt$N$r$p$salt$hash``."""
    salt = os.urandom(16)
    digest = _scrypt(secret, salt)
    return f"scrypt${_COST}${_BLOCKS}${_LANES}${_encode(salt)}${_encode(digest)}"


def nobody() -> str:
    """Return a hash that matches no known secret and takes as long to compare as any other."""
    return f"scrypt${_COST}${_BLOCKS}${_LANES}${_encode(bytes(16))}${_encode(bytes(32))}"


def secret_matches(secret: str, stored: str) -> bool:
    """Return whether a secret has this hash, in constant time."""
    _, cost, blocks, lanes, salt, digest = stored.split("$")
    found = _scrypt(secret, base64.b64decode(salt), int(cost), int(blocks), int(lanes))
    return hmac.compare_digest(found, base64.b64decode(digest))


def issue(kid: str, key: bytes, claims: Claims, lifetime_seconds: int) -> str:
    """Return a new token for a principal, valid for at least ``lifetime_seconds``."""
    now = time.time()
    content = {
        "iss": _ISSUER,
        "aud": _ISSUER,
        "sub": claims.name,
        "pid": claims.principal_id,
        "iat": int(now),
        "exp": math.ceil(now) + lifetime_seconds,
        "auth_time": claims.authenticated_at,
        "jti": str(uuid.uuid4()),
    }
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
    content = _verified("the token", token, key_of, _ISSUER, _CLAIMS, even_expired=even_expired)
    # Tokens of earlier versions do not say when their session began.
    begun = content.get("auth_time", content.get("iat", 0))
    try:
        return Claims(int(content["pid"]), str(content["sub"]), int(begun))
    except (TypeError, ValueError):
        raise InvalidTokenError("the token was not issued by this catalog") from None


def seal(
    kid: str, key: bytes, purpose: str, content: Mapping[str, Any], lifetime_seconds: int
) -> str:
    """Return text that only this catalog can write, for a client to bring back.

    It is readable, and no token: each purpose is an audience of its own.
    """
    claims = {
        "iss": _ISSUER,
        "aud": f"{_ISSUER}:{purpose}",
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
    return dict(_verified("it", sealed, key_of, f"{_ISSUER}:{purpose}", required)["content"])


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
            issuer=_ISSUER,
            options={"require": required, "verify_exp": not even_expired, "verify_iat": False},
        )
    except jwt.ExpiredSignatureError:
        raise InvalidTokenError(f"{name} has expired") from None
    except (jwt.InvalidTokenError, TypeError, ValueError):
        raise InvalidTokenError(f"{name} was not issued by this catalog") from None


def _scrypt(
    secret: str, salt: bytes, cost: int = _COST, blocks: int = _BLOCKS, lanes: int = _LANES
) -> bytes:
    return hashlib.scrypt(
        secret.encode(), salt=salt, n=cost, r=blocks, p=lanes, maxmem=256 * cost * blocks
    )


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode()
