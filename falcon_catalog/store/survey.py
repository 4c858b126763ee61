"""Rows of all warehouses, read for their own sake: to back them up and to check them."""

from dataclasses import dataclass
from typing import Any, Literal

from falcon_catalog.identifiers import Namespace, TableIdentifier
from falcon_catalog.store.database import Transaction
from falcon_catalog.store.tabulars import Kind

Place = Literal["living", "dropped"]
PLACES: tuple[Place, ...] = ("living", "dropped")

_LIVING = (
    "SELECT t.id, w.name, n.path, t.name, t.kind, t.uuid, t.metadata_location, t.location_key, 0"
    " FROM tabulars t JOIN namespaces n ON n.id = t.namespace_id"
    " JOIN warehouses w ON w.id = n.warehouse_id"
)
_DROPPED = (
    "SELECT t.id, w.name, t.namespace_path, t.name, t.kind, t.uuid, t.metadata_location,"
    " t.location_key, t.purge AND t.started_at IS NOT NULL"
    " FROM dropped_tabulars t JOIN warehouses w ON w.id = t.warehouse_id"
)
_SELECT: dict[Place, str] = {"living": _LIVING, "dropped": _DROPPED}


@dataclass(frozen=True, slots=True)
class Pointer:
    """A table or view, living or dropped, and the metadata file that its row names."""

    place: Place
    id: int
    warehouse: str
    identifier: TableIdentifier
    kind: Kind
    uuid: str
    metadata_location: str
    location_key: str
    purging: bool
    """Whether its files are being deleted."""

    def __str__(self) -> str:
        dropped = "dropped " if self.place == "dropped" else ""
        return f"{dropped}{self.kind} {self.warehouse}:{self.identifier}"


def pointers(tx: Transaction, place: Place, *, after: int = 0, size: int = -1) -> list[Pointer]:
    """Return the pointers with ids above ``after``, ordered by id."""
    rows = tx.all(f"{_SELECT[place]} WHERE t.id > ? ORDER BY t.id LIMIT ?", (after, size))
    return [_pointer(place, row) for row in rows]


def all_pointers(tx: Transaction) -> list[Pointer]:
    """Return all pointers, the living ones first."""
    return [each for place in PLACES for each in pointers(tx, place)]


def pointer(tx: Transaction, place: Place, row_id: int) -> Pointer | None:
    """Return one pointer, or None."""
    row = tx.one(f"{_SELECT[place]} WHERE t.id = ?", (row_id,))
    return None if row is None else _pointer(place, row)


def _pointer(place: Place, row: tuple[Any, ...]) -> Pointer:
    row_id, warehouse, path, name, kind, uuid, metadata_location, location_key, purging = row
    return Pointer(
        place=place,
        id=row_id,
        warehouse=warehouse,
        identifier=TableIdentifier(Namespace.from_path(path), name),
        kind=kind,
        uuid=uuid,
        metadata_location=metadata_location,
        location_key=location_key,
        purging=bool(purging),
    )


def integrity_problems(tx: Transaction, most: int = 100) -> list[str]:
    """Return what SQLite finds wrong with its own file, at most so many problems."""
    return [text for (text,) in tx.all(f"PRAGMA integrity_check({most})") if text != "ok"]


def broken_references(tx: Transaction) -> list[tuple[str, int, str]]:
    """Return each row that names a row that is not there: its table, its id, the other table."""
    rows = tx.all("PRAGMA foreign_key_check")
    return [(table, row_id, other) for table, row_id, other, _ in rows]


def journal_mode(tx: Transaction) -> str:
    """Return how the database keeps its log."""
    return str(tx.all("PRAGMA journal_mode")[0][0])


def location_keys(tx: Transaction) -> list[tuple[str, int]]:
    """Return the location keys of all that lives, ordered, each with its row's id."""
    return tx.all("SELECT location_key, id FROM tabulars ORDER BY location_key, id")


def shared_uuids(tx: Transaction) -> list[tuple[str, int]]:
    """Return each uuid that several rows have, and how many; drops count beside what lives."""
    return tx.all(
        "SELECT uuid, count(*) FROM (SELECT uuid, 1 AS lives FROM tabulars"
        " UNION ALL SELECT uuid, 0 FROM dropped_tabulars)"
        " GROUP BY uuid HAVING count(*) > 1 AND sum(lives) > 0 ORDER BY uuid"
    )


