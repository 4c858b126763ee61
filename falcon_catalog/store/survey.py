"""Rows of all warehouses, as backups, the doctor and relocation read them."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from falcon_catalog.identifiers import SEPARATOR, UNLIMITED, Namespace, TableIdentifier
from falcon_catalog.store.database import Transaction
from falcon_catalog.store.schema import TABLES
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
    " t.location_key, t.purge = 1 AND t.started_at IS NOT NULL"
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


def pointers(
    tx: Transaction, place: Place, *, after: int = 0, size: int = UNLIMITED
) -> list[Pointer]:
    """Return the pointers with ids above ``after``, ordered by id."""
    rows = tx.all(f"{_SELECT[place]} WHERE t.id > ? ORDER BY t.id LIMIT ?", (after, size))
    return [_pointer(place, row) for row in rows]


def all_pointers(tx: Transaction) -> list[Pointer]:
    """Return all pointers, the living ones first."""
    return [each for place in PLACES for each in pointers(tx, place)]


def pointer(tx: Transaction, place: Place, row_id: int) -> Pointer | None:
    """Return one pointer, or None; in a change its row is locked."""
    row = tx.one(f"{_SELECT[place]} WHERE t.id = ?{tx.row_lock('change', 't')}", (row_id,))
    return None if row is None else _pointer(place, row)


def _pointer(place: Place, row: tuple[Any, ...]) -> Pointer:
    row_id, warehouse, path, name, kind, uuid, location, key, purging = row
    identifier = TableIdentifier(Namespace.from_path(path), name)
    return Pointer(place, row_id, warehouse, identifier, kind, uuid, location, key, bool(purging))


def integrity_problems(tx: Transaction, most: int = 100) -> list[str]:
    """Return the problems that SQLite's integrity check finds, at most ``most``."""
    return [text for (text,) in tx.all(f"PRAGMA integrity_check({most})") if text != "ok"]


def broken_references(tx: Transaction) -> list[tuple[str, int, str]]:
    """Return table, id and referenced table of each row with a dangling foreign key."""
    rows = tx.all("PRAGMA foreign_key_check")
    return [(table, row_id, other) for table, row_id, other, _ in rows]


def journal_mode(tx: Transaction) -> str:
    """Return the journal mode of the database."""
    return str(tx.all("PRAGMA journal_mode")[0][0])


def location_keys(tx: Transaction) -> list[tuple[str, int]]:
    """Return location key and row id of all living tables and views.

    The folders that their properties name have the id with a minus.
    """
    return tx.all(
        "SELECT location_key, id FROM tabulars UNION ALL"
        " SELECT location_key, -tabular_id FROM paths WHERE tabular_id IS NOT NULL"
    )


def shared_uuids(tx: Transaction) -> list[tuple[str, int]]:
    """Return each uuid of a living row that other rows have, dropped or not, and their number."""
    return tx.all(
        "SELECT uuid, count(*) FROM (SELECT uuid, 1 AS lives FROM tabulars"
        " UNION ALL SELECT uuid, 0 FROM dropped_tabulars) AS every"
        " GROUP BY uuid HAVING count(*) > 1 AND sum(lives) > 0 ORDER BY uuid"
    )


def places_of(tx: Transaction, uuid: str) -> list[Pointer]:
    """Return all pointers with a uuid."""
    found = []
    for place, select in _SELECT.items():
        rows = tx.all(f"{select} WHERE t.uuid = ? ORDER BY t.id", (uuid,))
        found += [_pointer(place, row) for row in rows]
    return found


def counts(tx: Transaction, names: Iterable[str] = TABLES) -> dict[str, int]:
    """Return the number of rows in each table of the schema that is among the names."""
    known = sorted(set(names).intersection(TABLES))
    return {name: tx.all(f"SELECT count(*) FROM {name}")[0][0] for name in known}  # noqa: S608


def unnamed_warehouses(tx: Transaction, names: set[str]) -> list[str]:
    """Return the warehouses that have namespaces and are not among ``names``."""
    rows = tx.all(
        "SELECT name FROM warehouses w WHERE EXISTS"
        " (SELECT 1 FROM namespaces WHERE warehouse_id = w.id) ORDER BY name"
    )
    return [name for (name,) in rows if name not in names]


