"""Rows of warehouses, and the store's own id, which the marker in each warehouse carries."""

from dataclasses import dataclass

from falcon_catalog.store.database import Transaction


@dataclass(frozen=True, slots=True)
class WarehouseRow:
    """A warehouse as stored."""

    id: int
    marked_location: str | None
    """The location key of the root that its marker was written to."""
    predates_markers: bool
    """Whether a version of this program served it that wrote no markers yet."""


def ensure(tx: Transaction, name: str) -> int:
    """Return the id of the warehouse ``name``, made if it is new."""
    tx.change(
        "INSERT INTO warehouses (name, created_at) VALUES (?, ?) ON CONFLICT (name) DO NOTHING",
        (name, tx.now),
    )
    found = find(tx, name)
    if found is None:
        raise LookupError(name)
    return found.id


def find(tx: Transaction, name: str) -> WarehouseRow | None:
    """Return the row of a warehouse, or None."""
    row = tx.one(
        "SELECT w.id, w.marked_location, w.created_at < s.created_at"
        " FROM warehouses w, store_identity s WHERE w.name = ?",
        (name,),
    )
    return None if row is None else WarehouseRow(row[0], row[1], bool(row[2]))


def mark(tx: Transaction, name: str, location_key: str) -> None:
    """Remember that the marker of a warehouse was written to a root."""
    tx.change("UPDATE warehouses SET marked_location = ? WHERE name = ?", (location_key, name))


def marked(tx: Transaction) -> list[tuple[str, str]]:
    """Return each warehouse that was marked, and the location key of its root."""
    return tx.all(
        "SELECT name, marked_location FROM warehouses WHERE marked_location IS NOT NULL"
        " ORDER BY name"
    )


def store_id(tx: Transaction) -> str:
    """Return the id of this store."""
    row = tx.one("SELECT store_id FROM store_identity")
    if row is None:
        raise LookupError("store_identity")
    return str(row[0])


def set_store_id(tx: Transaction, store_id: str) -> None:
    """Give a store the id that the markers of its warehouses carry."""
    tx.change("UPDATE store_identity SET store_id = ?", (store_id,))


def metadata_locations(tx: Transaction, warehouse_id: int, limit: int) -> list[str]:
    """Return metadata files that should be there, of living tables first, the newest first.

    Those of drops whose purge has begun are left out: they may be gone.
    """
    rows = tx.all(
        "SELECT metadata_location FROM tabulars t JOIN namespaces n ON n.id = t.namespace_id"
        " WHERE n.warehouse_id = ? ORDER BY t.updated_at DESC LIMIT ?",
        (warehouse_id, limit),
    )
    rows += tx.all(
        "SELECT metadata_location FROM dropped_tabulars"
        " WHERE warehouse_id = ? AND NOT (purge = 1 AND started_at IS NOT NULL)"
        " ORDER BY dropped_at DESC LIMIT ?",
        (warehouse_id, limit),
    )
    return [row[0] for row in rows]
