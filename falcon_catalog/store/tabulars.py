"""Rows of tables and views: names, and the metadata files they point at."""

from typing import Literal, NamedTuple

from falcon_catalog.identifiers import Namespace, Page, TableIdentifier
from falcon_catalog.locations import ancestors
from falcon_catalog.store.database import Transaction
from falcon_catalog.store.paging import page_of

Kind = Literal["table", "view"]

_NAMED = (
    "FROM paths p JOIN tabulars t ON t.id = p.tabular_id JOIN namespaces n ON n.id = t.namespace_id"
    " WHERE t.kind = ? AND t.id <> ? AND p.location_key"
)


class TabularRow(NamedTuple):
    """A table or view as stored."""

    id: int
    kind: Kind
    uuid: str
    metadata_location: str
    location_key: str
    created_at: int
    """Milliseconds since 1970-01-01 UTC."""


def find(
    tx: Transaction, warehouse_id: int, identifier: TableIdentifier, *, lock: bool = False
) -> TabularRow | None:
    """Return the row of a table or view, or None; ``lock`` it for a change that relies on it."""
    row = tx.one(
        "SELECT t.id, t.kind, t.uuid, t.metadata_location, t.location_key, t.created_at"  # noqa: S608
        " FROM namespaces n JOIN tabulars t ON t.namespace_id = n.id"
        " WHERE n.warehouse_id = ? AND n.path = ? AND t.name = ?"
        f"{tx.row_lock('change', 't') if lock else ''}",
        (warehouse_id, identifier.namespace.path, identifier.name),
    )
    return None if row is None else TabularRow._make(row)


def names(
    tx: Transaction, namespace_id: int, kind: Kind, page: Page, only: list[int] | None = None
) -> list[str]:
    """Return the names of one kind in a namespace, ordered; with ``only``, of these ids."""
    rows = page_of(
        tx,
        "SELECT name FROM tabulars WHERE {of}namespace_id = ? AND kind = ? AND name > ?{only}"
        " ORDER BY name LIMIT ?",
        (namespace_id, kind, page.after or ""),
        page,
        only,
    )
    return [row[0] for row in rows]


def count(tx: Transaction, namespace_id: int) -> int:
    """Return how many tables and views a namespace has."""
    row = tx.one("SELECT count(*) FROM tabulars WHERE namespace_id = ?", (namespace_id,))
    return 0 if row is None else int(row[0])


def insert(
    tx: Transaction,
    namespace_id: int,
    name: str,
    *,
    kind: Kind,
    uuid: str,
    metadata_location: str,
    location_key: str,
) -> int | None:
    """Add a table or view; return its id, or None if the name is taken."""
    row = tx.one(
        "INSERT INTO tabulars (namespace_id, name, kind, uuid, metadata_location,"
        " location_key, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (namespace_id, name) DO NOTHING RETURNING id",
        (namespace_id, name, kind, uuid, metadata_location, location_key, tx.now, tx.now),
    )
    return None if row is None else int(row[0])


def swap(
    tx: Transaction,
    warehouse_id: int,
    identifier: TableIdentifier,
    tabular_id: int,
    *,
    old: str,
    new: str,
    location_key: str | None,
    uuid: str,
) -> bool:
    """Point at ``new`` if ``old`` is still the pointer: the compare-and-swap of a commit.

    The name must be the same, too: what was renamed meanwhile is no longer what was asked for.
    ``location_key`` is None if it stays: its index need not be written then.
    """
    moved = () if location_key is None else (location_key,)
    changed = tx.change(
        f"UPDATE tabulars SET {'location_key = ?, ' if moved else ''}"  # noqa: S608 - only marks
        "metadata_location = ?, uuid = ?, updated_at = ?"
        " WHERE id = ? AND metadata_location = ? AND name = ? AND namespace_id ="
        " (SELECT id FROM namespaces WHERE warehouse_id = ? AND path = ?)",
        (
            *moved,
            *(new, uuid, tx.now, tabular_id, old),
            *(identifier.name, warehouse_id, identifier.namespace.path),
        ),
    )
    return changed == 1


def repoint(tx: Transaction, tabular_id: int, metadata_location: str, location_key: str) -> None:
    """Point at another metadata file; the caller has checked the pointer in this transaction."""
    tx.change(
        "UPDATE tabulars SET metadata_location = ?, location_key = ?, updated_at = ? WHERE id = ?",
        (metadata_location, location_key, tx.now, tabular_id),
    )


