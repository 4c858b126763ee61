"""Rows of dropped tables and views: what can still be undropped, and what is to be purged."""

from dataclasses import dataclass

from falcon_catalog.identifiers import Namespace, Page, TableIdentifier
from falcon_catalog.store.database import Transaction
from falcon_catalog.store.tabulars import Kind, TabularRow

_COLUMNS = (
    "id, namespace_path, name, kind, uuid, metadata_location, location_key, purge,"
    " dropped_at, expires_at, started_at, trouble, emptied_at"
)


@dataclass(frozen=True, slots=True)
class DroppedRow:
    """A dropped table or view; times are milliseconds since 1970-01-01 UTC."""

    id: int
    namespace_path: str
    name: str
    kind: Kind
    uuid: str
    metadata_location: str
    location_key: str
    purge: int
    dropped_at: int
    expires_at: int
    started_at: int | None
    """When its purge began; from then on it cannot be undropped."""
    trouble: str | None
    """Why the last attempt to purge it ended early."""
    emptied_at: int | None
    """When every file but its metadata file was deleted; only then may that be missing."""

    @property
    def identifier(self) -> TableIdentifier:
        """The name it had."""
        return TableIdentifier(Namespace.from_path(self.namespace_path), self.name)


def insert(
    tx: Transaction,
    warehouse_id: int,
    identifier: TableIdentifier,
    row: TabularRow,
    *,
    purge: bool,
    retention_ms: int,
) -> None:
    """Remember a table or view that is being dropped."""
    tx.change(
        "INSERT INTO dropped_tabulars (warehouse_id, namespace_path, name, kind, uuid,"
        " metadata_location, location_key, purge, dropped_at, expires_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            warehouse_id,
            identifier.namespace.path,
            identifier.name,
            row.kind,
            row.uuid,
            row.metadata_location,
            row.location_key,
            int(purge),
            tx.now,
            tx.now + retention_ms,
        ),
    )


def find(tx: Transaction, warehouse_id: int, dropped_id: int) -> DroppedRow | None:
    """Return one of them, or None."""
    row = tx.one(
        f"SELECT {_COLUMNS} FROM dropped_tabulars WHERE warehouse_id = ? AND id = ?",  # noqa: S608
        (warehouse_id, dropped_id),
    )
    return None if row is None else DroppedRow(*row)


def list_(tx: Transaction, warehouse_id: int, page: Page) -> list[DroppedRow]:
    """Return the dropped, oldest drop first; ``page.after`` is an id as text."""
    rows = tx.all(
        f"SELECT {_COLUMNS} FROM dropped_tabulars WHERE warehouse_id = ? AND id > ?"  # noqa: S608
        " ORDER BY id LIMIT ?",
        (warehouse_id, int(page.after or 0), page.size),
    )
    return [DroppedRow(*row) for row in rows]


@dataclass(frozen=True, slots=True)
class Sums:
    """What was dropped in one warehouse and is still known, in numbers."""

    count: int
    oldest_ms: int
    """Milliseconds since the oldest of it was dropped; 0 if there is none."""
    troubled: int
    """How many could not be purged so far."""


def sums(tx: Transaction, warehouse_id: int) -> Sums:
    """Count what was dropped and is still known."""
    row = tx.one(
        "SELECT count(*), min(dropped_at), count(trouble) FROM dropped_tabulars"
        " WHERE warehouse_id = ?",
        (warehouse_id,),
    )
    count, oldest, troubled = row or (0, None, 0)
    return Sums(count, max(0, tx.now - oldest) if oldest is not None else 0, troubled)


def delete(tx: Transaction, dropped_id: int) -> None:
    """Forget a dropped table or view: it came back, or its time is over."""
    tx.change("DELETE FROM dropped_tabulars WHERE id = ?", (dropped_id,))


def forget_uuid(tx: Transaction, warehouse_id: int, uuid: str) -> None:
    """Forget the drops of a table that is registered again: its files are in use."""
    tx.change(
        "DELETE FROM dropped_tabulars WHERE warehouse_id = ? AND uuid = ? AND started_at IS NULL",
        (warehouse_id, uuid),
    )


def is_being_purged(tx: Transaction, uuid: str) -> bool:
    """Tell whether the files of a dropped table, in any warehouse, are being deleted."""
    row = tx.one(
        "SELECT 1 FROM dropped_tabulars"
        " WHERE uuid = ? AND purge = 1 AND started_at IS NOT NULL LIMIT 1",
        (uuid,),
    )
    return row is not None


def take_due(tx: Transaction, warehouse_id: int, *, lease_ms: int) -> DroppedRow | None:
    """Take the next one whose time is over, for nobody else to take while the lease runs."""
    row = tx.one(
        "UPDATE dropped_tabulars SET started_at = coalesce(started_at, ?), leased_until = ?"  # noqa: S608
        " WHERE id = (SELECT id FROM dropped_tabulars WHERE warehouse_id = ?"
        "  AND expires_at <= ? AND coalesce(leased_until, 0) <= ? ORDER BY expires_at LIMIT 1)"
        f" RETURNING {_COLUMNS}",
        (tx.now, tx.now + lease_ms, warehouse_id, tx.now, tx.now),
    )
    return None if row is None else DroppedRow(*row)


def postpone(tx: Transaction, dropped_id: int, *, delay_ms: int, trouble: str) -> None:
    """Put off a purge that ran into trouble."""
    tx.change(
        "UPDATE dropped_tabulars SET leased_until = ?, trouble = ? WHERE id = ?",
        (tx.now + delay_ms, trouble, dropped_id),
    )


def note_emptied(tx: Transaction, dropped_id: int) -> None:
    """Remember that a purge has deleted every file but the metadata file."""
    tx.change(
        "UPDATE dropped_tabulars SET emptied_at = coalesce(emptied_at, ?) WHERE id = ?",
        (tx.now, dropped_id),
    )


def renew(tx: Transaction, dropped_id: int, *, lease_ms: int) -> None:
    """Keep a purge that is going well from being taken up by somebody else."""
    tx.change(
        "UPDATE dropped_tabulars SET leased_until = ? WHERE id = ?", (tx.now + lease_ms, dropped_id)
    )
