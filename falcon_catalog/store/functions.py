"""Rows of functions: names and metadata."""

from dataclasses import dataclass

from falcon_catalog.identifiers import Page
from falcon_catalog.store.database import Transaction


@dataclass(frozen=True, slots=True)
class FunctionRow:
    """A function as stored."""

    id: int
    uuid: str
    metadata: str
    """The metadata as JSON text."""


def find(tx: Transaction, namespace_id: int, name: str) -> FunctionRow | None:
    """Return the row of a name, or None."""
    row = tx.one(
        "SELECT id, uuid, metadata FROM functions WHERE namespace_id = ? AND name = ?"  # noqa: S608
        f"{tx.row_lock('change')}",
        (namespace_id, name),
    )
    return None if row is None else FunctionRow(*row)


def names(tx: Transaction, namespace_id: int, page: Page) -> list[str]:
    """Return the names of the functions in a namespace, ordered."""
    rows = tx.all(
        "SELECT name FROM functions WHERE namespace_id = ? AND name > ? ORDER BY name LIMIT ?",
        (namespace_id, page.after or "", page.size),
    )
    return [row[0] for row in rows]


def put(tx: Transaction, namespace_id: int, name: str, *, uuid: str, metadata: str) -> bool:
    """Add a function, or replace the metadata of the one that has the name.

    Return False if that one has another uuid.
    """
    changed = tx.change(
        "INSERT INTO functions (namespace_id, name, uuid, metadata, created_at, updated_at)"
        " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (namespace_id, name)"
        " DO UPDATE SET metadata = excluded.metadata, updated_at = excluded.updated_at"
        " WHERE functions.uuid = excluded.uuid",
        (namespace_id, name, uuid, metadata, tx.now, tx.now),
    )
    return bool(changed)


def delete(tx: Transaction, function_id: int) -> None:
    """Remove a function's row."""
    tx.change("DELETE FROM functions WHERE id = ?", (function_id,))
