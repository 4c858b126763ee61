"""Rows of namespaces."""

from dataclasses import dataclass

import orjson

from falcon_catalog.identifiers import Namespace, Page
from falcon_catalog.store.database import Lock, Transaction
from falcon_catalog.store.paging import page_of


@dataclass(frozen=True, slots=True)
class NamespaceRow:
    """A namespace as stored."""

    id: int
    namespace: Namespace
    properties: dict[str, str]
    created_at: int
    """Milliseconds since 1970-01-01 UTC."""


def find(
    tx: Transaction, warehouse_id: int, namespace: Namespace, lock: Lock = "share"
) -> NamespaceRow | None:
    """Return the namespace's row, or None; in a change it stays as it is until COMMIT.

    What a change puts into a namespace needs it; one that changes or removes it must ask for that
    ``lock``, and waits for those that put something into it.
    """
    row = tx.one(
        "SELECT id, properties, created_at FROM namespaces WHERE warehouse_id = ? AND path = ?"  # noqa: S608
        f"{tx.row_lock(lock)}",
        (warehouse_id, namespace.path),
    )
    if row is None:
        return None
    return NamespaceRow(row[0], namespace, orjson.loads(row[1]), row[2])


def insert(
    tx: Transaction,
    warehouse_id: int,
    namespace: Namespace,
    *,
    parent_id: int | None,
    properties: dict[str, str],
) -> int | None:
    """Add a namespace; return its id, or None if it exists."""
    row = tx.one(
        "INSERT INTO namespaces (warehouse_id, parent_id, path, name, properties,"
        " created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (warehouse_id, path) DO NOTHING RETURNING id",
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
    return None if row is None else int(row[0])


def set_properties(tx: Transaction, namespace_id: int, properties: dict[str, str]) -> None:
    """Replace all properties of a namespace."""
    tx.change(
        "UPDATE namespaces SET properties = ?, updated_at = ? WHERE id = ?",
        (orjson.dumps(properties).decode(), tx.now, namespace_id),
    )


def delete(tx: Transaction, namespace_id: int) -> None:
    """Remove a namespace's row."""
    tx.change("DELETE FROM namespaces WHERE id = ?", (namespace_id,))


_NAMES = "SELECT path, name FROM namespaces WHERE {of}warehouse_id = ?"
_ORDER = " AND name > ?{only} ORDER BY name LIMIT ?"
_TOP, _BELOW = f"{_NAMES} AND parent_id IS NULL{_ORDER}", f"{_NAMES} AND parent_id = ?{_ORDER}"


def children(
    tx: Transaction,
    warehouse_id: int,
    parent_id: int | None,
    page: Page,
    only: list[int] | None = None,
) -> list[Namespace]:
    """Return the namespaces directly below a parent (None: the top), ordered by name.

    With ``only``, those of these ids.
    """
    parent = () if parent_id is None else (parent_id,)
    rows = page_of(
        tx,
        _TOP if parent_id is None else _BELOW,
        (warehouse_id, *parent, page.after or ""),
        page,
        only,
        name=1,
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
