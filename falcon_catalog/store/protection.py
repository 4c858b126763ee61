"""What an entity is marked as: protected from drops, managed, or read-only."""

from collections.abc import Collection
from typing import Any, Literal

from falcon_catalog.store.database import Transaction
from falcon_catalog.store.grants import Entity, EntityKind

Mark = Literal["protected", "managed", "read_only"]

_TABLES: dict[EntityKind, str] = {
    "server": "permissions",
    "warehouse": "warehouses",
    "namespace": "namespaces",
    "tabular": "tabulars",
    "dropped": "dropped_tabulars",
}
MARKS: dict[EntityKind, tuple[Mark, ...]] = {
    "server": ("read_only",),
    "warehouse": ("managed", "read_only"),
    "namespace": ("protected", "managed"),
    "tabular": ("protected",),
    "function": (),
    "dropped": ("protected",),
}
"""What each kind of entity can be marked as."""


def marks(tx: Transaction, entity: Entity) -> dict[Mark, bool]:
    """Return what an entity that exists is marked as."""
    names = MARKS[entity.kind]
    if not names:
        return {}
    row = tx.one(
        f"SELECT {', '.join(names)} FROM {_TABLES[entity.kind]} WHERE id = ?",  # noqa: S608
        (_id(entity),),
    )
    if row is None:
        raise LookupError(entity)
    return {name: bool(value) for name, value in zip(names, row, strict=True)}


def mark(tx: Transaction, entity: Entity, values: dict[Mark, bool]) -> None:
    """Mark an entity, or end that; the caller has checked that its kind can be."""
    for name, value in values.items():
        tx.change(
            f"UPDATE {_TABLES[entity.kind]} SET {name} = ? WHERE id = ?",  # noqa: S608
            (int(value), _id(entity)),
        )


def is_protected(tx: Transaction, entity: Entity) -> bool:
    """Return whether an entity that exists may not be dropped, or purged."""
    return marks(tx, entity)["protected"]


def read_only(tx: Transaction, warehouse_id: int) -> tuple[bool, bool]:
    """Return whether the server is read-only, and whether the warehouse is."""
    row = tx.one(
        "SELECT p.read_only, w.read_only FROM permissions p, warehouses w WHERE w.id = ?",
        (warehouse_id,),
    )
    return (False, False) if row is None else (bool(row[0]), bool(row[1]))


def levels(
    tx: Transaction, warehouse_id: int, paths: Collection[str]
) -> list[tuple[int, str, bool, int]]:
    """Return id, path, whether it is managed, and time of creation of some namespaces.

    The outermost is the first one. In a change they stay until COMMIT.
    """
    places = ",".join("?" * len(paths))
    rows: list[Any] = tx.all(
        "SELECT id, path, managed, created_at FROM namespaces"  # noqa: S608 - only marks
        f" WHERE warehouse_id = ? AND path IN ({places}) ORDER BY path{tx.row_lock('share')}",
        (warehouse_id, *paths),
    )
    return [(id_, path, bool(managed), created_at) for id_, path, managed, created_at in rows]


def _id(entity: Entity) -> int:
    return 1 if entity.id is None else entity.id
