"""Rows of principals, and the key that signs their tokens."""

from dataclasses import dataclass, field

from falcon_catalog.store.database import Transaction


@dataclass(frozen=True, slots=True)
class PrincipalRow:
    """Somebody who may call, as stored."""

    id: int
    name: str
    secret_hash: str = field(repr=False)
    created_at: int
    """Milliseconds since 1970-01-01 UTC."""


def find(tx: Transaction, name: str) -> PrincipalRow | None:
    """Return the row of a name, or None."""
    row = tx.one("SELECT id, name, secret_hash, created_at FROM principals WHERE name = ?", (name,))
    return None if row is None else PrincipalRow(*row)


def all_(tx: Transaction) -> list[PrincipalRow]:
    """Return everybody, ordered by name."""
    rows = tx.all("SELECT id, name, secret_hash, created_at FROM principals ORDER BY name")
    return [PrincipalRow(*row) for row in rows]


def insert(tx: Transaction, name: str, secret_hash: str) -> bool:
    """Add somebody; return False when the name is taken."""
    return bool(
        tx.change(
            "INSERT INTO principals (name, secret_hash, created_at) VALUES (?, ?, ?)"
            " ON CONFLICT (name) DO NOTHING",
            (name, secret_hash, tx.now),
        )
    )


def delete(tx: Transaction, name: str) -> bool:
    """Remove somebody; return False when nobody has the name."""
    return bool(tx.change("DELETE FROM principals WHERE name = ?", (name,)))


def signing_key(tx: Transaction, drawn: bytes) -> bytes:
    """Return the key of this store: ``drawn`` if it had none before."""
    tx.change(
        "INSERT INTO signing_keys (id, key, created_at) VALUES (1, ?, ?)"
        " ON CONFLICT (id) DO NOTHING",
        (drawn, tx.now),
    )
    row = tx.one("SELECT key FROM signing_keys WHERE id = 1")
    if row is None:
        raise LookupError("the signing key")
    return bytes(row[0])
