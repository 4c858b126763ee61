"""Rows of principals, and the signing keys of their tokens."""

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from falcon_catalog.identifiers import Page
from falcon_catalog.store import grants
from falcon_catalog.store.database import Transaction

Kind = Literal["user", "service", "role"]

EVERYONE = "everyone"
"""The role that every principal has."""
_SIGNING = "signing key"


@dataclass(frozen=True, slots=True)
class PrincipalRow:
    """A principal as stored."""

    id: int
    name: str
    secret_hash: str = field(repr=False)
    previous_secret_hash: str | None = field(repr=False)
    """Of the secret before the last rotation, as long as it is valid."""
    created_at: int
    """Milliseconds since 1970-01-01 UTC."""
    kind: Kind
    issuer: str | None
    """The name of the identity provider in the settings; None for principals of this catalog."""
    subject: str | None
    """What the identity provider calls the user; never changes."""
    display_name: str | None
    disabled: bool
    created_by: str | None
    sessions_since: int
    """Tokens of sessions that began before are revoked; seconds since 1970-01-01 UTC."""

    @property
    def has_secret(self) -> bool:
        """Whether it can log in with a secret."""
        return bool(self.secret_hash)


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key that signs tokens, and its name in them."""

    kid: str
    key: bytes = field(repr=False)


_COLUMNS = (
    "id, name, secret_hash, CASE WHEN previous_until > ? THEN previous_secret_hash END, created_at,"
    " kind, issuer, subject, display_name, disabled, created_by, sessions_since"
)


def find(tx: Transaction, name: str) -> PrincipalRow | None:
    """Return the row of a name, or None."""
    row = tx.one(f"SELECT {_COLUMNS} FROM principals WHERE name = ?", (tx.now, name))  # noqa: S608
    return None if row is None else _row(row)


def find_subject(tx: Transaction, issuer: str, subject: str) -> PrincipalRow | None:
    """Return the row of a user of an identity provider, or None."""
    row = tx.one(
        f"SELECT {_COLUMNS} FROM principals WHERE issuer = ? AND subject = ?",  # noqa: S608
        (tx.now, issuer, subject),
    )
    return None if row is None else _row(row)


def all_(tx: Transaction) -> list[PrincipalRow]:
    """Return all principals, ordered by name."""
    rows = tx.all(f"SELECT {_COLUMNS} FROM principals ORDER BY name", (tx.now,))  # noqa: S608
    return [_row(row) for row in rows]


def list_(tx: Transaction, page: Page, *, kinds: Collection[Kind]) -> list[PrincipalRow]:
    """Return the principals of some kinds, ordered by name."""
    marks = ",".join("?" * len(kinds))
    rows = tx.all(
        f"SELECT {_COLUMNS} FROM principals WHERE kind IN ({marks}) AND name > ?"  # noqa: S608
        " ORDER BY name LIMIT ?",
        (tx.now, *kinds, page.after or "", page.size),
    )
    return [_row(row) for row in rows]


def insert(
    tx: Transaction,
    name: str,
    secret_hash: str,
    *,
    kind: Kind = "service",
    issuer: str | None = None,
    subject: str | None = None,
    display_name: str | None = None,
    created_by: str | None = None,
) -> int | None:
    """Add a principal; return its id, or None if the name or the subject is taken.

    An empty ``secret_hash`` fits no secret.
    """
    row = tx.one(
        "INSERT INTO principals (name, secret_hash, created_at, kind, issuer, subject,"
        " display_name, created_by) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT DO NOTHING RETURNING id",
        (name, secret_hash, tx.now, kind, issuer, subject, display_name, created_by),
    )
    return None if row is None else int(row[0])


def delete(tx: Transaction, name: str) -> bool:
    """Remove a principal; return False if it does not exist."""
    grants.touch(tx)
    return bool(tx.change("DELETE FROM principals WHERE name = ?", (name,)))


def revoke_sessions(tx: Transaction, name: str) -> None:
    """End all sessions of a principal that have begun, even in this second."""
    grants.touch(tx)
    after = tx.now // 1000 + 1
    tx.change(
        "UPDATE principals SET sessions_since ="
        " CASE WHEN sessions_since < ? THEN ? ELSE sessions_since + 1 END WHERE name = ?",
        (after, after, name),
    )


def set_display_name(tx: Transaction, principal_id: int, display_name: str) -> None:
    """Note what an identity provider calls a user now."""
    tx.change("UPDATE principals SET display_name = ? WHERE id = ?", (display_name, principal_id))


def count_of_issuer(tx: Transaction, issuer: str) -> int:
    """Return how many users of an identity provider there are."""
    row = tx.one("SELECT count(*) FROM principals WHERE issuer = ?", (issuer,))
    return 0 if row is None else int(row[0])


def revoke_token(tx: Transaction, jti: str, *, expires_at: int) -> None:
    """Invalidate one token until it expires, in seconds since 1970-01-01 UTC."""
    grants.touch(tx)
    tx.change("DELETE FROM revoked_tokens WHERE expires_at < ?", (tx.now // 1000,))
    tx.change(
        "INSERT INTO revoked_tokens (jti, expires_at) VALUES (?, ?) ON CONFLICT DO NOTHING",
        (jti, expires_at),
    )


def is_revoked(tx: Transaction, jti: str) -> bool:
    """Return whether a token was revoked."""
    return tx.one("SELECT 1 FROM revoked_tokens WHERE jti = ?", (jti,)) is not None


def set_disabled(tx: Transaction, principal_id: int, *, disabled: bool) -> None:
    """Disable a principal, or enable it again."""
    tx.change("UPDATE principals SET disabled = ? WHERE id = ?", (int(disabled), principal_id))


def replace_secret(tx: Transaction, name: str, secret_hash: str, *, overlap_ms: int) -> bool:
    """Give a principal another secret; return False if it does not exist.

    The present one stays valid for ``overlap_ms``. The one before it ends now.
    """
    changed = tx.change(
        "UPDATE principals SET previous_secret_hash = secret_hash, previous_until = ?,"
        " secret_hash = ? WHERE name = ?",
        (tx.now + overlap_ms, secret_hash, name),
    )
    return bool(changed)


def ensure_signing_key(tx: Transaction, new: SigningKey) -> None:
    """Sign with a key if the store has none yet."""
    tx.hold(_SIGNING)
    if signing_key(tx) is None:
        replace_signing_key(tx, new, overlap_ms=0)


def signing_key(tx: Transaction) -> SigningKey | None:
    """Return the key that signs new tokens; None if the store has none yet."""
    row = tx.one("SELECT kid, key FROM signing_keys WHERE expires_at IS NULL")
    return None if row is None else SigningKey(row[0], bytes(row[1]))


def verifying_key(tx: Transaction, kid: str) -> bytes | None:
    """Return the key of a token's ``kid``; None if there is none, or no longer."""
    found = verifying_key_until(tx, kid)
    return None if found is None else found[0]


