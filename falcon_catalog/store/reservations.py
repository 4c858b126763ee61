"""Rows of the folders of staged tables: reserved for the creator until the commit."""

from collections.abc import Collection
from dataclasses import dataclass

from falcon_catalog.identifiers import Namespace
from falcon_catalog.locations import ancestors
from falcon_catalog.store.database import Transaction

_KEPT = (
    "SELECT r.id, r.location_key, r.expires_at, n.warehouse_id, n.path FROM reservations r"
    " LEFT JOIN namespaces n ON n.id = r.namespace_id WHERE r.expires_at > ?"
)


@dataclass(frozen=True, slots=True)
class Reservation:
    """A folder that is kept for the principal that staged a table there."""

    id: int
    location_key: str
    expires_at: int
    """Milliseconds since 1970-01-01 UTC."""
    warehouse_id: int | None
    namespace_path: str | None
    """Of the staged table, if its properties name the folder; None for its location."""

    @property
    def namespace(self) -> Namespace | None:
        """Principals with ``write`` on it may share the folder; None: no other principal may."""
        return None if self.namespace_path is None else Namespace.from_path(self.namespace_path)


def add(
    tx: Transaction,
    principal_id: int,
    location_keys: Collection[str],
    *,
    namespace_id: int | None,
    lifetime_ms: int,
) -> None:
    """Keep folders for a principal, and those who may write in a namespace; forget what is over."""
    tx.change("DELETE FROM reservations WHERE expires_at <= ?", (tx.now,))
    for location_key in location_keys:
        # What is a location and named by properties, or is of two namespaces, is not shared.
        tx.change(
            "INSERT INTO reservations (location_key, principal_id, namespace_id, expires_at)"
            " VALUES (?, ?, ?, ?) ON CONFLICT (location_key, principal_id) DO UPDATE SET"
            " expires_at = excluded.expires_at, namespace_id ="
            " CASE WHEN reservations.namespace_id = excluded.namespace_id"
            " THEN excluded.namespace_id END",
            (location_key, principal_id, namespace_id, tx.now + lifetime_ms),
        )


def overlapping(
    tx: Transaction, location_key: str, *, besides: int | None = None
) -> list[Reservation]:
    """Return the folders at, around or inside ``location_key`` that are kept.

    Those of the principal ``besides`` do not count. In a change, ``tabulars.overlapping`` must have
    been called before: it holds the location.
    """
    around = ancestors(location_key)
    marks = ",".join("?" * len(around))
    # Two searches, as in ``tabulars.overlapping``; '0' follows '/'.
    found = f"{_KEPT} AND (r.principal_id IS NULL OR r.principal_id <> ?) AND r.location_key"
    given = tx.now, besides or 0
    rows = tx.all(
        f"{found} >= ? AND r.location_key < ? UNION ALL {found} IN ({marks})",
        (*given, location_key, location_key[:-1] + "0", *given, *around),
    )
    return [Reservation(*row) for row in rows]


def running(tx: Transaction) -> list[Reservation]:
    """Return all that are not over, by their folders."""
    rows = tx.all(f"{_KEPT} ORDER BY r.location_key, r.id", (tx.now,))
    return [Reservation(*row) for row in rows]


def end(tx: Transaction, principal_id: int, location_keys: Collection[str]) -> None:
    """Forget the folders of a principal's table that is staged no longer."""
    marks = ",".join("?" * len(location_keys))
    tx.change(
        f"DELETE FROM reservations WHERE principal_id = ? AND location_key IN ({marks})",  # noqa: S608
        (principal_id, *location_keys),
    )


def delete(tx: Transaction, reservation_id: int) -> None:
    """Give a folder back before its time."""
    tx.change("DELETE FROM reservations WHERE id = ?", (reservation_id,))
