"""Rows of metadata files that a commit may have left behind."""

from dataclasses import dataclass

from falcon_catalog.store.database import Transaction


@dataclass(frozen=True, slots=True)
class Orphan:
    """A file that no row may refer to, and that may not exist."""

    id: int
    location: str


def insert(tx: Transaction, warehouse_id: int, location: str, *, grace_ms: int) -> None:
    """Add a file, which is to be deleted after a while."""
    tx.change(
        "INSERT INTO orphans (warehouse_id, location, due_at) VALUES (?, ?, ?)"
        " ON CONFLICT (location) DO NOTHING",
        (warehouse_id, location, tx.now + grace_ms),
    )


def due(tx: Transaction, warehouse_id: int, size: int) -> list[Orphan]:
    """Return files that are to be deleted now, at most ``size``, the oldest first."""
    rows = tx.all(
        "SELECT id, location FROM orphans WHERE warehouse_id = ? AND due_at <= ?"
        " ORDER BY due_at, id LIMIT ?",
        (warehouse_id, tx.now, size),
    )
    return [Orphan(*row) for row in rows]


def claim(tx: Transaction, orphan_id: int) -> bool:
    """Begin to delete a file, which ``forget`` then refuses; return False if it is forgotten."""
    return tx.change("UPDATE orphans SET deleting = 1 WHERE id = ?", (orphan_id,)) == 1


def postpone(tx: Transaction, orphan_id: int, *, delay_ms: int) -> None:
    """Leave a file for later; one that is claimed stays so, since it may be deleted yet."""
    tx.change("UPDATE orphans SET due_at = ? WHERE id = ?", (tx.now + delay_ms, orphan_id))


def delete(tx: Transaction, orphan_id: int) -> None:
    """Forget a file that is gone, or that is none."""
    tx.change("DELETE FROM orphans WHERE id = ?", (orphan_id,))


def forget(tx: Transaction, location: str) -> bool:
    """Forget a file that a row refers to from now on; return False if it is being deleted."""
    tx.change("DELETE FROM orphans WHERE location = ? AND deleting = 0", (location,))
    return tx.one("SELECT 1 FROM orphans WHERE location = ?", (location,)) is None
