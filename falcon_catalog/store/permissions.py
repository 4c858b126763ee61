"""What authorization reads: the containers around an entity, and all that a principal holds.

Every chain comes with the generation of the permissions, in the same statement: what was computed
for another generation is void.
"""

import functools
from collections.abc import Collection
from typing import Any, Literal, NamedTuple

from falcon_catalog.identifiers import SEPARATOR, Namespace
from falcon_catalog.store.database import Transaction
from falcon_catalog.store.tabulars import TabularRow

Inside = Literal["", "tabular", "function"]
"""What a name inside a namespace is; empty: only the namespace is wanted."""

MAX_DEPTH = 8
"""How deep roles may be members of roles."""


class Level(NamedTuple):
    """A namespace on the way to an entity."""

    id: int
    path: str
    managed: int
    created_at: int


class Chain(NamedTuple):
    """The containers around an entity, and the entity, as far as they exist."""

    generation: int
    warehouse_managed: int
    levels: tuple[Level, ...]
    """The namespaces, outermost first; all of them, or none at or below a missing one."""
    tabular: TabularRow | None = None
    function: tuple[int, int] | None = None
    """Id and time of creation."""


class GrantRow(NamedTuple):
    """A grant of a principal or of one of its roles, and the container around its entity."""

    warehouse_id: int | None
    namespace_id: int | None
    tabular_id: int | None
    function_id: int | None
    dropped_id: int | None
    bits: int
    around: int | None
    """The namespace of a table, view or function; the warehouse of a dropped one."""


@functools.cache
def _chain_sql(depth: int, inside: Inside) -> str:
    columns, joins = "", ""
    if depth:
        columns = ", n.id, n.path, n.managed, n.created_at"
        marks = ",".join("?" * depth)
        joins = f" LEFT JOIN namespaces n ON n.warehouse_id = w.id AND n.path IN ({marks})"
    if inside == "tabular":
        columns += ", t.id, t.kind, t.uuid, t.metadata_location, t.location_key, t.created_at"
        joins += " LEFT JOIN tabulars t ON t.namespace_id = n.id AND n.path = ? AND t.name = ?"
    elif inside == "function":
        columns += ", f.id, f.created_at"
        joins += " LEFT JOIN functions f ON f.namespace_id = n.id AND n.path = ? AND f.name = ?"
    return (
        f"SELECT p.generation, w.managed{columns}"  # noqa: S608 - only names and marks
        f" FROM permissions p JOIN warehouses w ON w.id = ?{joins}"
    )


def chain(
    tx: Transaction,
    warehouse_id: int,
    namespace: Namespace | None = None,
    name: str = "",
    inside: Inside = "",
) -> Chain:
    """Return the chain to a warehouse, a namespace, or what a name inside one is."""
    if namespace is None:
        row = tx.one(_chain_sql(0, ""), (warehouse_id,))
        if row is None:
            raise LookupError(warehouse_id)
        return Chain(row[0], row[1], ())
    paths = _paths(namespace.levels)
    parameters = (warehouse_id, *paths, paths[-1], name) if inside else (warehouse_id, *paths)
    rows = tx.all(_chain_sql(len(paths), inside), parameters)
    if len(rows) > 1:
        rows.sort(key=lambda row: len(row[3]))
    last = rows[-1]
    levels = () if last[2] is None else tuple([Level._make(row[2:6]) for row in rows])
    if not inside or last[6] is None:
        return Chain(last[0], last[1], levels)
    if inside == "tabular":
        return Chain(last[0], last[1], levels, TabularRow._make(last[6:]))
    return Chain(last[0], last[1], levels, None, last[6:])


def _paths(levels: tuple[str, ...]) -> list[str]:
    """Return the paths of a namespace and of those around it, outermost first."""
    if len(levels) == 1:
        return [levels[0]]
    return [SEPARATOR.join(levels[: depth + 1]) for depth in range(len(levels))]


_HELD = (
    "WITH RECURSIVE held (id, depth) AS ("
    " SELECT id, 0 FROM principals WHERE id IN ({marks})"
    " UNION SELECT m.role_id, h.depth + 1 FROM role_members m JOIN held h ON h.id = m.member_id"
    " JOIN principals r ON r.id = m.role_id AND r.disabled = 0 WHERE h.depth < {depth}),"
    " given AS (SELECT g.warehouse_id, g.namespace_id, g.tabular_id, g.function_id, g.dropped_id,"
    " g.bits, coalesce(t.namespace_id, f.namespace_id, d.warehouse_id) AS around FROM grants g"
    " LEFT JOIN tabulars t ON t.id = g.tabular_id LEFT JOIN functions f ON f.id = g.function_id"
    " LEFT JOIN dropped_tabulars d ON d.id = g.dropped_id"
    " WHERE g.principal_id IN (SELECT id FROM held))"
)
_GIVEN = " SELECT * FROM given"
_WAY = (
    ", way (id, parent_id, warehouse_id) AS ("
    " SELECT id, parent_id, warehouse_id FROM namespaces WHERE id IN (SELECT CASE WHEN dropped_id"
    " IS NULL THEN coalesce(namespace_id, around) END FROM given)"
    " UNION SELECT n.id, n.parent_id, n.warehouse_id FROM namespaces n JOIN way ON"
    " n.id = way.parent_id) SELECT * FROM way"
)


def identities(
    tx: Transaction, principal_id: int, groups: Collection[tuple[str, str]]
) -> list[int]:
    """Return a principal's id, those of its token's groups' roles, and that of ``everyone``."""
    found = [principal_id]
    found += [
        row[0]
        for row in tx.all("SELECT id FROM principals WHERE name = 'everyone' AND kind = 'role'")
    ]
    for issuer, value in groups:
        rows = tx.all(
            "SELECT g.role_id FROM group_roles g JOIN principals r ON r.id = g.role_id"
            " WHERE g.issuer = ? AND g.value = ? AND r.disabled = 0",
            (issuer, value),
        )
        found += [row[0] for row in rows]
    return found


def held(tx: Transaction, ids: Collection[int]) -> list[GrantRow]:
    """Return all grants of some principals, and of the roles that they have."""
    sql = _HELD.format(marks=",".join("?" * len(ids)), depth=MAX_DEPTH) + _GIVEN
    return [GrantRow(*row) for row in tx.all(sql, tuple(ids))]


def way(tx: Transaction, ids: Collection[int]) -> list[tuple[int, int | None, int]]:
    """Return id, parent and warehouse of each namespace that has a grant, or leads to one."""
    sql = _HELD.format(marks=",".join("?" * len(ids)), depth=MAX_DEPTH) + _WAY
    rows: list[Any] = tx.all(sql, tuple(ids))
    return [(row[0], row[1], row[2]) for row in rows]
