"""Rows of warehouses, and the store's id, which the marker of each warehouse contains."""

from dataclasses import dataclass

from falcon_catalog.store.database import Transaction


@dataclass(frozen=True, slots=True)
class WarehouseRow:
    """A warehouse as stored."""

    id: int
    marked_location: str | None
    """The location key of the folder that its marker was written to."""
    predates_markers: bool
    """Whether it was created by a version that wrote no markers."""


def ensure(tx: Transaction, name: str) -> int:
    """Return the id of a warehouse; add its row if it is new."""
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
    """Record that the marker of a warehouse was written."""
    tx.change("UPDATE warehouses SET marked_location = ? WHERE name = ?", (location_key, name))


def marked(tx: Transaction) -> list[tuple[str, str]]:
    """Return the name and location key of each warehouse whose marker was written."""
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
    """Set the id of a store, as the markers of its warehouses contain it."""
    tx.change("UPDATE store_identity SET store_id = ?", (store_id,))


def metadata_locations(tx: Transaction, warehouse_id: int, limit: int) -> list[str]:
    """Return metadata files that should exist: of living, then of dropped tables, newest first.

    Drops whose purge has begun are left out, since their files may have been deleted.
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
