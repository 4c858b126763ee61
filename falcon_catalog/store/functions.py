"""Rows of functions: names and metadata."""

from dataclasses import dataclass

from falcon_catalog.identifiers import Page
from falcon_catalog.store.database import Transaction
from falcon_catalog.store.paging import page_of


@dataclass(frozen=True, slots=True)
class FunctionRow:
    """A function as stored."""

    id: int
    uuid: str
    metadata: str
    """The metadata as JSON text."""
    created_at: int
    """Milliseconds since 1970-01-01 UTC."""


def find(tx: Transaction, namespace_id: int, name: str) -> FunctionRow | None:
    """Return the row of a name, or None."""
    row = tx.one(
        "SELECT id, uuid, metadata, created_at FROM functions WHERE namespace_id = ? AND name = ?"  # noqa: S608
        f"{tx.row_lock('change')}",
        (namespace_id, name),
    )
    return None if row is None else FunctionRow(*row)


def names(
    tx: Transaction, namespace_id: int, page: Page, only: list[int] | None = None
) -> list[str]:
    """Return the names of the functions in a namespace, ordered; with ``only``, of these ids."""
    rows = page_of(
        tx,
        "SELECT name FROM functions WHERE {of}namespace_id = ? AND name > ?{only}"
        " ORDER BY name LIMIT ?",
        (namespace_id, page.after or ""),
        page,
        only,
    )
    return [row[0] for row in rows]


def put(tx: Transaction, namespace_id: int, name: str, *, uuid: str, metadata: str) -> int | None:
    """Add a function, or replace the metadata of the one that has the name.

    Return its id; None if that one has another uuid.
    """
    row = tx.one(
        "INSERT INTO functions (namespace_id, name, uuid, metadata, created_at, updated_at)"
        " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (namespace_id, name)"
        " DO UPDATE SET metadata = excluded.metadata, updated_at = excluded.updated_at"
        " WHERE functions.uuid = excluded.uuid RETURNING id",
        (namespace_id, name, uuid, metadata, tx.now, tx.now),
    )
    return None if row is None else int(row[0])


def delete(tx: Transaction, function_id: int) -> None:
    """Remove a function's row."""
    tx.change("DELETE FROM functions WHERE id = ?", (function_id,))


def is_shared(tx: Transaction, uuid: str) -> bool:
    """Return whether more than one function has a uuid."""
    row = tx.one("SELECT count(*) FROM functions WHERE uuid = ?", (uuid,))
    return row is not None and row[0] > 1
