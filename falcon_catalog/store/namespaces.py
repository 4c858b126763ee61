"""Rows of namespaces."""

from dataclasses import dataclass

import orjson

from falcon_catalog.identifiers import Namespace, Page
from falcon_catalog.store.database import Lock, Transaction


@dataclass(frozen=True, slots=True)
class NamespaceRow:
    """A namespace as stored."""

    id: int
    namespace: Namespace
    properties: dict[str, str]


def find(
    tx: Transaction, warehouse_id: int, namespace: Namespace, lock: Lock = "share"
) -> NamespaceRow | None:
    """Return the namespace's row, or None; in a change it stays as it is until COMMIT.

    What a change puts into a namespace needs it; one that changes or removes it must ask for that
    ``lock``, and waits for those that put something into it.
    """
    row = tx.one(
        "SELECT id, properties FROM namespaces WHERE warehouse_id = ? AND path = ?"  # noqa: S608
        f"{tx.row_lock(lock)}",
        (warehouse_id, namespace.path),
    )
    return None if row is None else NamespaceRow(row[0], namespace, orjson.loads(row[1]))


def insert(
    tx: Transaction,
    warehouse_id: int,
    namespace: Namespace,
    *,
    parent_id: int | None,
    properties: dict[str, str],
) -> bool:
    """Add a namespace; return False if it exists."""
    return bool(
        tx.change(
            "INSERT INTO namespaces (warehouse_id, parent_id, path, name, properties,"
            " created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (warehouse_id, path) DO NOTHING",
            (
                warehouse_id,
                parent_id,
                namespace.path,
                namespace.levels[-1],
                orjson.dumps(properties).decode(),
                tx.now,
                tx.now,
            ),
        )
    )


def set_properties(tx: Transaction, namespace_id: int, properties: dict[str, str]) -> None:
    """Replace all properties of a namespace."""
    tx.change(
        "UPDATE namespaces SET properties = ?, updated_at = ? WHERE id = ?",
        (orjson.dumps(properties).decode(), tx.now, namespace_id),
    )


def delete(tx: Transaction, namespace_id: int) -> None:
    """Remove a namespace's row."""
    tx.change("DELETE FROM namespaces WHERE id = ?", (namespace_id,))


def children(
    tx: Transaction, warehouse_id: int, parent_id: int | None, page: Page
) -> list[Namespace]:
    """Return the namespaces directly below a parent (None: the top), ordered by name."""
    parent = () if parent_id is None else (parent_id,)
    rows = tx.all(
        "SELECT path FROM namespaces WHERE warehouse_id = ?"  # noqa: S608
        f" AND parent_id {'= ?' if parent else 'IS NULL'} AND name > ? ORDER BY name LIMIT ?",
        (warehouse_id, *parent, page.after or "", page.size),
    )
    return [Namespace.from_path(row[0]) for row in rows]


def content(tx: Transaction, namespace_id: int) -> dict[str, int]:
    """Return the numbers of tables, views, functions and namespaces in a namespace, if not 0."""
    counts = {
        "tables": "SELECT count(*) FROM tabulars WHERE namespace_id = ? AND kind = 'table'",
        "views": "SELECT count(*) FROM tabulars WHERE namespace_id = ? AND kind = 'view'",
        "functions": "SELECT count(*) FROM functions WHERE namespace_id = ?",
        "namespaces": "SELECT count(*) FROM namespaces WHERE parent_id = ?",
    }
    found = {}
    for what, sql in counts.items():
        row = tx.one(sql, (namespace_id,))
        if row is not None and row[0]:
            found[what] = int(row[0])
    return found
