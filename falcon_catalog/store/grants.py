"""Rows of grants, of roles and their members, and the generation of all of them.

Everything here that changes what a principal may do raises the generation in its transaction, and
so does everything elsewhere that does (``touch``).
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal

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


@dataclass(frozen=True, slots=True)
class GrantRow:
    """A grant as stored, with the names of what it is on."""

    entity: Entity
    principal_id: int
    principal: str
    principal_kind: str
    bits: int
    granted_by: str
    granted_at: int
    """Milliseconds since 1970-01-01 UTC."""
    warehouse: str | None
    namespace_path: str | None
    name: str | None
    """Of the table, view or function."""
    tabular_kind: str | None
    """``table`` or ``view``."""


_KINDS: tuple[EntityKind, ...] = ("warehouse", "namespace", "tabular", "function", "dropped")
_NAMED = (
    "SELECT g.warehouse_id, g.namespace_id, g.tabular_id, g.function_id, g.dropped_id,"
    " p.id, p.name, p.kind, g.bits, g.granted_by, g.granted_at, w.name,"
    " coalesce(n.path, d.namespace_path), coalesce(t.name, f.name, d.name),"
    " coalesce(t.kind, d.kind)"
    " FROM (SELECT * FROM grants WHERE {where}) g"
    " JOIN principals p ON p.id = g.principal_id"
    " LEFT JOIN tabulars t ON t.id = g.tabular_id"
    " LEFT JOIN functions f ON f.id = g.function_id"
    " LEFT JOIN dropped_tabulars d ON d.id = g.dropped_id"
    " LEFT JOIN namespaces n ON n.id = coalesce(g.namespace_id, t.namespace_id, f.namespace_id)"
    " LEFT JOIN warehouses w ON w.id = coalesce(g.warehouse_id, n.warehouse_id, d.warehouse_id)"
    " ORDER BY g.id"
)


def on(tx: Transaction, entity: Entity) -> list[GrantRow]:
    """Return the grants on an entity itself, in the order in which they were made."""
    return _named(tx, entity.where, entity.parameters)


def of(tx: Transaction, principal_id: int) -> list[GrantRow]:
    """Return the grants of a principal itself, in the order in which they were made."""
    return _named(tx, "principal_id = ?", (principal_id,))


def every(tx: Transaction) -> list[GrantRow]:
    """Return all grants, in the order in which they were made."""
    return _named(tx, "id IS NOT NULL", ())


def any_inside(tx: Transaction, principal_ids: Collection[int], entity: Entity) -> bool:
    """Return whether one of some principals has a grant on anything inside a container."""
    marks = ",".join("?" * len(principal_ids))
    where = {
        "warehouse": "coalesce(n.warehouse_id, d.warehouse_id) = ?",
        # No name has a character before the space, and 0x1F separates the levels of a path.
        "namespace": "(n.id = ? OR EXISTS (SELECT 1 FROM namespaces o WHERE o.id = ?"
        " AND n.warehouse_id = o.warehouse_id"
        " AND n.path > o.path || ? AND n.path < o.path || ' '))",
    }[entity.kind]
    more = () if entity.kind == "warehouse" else (entity.id, "\x1f")
    row = tx.one(
        "SELECT 1 FROM grants g"  # noqa: S608 - only marks
        " LEFT JOIN tabulars t ON t.id = g.tabular_id"
        " LEFT JOIN functions f ON f.id = g.function_id"
        " LEFT JOIN dropped_tabulars d ON d.id = g.dropped_id"
        " LEFT JOIN namespaces n ON n.id = coalesce(g.namespace_id, t.namespace_id, f.namespace_id)"
        f" WHERE g.principal_id IN ({marks}) AND {where} LIMIT 1",
        (*principal_ids, entity.id, *more),
    )
    return row is not None


def _named(tx: Transaction, where: str, parameters: tuple[int, ...]) -> list[GrantRow]:
    return [_grant(row) for row in tx.all(_NAMED.format(where=where), parameters)]


def _grant(row: tuple[Any, ...]) -> GrantRow:
    entity = next(
        (Entity(kind, id_) for kind, id_ in zip(_KINDS, row, strict=False) if id_ is not None),
        SERVER,
    )
    return GrantRow(entity, *row[len(_KINDS) :])