def verifying_key_until(tx: Transaction, kid: str) -> tuple[bytes, int | None] | None:
    """Return the key of a ``kid``, and when it ends, in milliseconds; None as above."""
    row = tx.one(
        "SELECT key, expires_at FROM signing_keys"
        " WHERE kid = ? AND (expires_at IS NULL OR expires_at > ?)",
        (kid, tx.now),
    )
    return None if row is None else (bytes(row[0]), row[1])


def replace_signing_key(tx: Transaction, new: SigningKey, *, overlap_ms: int) -> None:
    """Sign with another key from now on. No token of an earlier one outlives ``overlap_ms``."""
    tx.hold(_SIGNING)
    grants.touch(tx)
    tx.change("DELETE FROM signing_keys WHERE expires_at <= ?", (tx.now,))
    end = tx.now + overlap_ms
    tx.change(
        "UPDATE signing_keys SET expires_at = CASE WHEN expires_at < ? THEN expires_at ELSE ? END",
        (end, end),
    )
    tx.change(
        "INSERT INTO signing_keys (kid, key, created_at) VALUES (?, ?, ?)",
        (new.kid, new.key, tx.now),
    )


def _row(row: tuple[Any, ...]) -> PrincipalRow:
    found = PrincipalRow(*row)
    return replace(found, disabled=bool(found.disabled))
