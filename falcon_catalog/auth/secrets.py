"""Secrets of principals: drawn at random, stored as hashes."""

import base64
import hashlib
import hmac
import os
from secrets import token_urlsafe

_BYTES = 32
# 16 MiB and about 50 ms for each try. Secrets have 256 random bits.
_COST, _BLOCKS, _LANES = 1 << 14, 8, 1


def draw_secret() -> str:
    """Return a new random secret."""
    return token_urlsafe(_BYTES)


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


def _scrypt(
    secret: str, salt: bytes, cost: int = _COST, blocks: int = _BLOCKS, lanes: int = _LANES
) -> bytes:
    return hashlib.scrypt(
        secret.encode(), salt=salt, n=cost, r=blocks, p=lanes, maxmem=256 * cost * blocks
    )


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode()