def places_of(tx: Transaction, uuid: str) -> list[Pointer]:
    """Return all that has a uuid."""
    found = []
    for place, select in _SELECT.items():
        rows = tx.all(f"{select} WHERE t.uuid = ? ORDER BY t.id", (uuid,))
        found += [_pointer(place, row) for row in rows]
    return found


def counts(tx: Transaction) -> dict[str, int]:
    """Count the rows of each table of the schema."""
    tables = tx.all(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT GLOB 'sqlite_*'"
        " AND name NOT GLOB '_sqlite_*' ORDER BY name"
    )
    return {name: tx.all(f'SELECT count(*) FROM "{name}"')[0][0] for (name,) in tables}  # noqa: S608


def unnamed_warehouses(tx: Transaction, names: set[str]) -> list[str]:
    """Return the warehouses that are not among ``names`` and have something in them."""
    rows = tx.all(
        "SELECT name FROM warehouses w WHERE EXISTS"
        " (SELECT 1 FROM namespaces WHERE warehouse_id = w.id) ORDER BY name"
    )
    return [name for (name,) in rows if name not in names]


def misplaced_namespaces(tx: Transaction) -> list[str]:
    """Return the paths of namespaces whose path is not that of their parent and their name."""
    rows = tx.all(
        "SELECT n.path FROM namespaces n LEFT JOIN namespaces p ON p.id = n.parent_id WHERE n.path"
        " IS NOT CASE WHEN n.parent_id IS NULL THEN n.name ELSE p.path || char(31) || n.name END"
    )
    return [str(Namespace.from_path(path)) for (path,) in rows]


def documents(tx: Transaction) -> list[tuple[str, str, str]]:
    """Return what is kept as JSON in rows: what it is, its name, its text."""
    found = tx.all("SELECT 'properties of namespace', path, properties FROM namespaces")
    found += tx.all(
        "SELECT 'function', n.path || char(31) || f.name, f.metadata FROM functions f"
        " JOIN namespaces n ON n.id = f.namespace_id"
    )
    return [(what, str(Namespace.from_path(path)), text) for what, path, text in found]


def troubled_purges(tx: Transaction) -> list[tuple[int, str]]:
    """Return the ids of drops whose purge ran into trouble, and the trouble."""
    return tx.all("SELECT id, trouble FROM dropped_tabulars WHERE trouble IS NOT NULL ORDER BY id")


def overdue_drops(tx: Transaction, *, since: int) -> int:
    """Count the drops that were due before ``since`` and that nobody works on."""
    return _count(
        tx,
        "SELECT count(*) FROM dropped_tabulars"
        " WHERE expires_at <= ? AND coalesce(leased_until, 0) <= ?",
        (since, tx.now),
    )


def stuck_plans(tx: Transaction, *, since: int) -> int:
    """Count the plans that a client may wait for and nobody has worked on since a time."""
    return _count(
        tx,
        "SELECT count(*) FROM plans WHERE status = 'submitted' AND lease_until <= ?"
        " AND expires_at > ?",
        (since, tx.now),
    )


def expired(tx: Transaction) -> dict[str, int]:
    """Count the rows that count as not there any more."""
    sql = "SELECT count(*) FROM {} WHERE expires_at <= ?"
    found = {what: _count(tx, sql.format(what), (tx.now,)) for what in _EXPIRING}
    return {what: count for what, count in found.items() if count}


def delete_expired(tx: Transaction) -> dict[str, int]:
    """Delete them; return how many of each."""
    sql = "DELETE FROM {} WHERE expires_at <= ?"
    return {what: tx.change(sql.format(what), (tx.now,)) for what in _EXPIRING}


def postpone_purges(tx: Transaction, *, until: int) -> int:
    """Let no purge begin before a time; return how many would have."""
    return tx.change(
        "UPDATE dropped_tabulars SET expires_at = ?"
        " WHERE purge = 1 AND started_at IS NULL AND expires_at < ?",
        (until, until),
    )


_EXPIRING = ("idempotency_keys", "plans")


def _count(tx: Transaction, sql: str, parameters: tuple[int, ...]) -> int:
    row = tx.one(sql, parameters)
    return 0 if row is None else int(row[0])
