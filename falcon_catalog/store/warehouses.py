"""Rows of warehouses."""

from falcon_catalog.store.database import Transaction


def ensure(tx: Transaction, name: str) -> int:
    """Return the id of the warehouse ``name``, made if it is new."""
    tx.change(
        "INSERT INTO warehouses (name, created_at) VALUES (?, ?) ON CONFLICT (name) DO NOTHING",
        (name, tx.now),
    )
    row = tx.one("SELECT id FROM warehouses WHERE name = ?", (name,))
    if row is None:
        raise LookupError(name)
    return int(row[0])
