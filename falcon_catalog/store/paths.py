"""Rows of folders outside of a table's own that its properties send writers to.

``overlapping`` in ``tabulars`` and in ``dropped`` consults them.
"""

from collections.abc import Collection

from falcon_catalog.store.database import Transaction
from falcon_catalog.store.grants import Entity


def of(tx: Transaction, entity: Entity) -> list[str]:
    """Return the location keys of a table's or view's folders, living or dropped."""
    rows = tx.all(
        f"SELECT location_key FROM paths WHERE {entity.where} ORDER BY location_key",  # noqa: S608
        entity.parameters,
    )
    return [row[0] for row in rows]


def add(tx: Transaction, entity: Entity, location_keys: Collection[str]) -> None:
    """Record folders of a table or view; those that are known stay."""
    if not location_keys:
        return
    marks = ", ".join(["(?, ?)"] * len(location_keys))
    tx.change(
        f"INSERT INTO paths ({entity.kind}_id, location_key) VALUES {marks}"  # noqa: S608
        " ON CONFLICT DO NOTHING",
        tuple(value for each in location_keys for value in (entity.id, each)),
    )


def replace(tx: Transaction, entity: Entity, location_keys: Collection[str]) -> None:
    """Record exactly these folders of a table or view."""
    tx.change(f"DELETE FROM paths WHERE {entity.where}", entity.parameters)  # noqa: S608
    add(tx, entity, location_keys)


def move(tx: Transaction, source: Entity, target: Entity) -> None:
    """Let folders follow a table or view that is dropped, or undropped."""
    tx.change(
        f"UPDATE paths SET {source.kind}_id = NULL, {target.kind}_id = ? WHERE {source.where}",  # noqa: S608
        (*target.parameters, *source.parameters),
    )
