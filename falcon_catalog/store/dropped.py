"""Rows of dropped tables and views, which can be undropped or are waiting for their purge."""

from dataclasses import dataclass

from falcon_catalog.identifiers import Namespace, Page, TableIdentifier
from falcon_catalog.locations import ancestors
from falcon_catalog.store.database import Transaction
from falcon_catalog.store.tabulars import Kind, TabularRow

_COLUMNS = (
    "id, namespace_path, name, kind, uuid, metadata_location, location_key, purge,"
    " dropped_at, expires_at, started_at, trouble, emptied_at"
)


_LAST_ID = 2**63 - 1


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
    """When its purge began, after which it cannot be undropped."""
    trouble: str | None
    """Why the last attempt to purge it failed."""
    emptied_at: int | None
    """When all files except the metadata file had been deleted; only then may that be missing."""

    @property
    def identifier(self) -> TableIdentifier:
        """Its name when it was dropped."""
        return TableIdentifier(Namespace.from_path(self.namespace_path), self.name)


def insert(
    tx: Transaction,
    warehouse_id: int,
    identifier: TableIdentifier,
    row: TabularRow,
    *,
    purge: bool,
    retention_ms: int,
) -> int:
    """Add a table or view that is being dropped; return its id."""
    row_of_drop = tx.one(
        "INSERT INTO dropped_tabulars (warehouse_id, namespace_path, name, kind, uuid,"
        " metadata_location, location_key, purge, dropped_at, expires_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
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
    if row_of_drop is None:
        raise LookupError("dropped_tabulars")
    return int(row_of_drop[0])


def find(tx: Transaction, warehouse_id: int, dropped_id: int) -> DroppedRow | None:
    """Return a dropped table or view by its id, or None; in a change it is locked."""
    if not 0 < dropped_id <= _LAST_ID:
        return None  # more than 64 bits are no parameter for SQLite
    row = tx.one(
        f"SELECT {_COLUMNS} FROM dropped_tabulars"  # noqa: S608
        f" WHERE warehouse_id = ? AND id = ?{tx.row_lock('change')}",
        (warehouse_id, dropped_id),
    )
    return None if row is None else DroppedRow(*row)


def newest(tx: Transaction, warehouse_id: int, identifier: TableIdentifier) -> DroppedRow | None:
    """Return the table of this name that was dropped last, or None."""
    row = tx.one(
        f"SELECT {_COLUMNS} FROM dropped_tabulars WHERE warehouse_id = ? AND namespace_path = ?"  # noqa: S608
        " AND name = ? AND kind = 'table' ORDER BY id DESC LIMIT 1",
        (warehouse_id, identifier.namespace.path, identifier.name),
    )
    return None if row is None else DroppedRow(*row)


def list_(tx: Transaction, warehouse_id: int, page: Page) -> list[DroppedRow]:
    """Return dropped tables and views, the oldest drop first."""
    rows = tx.all(
        f"SELECT {_COLUMNS} FROM dropped_tabulars WHERE warehouse_id = ? AND id > ?"  # noqa: S608
        " ORDER BY id LIMIT ?",
        (warehouse_id, page.after_id, page.size),
    )
    return [DroppedRow(*row) for row in rows]


@dataclass(frozen=True, slots=True)
class Sums:
    """Numbers of the dropped tables and views of a warehouse."""

    count: int
    oldest_ms: int
    """Age of the oldest drop, in milliseconds; 0 if there is none."""
    troubled: int
    """Drops whose last purge failed."""


def sums(tx: Transaction, warehouse_id: int) -> Sums:
    """Return the numbers of a warehouse's dropped tables and views."""
    row = tx.one(
        "SELECT count(*), min(dropped_at), count(trouble) FROM dropped_tabulars"
        " WHERE warehouse_id = ?",
        (warehouse_id,),
    )
    count, oldest, troubled = row or (0, None, 0)
    return Sums(count, max(0, tx.now - oldest) if oldest is not None else 0, troubled)


def delete(tx: Transaction, dropped_id: int) -> None:
    """Remove the row of a dropped table or view."""
    tx.change("DELETE FROM dropped_tabulars WHERE id = ?", (dropped_id,))


def of_uuid(tx: Transaction, warehouse_id: int, uuid: str) -> list[DroppedRow]:
    """Return the drops of a table or view whose purge has not begun."""
    rows = tx.all(
        f"SELECT {_COLUMNS} FROM dropped_tabulars"  # noqa: S608
        f" WHERE warehouse_id = ? AND uuid = ? AND started_at IS NULL{tx.row_lock('change')}",
        (warehouse_id, uuid),
    )
    return [DroppedRow(*row) for row in rows]


def forget_uuid(tx: Transaction, warehouse_id: int, uuid: str) -> None:
    """Remove the drops of a table that is registered again, since its files are in use."""
    tx.change(
        "DELETE FROM dropped_tabulars WHERE warehouse_id = ? AND uuid = ? AND started_at IS NULL",
        (warehouse_id, uuid),
    )


def is_being_purged(tx: Transaction, uuid: str) -> bool:
    """Return whether the files of a dropped table of any warehouse are being deleted."""
    row = tx.one(
        "SELECT 1 FROM dropped_tabulars"
        " WHERE uuid = ? AND purge = 1 AND started_at IS NOT NULL LIMIT 1",
        (uuid,),
    )
    return row is not None


def take_due(tx: Transaction, warehouse_id: int, *, lease_ms: int) -> DroppedRow | None:
    """Lease the next drop whose retention is over; None if all are leased or protected."""
    row = tx.one(
        "UPDATE dropped_tabulars SET started_at = coalesce(started_at, ?), leased_until = ?"  # noqa: S608
        " WHERE id = (SELECT id FROM dropped_tabulars WHERE warehouse_id = ?"
        "  AND protected = 0 AND expires_at <= ? AND coalesce(leased_until, 0) <= ?"
        "  ORDER BY expires_at LIMIT 1"
        f"  {tx.row_lock('skip')})"
        f" RETURNING {_COLUMNS}",
        (tx.now, tx.now + lease_ms, warehouse_id, tx.now, tx.now),
    )
    return None if row is None else DroppedRow(*row)


def take(tx: Transaction, dropped_id: int, *, lease_ms: int) -> DroppedRow | None:
    """Lease one drop, whatever its retention, for a purge; None if it is leased already."""
    row = tx.one(
        "UPDATE dropped_tabulars SET purge = 1,"  # noqa: S608
        " expires_at = CASE WHEN expires_at < ? THEN expires_at ELSE ? END,"
        " started_at = coalesce(started_at, ?), leased_until = ?"
        f" WHERE id = ? AND coalesce(leased_until, 0) <= ? RETURNING {_COLUMNS}",
        (tx.now, tx.now, tx.now, tx.now + lease_ms, dropped_id, tx.now),
    )
    return None if row is None else DroppedRow(*row)


def overlapping(tx: Transaction, warehouse_id: int, location_key: str) -> list[DroppedRow]:
    """Return the dropped tables and views with a location or path at, around or inside another."""
    lies, places = _lies_at(location_key)
    rows = tx.all(
        f"SELECT {_COLUMNS} FROM dropped_tabulars WHERE warehouse_id = ? AND {lies}",  # noqa: S608
        (warehouse_id, *places),
    )
    return [DroppedRow(*row) for row in rows]


def overlap_elsewhere(tx: Transaction, warehouse_id: int, location_key: str) -> bool:
    """Return whether a drop of another warehouse has a location or path that overlaps another."""
    lies, places = _lies_at(location_key)
    row = tx.one(
        f"SELECT 1 FROM dropped_tabulars WHERE warehouse_id <> ? AND {lies} LIMIT 1",  # noqa: S608
        (warehouse_id, *places),
    )
    return row is not None


def _lies_at(location_key: str) -> tuple[str, tuple[str, ...]]:
    """Return the condition that a drop overlaps a location, and its parameters."""
    around = ancestors(location_key)
    here = "location_key >= ? AND location_key < ?"
    outside = f"location_key IN ({','.join('?' * len(around))})"
    places = (location_key, location_key[:-1] + "0", *around)
    named = (
        "SELECT dropped_id FROM paths WHERE dropped_id IS NOT NULL"  # noqa: S608 - only marks
        f" AND (({here}) OR {outside})"
    )
    return f"(({here}) OR {outside} OR id IN ({named}))", places * 2


def any_inside(tx: Transaction, location_key: str, *, besides: int) -> bool:
    """Return whether another dropped table or view lies in the folder ``location_key``."""
    row = tx.one(
        "SELECT 1 FROM dropped_tabulars"
        " WHERE id != ? AND location_key >= ? AND location_key < ? LIMIT 1",
        # '0' follows '/', so this range contains everything below the folder.
        (besides, location_key, location_key[:-1] + "0"),
    )
    return row is not None


def postpone(tx: Transaction, dropped_id: int, *, delay_ms: int, trouble: str) -> None:
    """Postpone a purge that failed."""
    tx.change(
        "UPDATE dropped_tabulars SET leased_until = ?, trouble = ? WHERE id = ?",
        (tx.now + delay_ms, trouble, dropped_id),
    )


def note_emptied(tx: Transaction, dropped_id: int) -> None:
    """Record that a purge has deleted all files except the metadata file."""
    tx.change(
        "UPDATE dropped_tabulars SET emptied_at = coalesce(emptied_at, ?) WHERE id = ?",
        (tx.now, dropped_id),
    )


def renew(tx: Transaction, dropped_id: int, *, lease_ms: int) -> None:
    """Renew the lease of a purge in progress."""
    tx.change(
        "UPDATE dropped_tabulars SET leased_until = ? WHERE id = ?", (tx.now + lease_ms, dropped_id)
    )