def reserve(tx: Transaction, namespace_id: int, name: str) -> None:
    """Hold a name, so that it stays free until COMMIT if it is found free after this."""
    tx.hold(f"{namespace_id}/{name}")


def move(tx: Transaction, tabular_id: int, namespace_id: int, name: str) -> None:
    """Rename a table or view; the caller has checked that the name is free."""
    tx.change(
        "UPDATE tabulars SET namespace_id = ?, name = ?, updated_at = ? WHERE id = ?",
        (namespace_id, name, tx.now, tabular_id),
    )


def delete(tx: Transaction, tabular_id: int) -> None:
    """Remove a table's or view's row. Its files stay."""
    tx.change("DELETE FROM tabulars WHERE id = ?", (tabular_id,))


def location_keys(tx: Transaction) -> list[str]:
    """Return the location keys of all tables and views, of all warehouses."""
    return [row[0] for row in tx.all("SELECT location_key FROM tabulars")]


def is_shared(tx: Transaction, uuid: str) -> bool:
    """Return whether more than one table or view has a uuid, dropped ones included."""
    row = tx.one(
        "SELECT (SELECT count(*) FROM tabulars WHERE uuid = ?)"
        " + (SELECT count(*) FROM dropped_tabulars WHERE uuid = ?)",
        (uuid, uuid),
    )
    return row is not None and row[0] > 1


def enclosing(tx: Transaction, location_key: str) -> str | None:
    """Return the key of a table's location or path at or around another; views do not count."""
    around = [*ancestors(location_key), location_key]
    marks = ",".join("?" * len(around))
    row = tx.one(
        "SELECT location_key FROM tabulars WHERE kind = 'table'"  # noqa: S608 - only marks
        f" AND location_key IN ({marks})"
        " UNION ALL SELECT p.location_key FROM paths p JOIN tabulars t ON t.id = p.tabular_id"
        f" WHERE t.kind = 'table' AND p.location_key IN ({marks}) LIMIT 1",
        (*around, *around),
    )
    return None if row is None else str(row[0])


def overlapping(
    tx: Transaction,
    location_key: str,
    *,
    besides: int | None,
    kind: Kind = "table",
    paths: bool = True,
) -> str | None:
    """Return the key of another table's, or view's, location at, around or inside ``location_key``.

    With ``paths`` the folders that properties of the others name count like locations. In a change
    no other one can put anything there until COMMIT.
    """
    around = ancestors(location_key)
    tx.hold(location_key, around=around)
    marks = ",".join("?" * len(around))
    # Two searches: for both conditions in one PostgreSQL reads all rows, because it expects to find
    # one soon.
    found = "SELECT location_key FROM tabulars WHERE kind = ? AND id <> ? AND location_key"
    # '0' follows '/', so this range contains the key and everything below it.
    given = (
        *(kind, besides or 0, location_key, location_key[:-1] + "0"),
        *(kind, besides or 0, *around),
    )
    sql = f"{found} >= ? AND location_key < ? UNION ALL {found} IN ({marks})"
    if paths:
        named = f"SELECT p.location_key {_NAMED}"
        sql += f" UNION ALL {named} >= ? AND p.location_key < ? UNION ALL {named} IN ({marks})"
    row = tx.one(f"{sql} LIMIT 1", given * 2 if paths else given)
    return None if row is None else str(row[0])


def sharing(
    tx: Transaction, location_key: str, *, besides: int | None, kind: Kind = "table"
) -> list[tuple[int, TableIdentifier]]:
    """Return the others with a property that names a folder at, around or inside a location.

    Each has its warehouse's id and its name.
    """
    around = ancestors(location_key)
    marks = ",".join("?" * len(around))
    of = f"SELECT n.warehouse_id, n.path, t.name {_NAMED}"
    rows = tx.all(
        f"{of} >= ? AND p.location_key < ? UNION {of} IN ({marks})",
        (
            *(kind, besides or 0, location_key, location_key[:-1] + "0"),
            *(kind, besides or 0, *around),
        ),
    )
    return [
        (warehouse_id, TableIdentifier(Namespace.from_path(path), name))
        for warehouse_id, path, name in rows
    ]
