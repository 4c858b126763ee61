"""Rows of idempotency keys, with the answers that retries get."""

from dataclasses import dataclass

from falcon_catalog.store.database import Transaction


@dataclass(frozen=True, slots=True)
class Receipt:
    """A stored answer as JSON text, and the request that it belongs to."""

    request: str
    answer: str


def find(tx: Transaction, warehouse_id: int, key: str) -> Receipt | None:
    """Return the answer stored under a key; None if there is none or it has expired."""
    row = tx.one(
        "SELECT request, answer FROM idempotency_keys"
        " WHERE warehouse_id = ? AND key = ? AND expires_at > ?",
        (warehouse_id, key, tx.now),
    )
    return None if row is None else Receipt(*row)


def insert(
    tx: Transaction, warehouse_id: int, key: str, receipt: Receipt, *, lifetime_ms: int
) -> bool:
    """Store an answer, and delete expired ones; return False if the key already has one."""
    tx.change(
        "DELETE FROM idempotency_keys WHERE (warehouse_id, key) IN (SELECT warehouse_id, key"  # noqa: S608
        f" FROM idempotency_keys WHERE expires_at <= ?{tx.row_lock('skip')})",
        (tx.now,),
    )
    return bool(
        tx.change(
            "INSERT INTO idempotency_keys (warehouse_id, key, request, answer, expires_at)"
            " VALUES (?, ?, ?, ?, ?) ON CONFLICT (warehouse_id, key) DO UPDATE"
            " SET request = excluded.request, answer = excluded.answer,"
            " expires_at = excluded.expires_at WHERE idempotency_keys.expires_at <= ?",
            (warehouse_id, key, receipt.request, receipt.answer, tx.now + lifetime_ms, tx.now),
        )
    )
