"""Rows of grants, of roles and their members, and the generation of all of them.

Everything here that changes what a principal may do raises the generation in its transaction, and
so does everything elsewhere that does (``touch``).
"""

from dataclasses import dataclass
from typing import Literal

from falcon_catalog.store.database import Transaction

EntityKind = Literal["server", "warehouse", "namespace", "tabular", "function", "dropped"]


@dataclass(frozen=True, slots=True)
class Entity:
    """What a grant is on; the server has no id."""

    kind: EntityKind
    id: int | None

    @property
    def where(self) -> str:
        """The condition that finds its grants; its parameters are ``parameters``."""
        if self.kind == "server":
            return (
                "warehouse_id IS NULL AND namespace_id IS NULL AND tabular_id IS NULL"
                " AND function_id IS NULL AND dropped_id IS NULL"
            )
        return f"{self.kind}_id = ?"

    @property
    def parameters(self) -> tuple[int, ...]:
        """The parameters of ``where``."""
        return () if self.id is None else (self.id,)


SERVER = Entity("server", None)


def generation(tx: Transaction) -> int:
    """Return the number that changes with every change of what principals may do."""
    row = tx.one("SELECT generation FROM permissions")
    if row is None:
        raise LookupError("permissions")
    return int(row[0])


def touch(tx: Transaction) -> None:
    """Raise the generation: what every process has computed before is void at COMMIT.

    It follows the clock, so that a restored backup does not repeat a number that was seen.
    """
    tx.change(
        "UPDATE permissions SET generation ="
        " CASE WHEN generation < ? THEN ? ELSE generation + 1 END",
        (tx.now, tx.now),
    )


def bits(tx: Transaction, entity: Entity, principal_id: int) -> int:
    """Return the bits that a principal was granted on an entity itself; 0 for none."""
    row = tx.one(
        f"SELECT bits FROM grants WHERE principal_id = ? AND {entity.where}",  # noqa: S608
        (principal_id, *entity.parameters),
    )
    return 0 if row is None else int(row[0])


def set_bits(tx: Transaction, entity: Entity, principal_id: int, bits: int, *, by: str) -> None:
    """Grant exactly these bits on an entity, instead of those before; 0 removes the grant."""
    touch(tx)
    tx.change(
        f"DELETE FROM grants WHERE principal_id = ? AND {entity.where}",  # noqa: S608
        (principal_id, *entity.parameters),
    )
    if not bits:
        return
    column = "" if entity.kind == "server" else f"{entity.kind}_id, "
    mark = "" if entity.kind == "server" else "?, "
    tx.change(
        f"INSERT INTO grants ({column}principal_id, bits, granted_by, granted_at)"  # noqa: S608
        f" VALUES ({mark}?, ?, ?, ?)",
        (*entity.parameters, principal_id, bits, by, tx.now),
    )


def forget(tx: Transaction, entity: Entity) -> None:
    """Remove all grants on an entity that is about to be removed itself."""
    if tx.change(f"DELETE FROM grants WHERE {entity.where}", entity.parameters):  # noqa: S608
        touch(tx)


def move(tx: Transaction, source: Entity, target: Entity) -> None:
    """Let grants follow a table or view that is dropped, or undropped."""
    moved = tx.change(
        f"UPDATE grants SET {source.kind}_id = NULL, {target.kind}_id = ?"  # noqa: S608
        f" WHERE {source.where}",
        (*target.parameters, *source.parameters),
    )
    if moved:
        touch(tx)
