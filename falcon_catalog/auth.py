"""Secrets and tokens: draw, hash and compare the one, sign and read the other.

Tokens are JSON Web Tokens (RFC 7519) that this catalog signs itself, with one key (HMAC
SHA-256). Nothing but that algorithm is read: neither unsigned tokens nor foreign ones.
"""

import base64
import hashlib
import hmac
import math
import os
import secrets
import time
import uuid
from dataclasses import dataclass

import jwt

KEY_BYTES = 32

_ISSUER = "falcon-catalog"
_ALGORITHM = "HS256"
_CLAIMS = ["iss", "aud", "sub", "pid", "exp"]
# 16 MiB and some 50 ms for each try. The secrets are random, 256 bits of them.
_COST, _BLOCKS, _LANES = 1 << 14, 8, 1


class InvalidTokenError(Exception):
    """The token is not one of ours, was changed, or has expired; the message says which."""


@dataclass(frozen=True, slots=True)
class Claims:
    """What a token says: who the caller is."""

    principal_id: int
    name: str


def draw_key() -> bytes:
    """Return a new key for signing."""
    return os.urandom(KEY_BYTES)


def draw_secret() -> str:
    """Return a new random secret."""
    return secrets.token_urlsafe(KEY_BYTES)


def hash_secret(secret: str) -> str:
    """Return what may be stored of a secret: ``scrypt$N$r$p$salt$hash``."""
    salt = os.urandom(16)
    digest = _scrypt(secret, salt)
    return f"scrypt${_COST}${_BLOCKS}${_LANES}${_encode(salt)}${_encode(digest)}"


def nobody() -> str:
    """Return a hash that no known secret has, as costly to compare with as any other."""
    return f"scrypt${_COST}${_BLOCKS}${_LANES}${_encode(bytes(16))}${_encode(bytes(32))}"


def secret_matches(secret: str, stored: str) -> bool:
    """Compare a secret with its hash, in a time that does not depend on where they differ."""
    _, cost, blocks, lanes, salt, digest = stored.split("$")
    found = _scrypt(secret, base64.b64decode(salt), int(cost), int(blocks), int(lanes))
    return hmac.compare_digest(found, base64.b64decode(digest))


def issue(key: bytes, claims: Claims, lifetime_seconds: int) -> str:
    """Return a new token for a principal, of at least this lifetime."""
    now = time.time()
    content = {
        "iss": _ISSUER,
        "aud": _ISSUER,
        "sub": claims.name,
        "pid": claims.principal_id,
        "iat": int(now),
        "exp": math.ceil(now) + lifetime_seconds,
        "jti": str(uuid.uuid4()),
    }
    return jwt.encode(content, key, algorithm=_ALGORITHM)


def read(key: bytes, token: str, *, even_expired: bool = False) -> Claims:
    """Return what a token says, once its signature is checked.

    Raises:
        InvalidTokenError: it is none of ours, or has expired.
    """
    # A clock that steps back a little must not turn fresh tokens away: iat is not judged.
    options: jwt.types.Options = {
        "require": _CLAIMS,
        "verify_exp": not even_expired,
        "verify_iat": False,
    }
    try:
        content = jwt.decode(
            token, key, algorithms=[_ALGORITHM], audience=_ISSUER, issuer=_ISSUER, options=options
        )
        return Claims(int(content["pid"]), str(content["sub"]))
    except jwt.ExpiredSignatureError:
        raise InvalidTokenError("the token has expired") from None
    except (jwt.InvalidTokenError, TypeError, ValueError):
        raise InvalidTokenError("the token was not issued by this catalog") from None


def _scrypt(
    secret: str, salt: bytes, cost: int = _COST, blocks: int = _BLOCKS, lanes: int = _LANES
) -> bytes:
    return hashlib.scrypt(
        secret.encode(), salt=salt, n=cost, r=blocks, p=lanes, maxmem=256 * cost * blocks
    )


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode()
