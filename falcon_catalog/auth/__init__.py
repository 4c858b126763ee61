"""Tokens and secrets of this catalog, and tokens of identity providers.

``oidc`` and ``issuer_keys`` need the extra ``[oidc]``, and are imported only where the settings
name an issuer.
"""

from falcon_catalog.auth.secrets import draw_secret, hash_secret, nobody, secret_matches
from falcon_catalog.auth.tokens import (
    ISSUER,
    KEY_BYTES,
    Claims,
    InvalidTokenError,
    KeysUnavailableError,
    UnknownKeyError,
    draw_key,
    draw_kid,
    issue,
    read,
    seal,
    unseal,
    unverified_issuer,
    unverified_names,
)

__all__ = [
    "ISSUER",
    "KEY_BYTES",
    "Claims",
    "InvalidTokenError",
    "KeysUnavailableError",
    "UnknownKeyError",
    "draw_key",
    "draw_kid",
    "draw_secret",
    "hash_secret",
    "issue",
    "nobody",
    "read",
    "seal",
    "secret_matches",
    "unseal",
    "unverified_issuer",
    "unverified_names",
]
