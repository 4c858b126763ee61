"""Rows of principals, and the signing key of their tokens."""

from dataclasses import dataclass, field

from falcon_catalog.store.database import Transaction


@dataclass(frozen=True, slots=True)
class PrincipalRow:
    """A principal as stored."""

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
    """Return all principals, ordered by name."""
    rows = tx.all("SELECT id, name, secret_hash, created_at FROM principals ORDER BY name")
    return [PrincipalRow(*row) for row in rows]


def insert(tx: Transaction, name: str, secret_hash: str) -> bool:
    """Add a principal; return False if the name is taken."""
    return bool(
        tx.change(
            "INSERT INTO principals (name, secret_hash, created_at) VALUES (?, ?, ?)"
            " ON CONFLICT (name) DO NOTHING",
            (name, secret_hash, tx.now),
        )
    )


def delete(tx: Transaction, name: str) -> bool:
    """Remove a principal; return False if it does not exist."""
    return bool(tx.change("DELETE FROM principals WHERE name = ?", (name,)))


def signing_key(tx: Transaction, drawn: bytes) -> bytes:
    """Return the signing key of the store, which becomes ``drawn`` if it has none."""
    tx.change(
        "INSERT INTO signing_keys (id, key, created_at) VALUES (1, ?, ?)"
        " ON CONFLICT (id) DO NOTHING",
        (drawn, tx.now),
    )
    row = tx.one("SELECT key FROM signing_keys WHERE id = 1")
    if row is None:
        raise LookupError("the signing key")
    return bytes(row[0])
