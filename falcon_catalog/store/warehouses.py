"""Rows of warehouses."""

from falcon_catalog.store.database import Transaction


def ensure(tx: Transaction, name: str) -> int:
    """Return the id of the warehouse ``name``, made if it is new."""
    tx.change(
        "INSERT INTO warehouses (name, created_at) VALUES (?, ?) ON CONFLICT (name) DO NOTHING",
        (name, tx.now),
    )
    found = find(tx, name)
    if found is None:
        raise LookupError(name)
    return found


def find(tx: Transaction, name: str) -> int | None:
    """Return the id of the warehouse ``name``, or None if it was never served."""
    row = tx.one("SELECT id FROM warehouses WHERE name = ?", (name,))
    return None if row is None else int(row[0])
