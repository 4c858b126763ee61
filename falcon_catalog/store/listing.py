"""Parts of lists that people look through: names that contain a text, forwards and backwards."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from falcon_catalog.store.database import Transaction
from falcon_catalog.store.paging import MARKS

What = Literal["namespace", "table", "view", "function"]


class Entry(NamedTuple):
    """An entry of a list."""

    name: str
    updated_at: int
    """Milliseconds since 1970-01-01 UTC."""
    protected: int


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a list that is ordered by name."""

    size: int
    containing: str = ""
    """A text that the names contain; a letter of ASCII stands for both its cases."""
    after: str | None = None
    before: str | None = None
    """The part ends before this name; ``after`` is then ignored."""


class Match(NamedTuple):
    """A table or view whose name contains a text."""

    id: int
    namespace_path: str
    name: str
    kind: Literal["table", "view"]


class Totals(NamedTuple):
    """What a warehouse holds."""

    namespaces: int
    tables: int
    views: int


_FROM: dict[What, str] = {
    "namespace": "name, updated_at, protected FROM namespaces WHERE ",
    "table": "name, updated_at, protected FROM tabulars WHERE kind = 'table' AND ",
    "view": "name, updated_at, protected FROM tabulars WHERE kind = 'view' AND ",
    "function": "name, updated_at, 0 FROM functions WHERE ",
}


def entries(
    tx: Transaction,
    what: What,
    warehouse_id: int,
    container_id: int | None,
    part: Part,
    *,
    only: Sequence[int] | None = None,
) -> list[Entry]:
    """Return a part of a list, ordered by name.

    Args:
        tx: reads the rows.
        what: which list.
        warehouse_id: the warehouse.
        container_id: the namespace; None for the namespaces at the top of the warehouse.
        part: which part of the list.
        only: the ids of those that the caller can see; None for all.
    """
    where, parameters = _in(what, warehouse_id, container_id, only)
    if part.containing:
        where, parameters = f"{where} AND {_CONTAINS}", (*parameters, _pattern(part.containing))
    backwards = part.before is not None
    start, direction = (part.before, "DESC") if backwards else (part.after or "", "ASC")
    found: list[Entry] = []
    for condition, ids in _chunks(only):
        rows = tx.all(
            f"SELECT {_FROM[what]}{where} AND name {'<' if backwards else '>'} ?{condition}"
            f" ORDER BY name {direction} LIMIT ?",
            (*parameters, start, *ids, part.size),
        )
        found += [Entry(*row) for row in rows]
    found.sort(reverse=backwards)
    return sorted(found[: part.size])


def count(
    tx: Transaction,
    what: What,
    warehouse_id: int,
    container_id: int | None,
    *,
    only: Sequence[int] | None = None,
) -> int:
    """Return the length of a list; arguments as ``entries``."""
    where, parameters = _in(what, warehouse_id, container_id, only)
    table = _FROM[what].partition(" FROM ")[2]
    return sum(
        int(tx.all(f"SELECT count(*) FROM {table}{where}{condition}", (*parameters, *ids))[0][0])  # noqa: S608
        for condition, ids in _chunks(only)
    )


def matches(
    tx: Transaction, warehouse_id: int, containing: str, *, after_id: int, size: int
) -> list[Match]:
    """Return tables and views of a warehouse whose names contain a text, ordered by id."""
    rows = tx.all(
        "SELECT t.id, n.path, t.name, t.kind FROM tabulars t"  # noqa: S608
        " JOIN namespaces n ON n.id = t.namespace_id"
        f" WHERE t.id > ? AND n.warehouse_id = ? AND {_CONTAINS.replace('name', 't.name')}"
        " ORDER BY t.id LIMIT ?",
        (after_id, warehouse_id, _pattern(containing), size),
    )
    return [Match(*row) for row in rows]


def totals(tx: Transaction, warehouse_id: int) -> Totals:
    """Return how many namespaces, tables and views a warehouse holds."""
    of_kind = "count(*) FILTER (WHERE t.kind = '{}')"
    (row,) = tx.all(
        "SELECT (SELECT count(*) FROM namespaces WHERE warehouse_id = ?),"  # noqa: S608
        f" {of_kind.format('table')}, {of_kind.format('view')}"
        " FROM namespaces n JOIN tabulars t ON t.namespace_id = n.id WHERE n.warehouse_id = ?",
        (warehouse_id, warehouse_id),
    )
    return Totals(*row)


def pointers(tx: Transaction, warehouse_id: int, size: int) -> list[tuple[str, int]]:
    """Return the metadata files of tables of a warehouse, and when their rows were created."""
    rows = tx.all(
        "SELECT t.metadata_location, t.created_at FROM namespaces n"
        " JOIN tabulars t ON t.namespace_id = n.id AND t.kind = 'table'"
        " WHERE n.warehouse_id = ? LIMIT ?",
        (warehouse_id, size),
    )
    return [(row[0], row[1]) for row in rows]


def namespace_paths(tx: Transaction, ids: Sequence[int], warehouse_id: int) -> list[str]:
    """Return the paths of those of some namespaces that are in a warehouse."""
    found = []
    for condition, some in _chunks(ids):
        rows = tx.all(
            f"SELECT path FROM namespaces WHERE +warehouse_id = ?{condition}",  # noqa: S608
            (warehouse_id, *some),
        )
        found += [str(row[0]) for row in rows]
    return found


# LIKE takes both cases of a letter of ASCII for the same, as PostgreSQL's dialect arranges.
_CONTAINS = "name LIKE ? ESCAPE '!'"


def _pattern(text: str) -> str:
    for special in "!%_":
        text = text.replace(special, f"!{special}")
    return f"%{text}%"


def _in(
    what: What, warehouse_id: int, container_id: int | None, only: Sequence[int] | None
) -> tuple[str, tuple[Any, ...]]:
    """Return the condition of what is in a namespace, or at the top, and its parameters."""
    sign = "" if only is None else "+"  # keeps SQLite from walking through an index of all rows
    if what != "namespace":
        return f"{sign}namespace_id = ?", (container_id or 0,)
    if container_id is None:
        return f"{sign}warehouse_id = ? AND parent_id IS NULL", (warehouse_id,)
    return f"{sign}warehouse_id = ? AND parent_id = ?", (warehouse_id, container_id)


def _chunks(only: Sequence[int] | None) -> list[tuple[str, Sequence[int]]]:
    """Return conditions on ids with their parameters: one for all rows, or one for each chunk."""
    if only is None:
        return [("", ())]
    chunks = [only[first : first + MARKS] for first in range(0, len(only), MARKS)]
    return [(f" AND id IN ({','.join('?' * len(ids))})", ids) for ids in chunks]