def misplaced_namespaces(tx: Transaction) -> list[str]:
    """Return namespaces whose path does not consist of their parent's path and their name."""
    rows = tx.all(
        "SELECT n.path FROM namespaces n LEFT JOIN namespaces p ON p.id = n.parent_id"  # noqa: S608
        " WHERE n.path <> CASE WHEN n.parent_id IS NULL THEN n.name"
        f" ELSE coalesce(p.path, '') || '{SEPARATOR}' || n.name END"
    )
    return [str(Namespace.from_path(path)) for (path,) in rows]


def documents(tx: Transaction) -> list[tuple[str, str, str]]:
    """Return kind, name and text of each JSON document in rows."""
    found = tx.all("SELECT 'properties of namespace', path, properties FROM namespaces")
    found += tx.all(
        f"SELECT 'function', n.path || '{SEPARATOR}' || f.name, f.metadata FROM functions f"  # noqa: S608
        " JOIN namespaces n ON n.id = f.namespace_id"
    )
    return [(what, str(Namespace.from_path(path)), text) for what, path, text in found]


def troubled_purges(tx: Transaction) -> list[tuple[int, str]]:
    """Return the ids of drops whose last purge failed, and the reason."""
    return tx.all("SELECT id, trouble FROM dropped_tabulars WHERE trouble IS NOT NULL ORDER BY id")


def overdue_drops(tx: Transaction, *, since: int) -> int:
    """Return the number of drops that were due before ``since`` and are not leased."""
    return _count(
        tx,
        "SELECT count(*) FROM dropped_tabulars"
        " WHERE expires_at <= ? AND coalesce(leased_until, 0) <= ?",
        (since, tx.now),
    )


def stuck_plans(tx: Transaction, *, since: int) -> int:
    """Return the number of submitted plans whose last lease ended before ``since``."""
    return _count(
        tx,
        "SELECT count(*) FROM plans WHERE status = 'submitted' AND lease_until <= ?"
        " AND expires_at > ?",
        (since, tx.now),
    )


def expired(tx: Transaction) -> dict[str, int]:
    """Return the number of expired rows in each table, if not 0."""
    sql = "SELECT count(*) FROM {} WHERE expires_at <= ?"
    found = {what: _count(tx, sql.format(what), (tx.now,)) for what in _EXPIRING}
    return {what: count for what, count in found.items() if count}


def delete_expired(tx: Transaction) -> dict[str, int]:
    """Delete expired rows; return their number in each table."""
    sql = "DELETE FROM {} WHERE expires_at <= ?"
    return {what: tx.change(sql.format(what), (tx.now,)) for what in _EXPIRING}


def postpone_purges(tx: Transaction, *, until: int) -> int:
    """Postpone all purges that would begin before ``until``; return their number."""
    return tx.change(
        "UPDATE dropped_tabulars SET expires_at = ?"
        " WHERE purge = 1 AND started_at IS NULL AND expires_at < ?",
        (until, until),
    )


_EXPIRING = ("idempotency_keys", "plans", "reservations")


def _count(tx: Transaction, sql: str, parameters: tuple[int, ...]) -> int:
    row = tx.one(sql, parameters)
    return 0 if row is None else int(row[0])


def warehouse_names(tx: Transaction) -> list[str]:
    """Return the names of all warehouses, ordered."""
    return [row[0] for row in tx.all("SELECT name FROM warehouses ORDER BY name")]


def names_in(tx: Transaction, warehouse: str, kind: str) -> list[str]:
    """Return the names of a warehouse's namespaces, tables, views or functions, with dots."""
    inside = "JOIN namespaces n ON n.id = t.namespace_id"
    columns, source = {
        "namespace": ("n.path", "namespaces n"),
        "table": ("n.path, t.name", f"tabulars t {inside} AND t.kind = 'table'"),
        "view": ("n.path, t.name", f"tabulars t {inside} AND t.kind = 'view'"),
        "function": ("n.path, t.name", f"functions t {inside}"),
    }[kind]
    rows = tx.all(
        f"SELECT {columns} FROM {source} JOIN warehouses w ON w.id = n.warehouse_id"  # noqa: S608
        " WHERE w.name = ?",
        (warehouse,),
    )
    return [".".join([*path.split(SEPARATOR), *rest]) for path, *rest in rows]
