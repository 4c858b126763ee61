"""Rows with locations, read and updated when a warehouse is relocated."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from falcon_catalog.store import paths
from falcon_catalog.store.database import Transaction
from falcon_catalog.store.grants import Entity
from falcon_catalog.store.survey import Place

_TABLE: dict[Place, str] = {"living": "tabulars", "dropped": "dropped_tabulars"}

Document = Literal["namespaces", "functions"]
_COLUMN: dict[Document, str] = {"namespaces": "properties", "functions": "metadata"}


@dataclass(frozen=True, slots=True)
class Answer:
    """The stored answer to a request with an Idempotency-Key, as JSON text."""

    warehouse_id: int
    key: str
    request: str
    answer: str


def repoint(
    tx: Transaction, place: Place, row_id: int, *, old: str, new: str, location_key: str
) -> bool:
    """Point a living or dropped table at ``new`` if it still points at ``old``; return whether."""
    changed = tx.change(
        f"UPDATE {_TABLE[place]} SET metadata_location = ?, location_key = ?"  # noqa: S608
        " WHERE id = ? AND metadata_location = ?",
        (new, location_key, row_id, old),
    )
    return changed == 1


def move_paths(tx: Transaction, place: Place, row_id: int, moved: Callable[[str], str]) -> None:
    """Move the folders that properties of a living or dropped table name."""
    entity = Entity("tabular" if place == "living" else "dropped", row_id)
    if known := paths.of(tx, entity):
        paths.replace(tx, entity, {moved(each) for each in known})


def forget_plans(tx: Transaction, table_id: int) -> int:
    """Delete a table's planned scans; return their number."""
    return tx.change("DELETE FROM plans WHERE table_id = ?", (table_id,))


def documents(tx: Transaction, what: Document) -> list[tuple[int, str]]:
    """Return the id and JSON text of each row of a kind."""
    return tx.all(f"SELECT id, {_COLUMN[what]} FROM {what} ORDER BY id")  # noqa: S608


def set_document(tx: Transaction, what: Document, row_id: int, text: str) -> None:
    """Replace the JSON text of a row."""
    tx.change(f"UPDATE {what} SET {_COLUMN[what]} = ? WHERE id = ?", (text, row_id))  # noqa: S608


def answers(tx: Transaction) -> list[Answer]:
    """Return all stored answers."""
    rows = tx.all("SELECT warehouse_id, key, request, answer FROM idempotency_keys")
    return [Answer(*row) for row in rows]


def set_answer(tx: Transaction, of: Answer, text: str) -> None:
    """Replace the text of an answer."""
    tx.change(
        "UPDATE idempotency_keys SET answer = ? WHERE warehouse_id = ? AND key = ?",
        (text, of.warehouse_id, of.key),
    )


def delete_answer(tx: Transaction, of: Answer) -> None:
    """Delete an answer, so that a retry is executed."""
    tx.change(
        "DELETE FROM idempotency_keys WHERE warehouse_id = ? AND key = ?",
        (of.warehouse_id, of.key),
    )
