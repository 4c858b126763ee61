"""What principals hold, computed once for each principal and generation of the permissions."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from falcon_catalog.catalog.lru import LRU
from falcon_catalog.catalog.privileges import GRANT, LIST, OWN, effective
from falcon_catalog.store import grants, permissions
from falcon_catalog.store.database import Database
from falcon_catalog.store.permissions import Chain, GrantRow
from falcon_catalog.store.tabulars import TabularRow

Groups = frozenset[tuple[str, str]]
Bits = tuple[int, int]
"""What a grant allows on its entity and below, and what if a container around it is managed."""

_NONE: Bits = (0, 0)
_PRINCIPALS = 1000
_COST = 1500  # bytes of memory for a principal with few grants, estimated on the high side


@functools.cache
def _bits_of(stored: int) -> Bits:
    """Return what a stored grant allows. ``managed`` takes ``grant`` out of ``own``."""
    managed = effective(stored)
    if stored & OWN and not effective(stored & ~OWN) & GRANT:
        managed &= ~GRANT
    return effective(stored), managed


@dataclass(slots=True)
class Held:
    """All grants of a principal and of its roles. Not changed once it is computed."""

    generation: int
    server: int = 0
    warehouses: dict[int, Bits] = field(default_factory=dict)
    namespaces: dict[int, Bits] = field(default_factory=dict)
    tabulars: dict[int, Bits] = field(default_factory=dict)
    functions: dict[int, Bits] = field(default_factory=dict)
    dropped: dict[int, Bits] = field(default_factory=dict)
    on_the_way: set[int] = field(default_factory=set)
    """Namespaces that have a grant, or contain one: they can be listed."""
    warehouses_on_the_way: set[int] = field(default_factory=set)
    inside: dict[tuple[str, int, int | None], list[int]] = field(default_factory=dict)
    """The visible ids by what they are, their warehouse (0 except for namespaces), and their
    namespace."""

    @property
    def size(self) -> int:
        """The number of entities with grants."""
        return len(self.on_the_way) + len(self.tabulars) + len(self.functions) + len(self.dropped)

    def on_warehouse(self, warehouse_id: int) -> int:
        """Return what is held on a warehouse, for all that is in it."""
        return self.server | self.warehouses.get(warehouse_id, _NONE)[0]

    def sees_warehouse(self, warehouse_id: int) -> bool:
        """Return whether a warehouse, or anything in it, can be listed."""
        held = self.on_warehouse(warehouse_id)
        return bool(held & LIST) or warehouse_id in self.warehouses_on_the_way

    def along(self, warehouse_id: int, chain: Chain) -> tuple[int, bool]:
        """Return what is held on the innermost namespace of a chain, and whether it is managed.

        That holds for all inside; the second is what the grants on entities inside depend on.
        """
        bits = self.server | self.warehouses.get(warehouse_id, _NONE)[0]
        managed = bool(chain.warehouse_managed)
        for level in chain.levels:
            bits |= self.namespaces.get(level.id, _NONE)[managed]
            managed = managed or bool(level.managed)
        return bits, managed

    def add(self, row: GrantRow) -> None:
        """Add a grant. Several of one entity come from several roles."""
        bits = _bits_of(row.bits)
        if row.dropped_id is not None:
            _join(self.dropped, row.dropped_id, bits)
            if row.around is not None:
                self.warehouses_on_the_way.add(row.around)
        elif row.tabular_id is not None:
            if _join(self.tabulars, row.tabular_id, bits):
                self.inside.setdefault(("tabular", 0, row.around), []).append(row.tabular_id)
        elif row.function_id is not None:
            if _join(self.functions, row.function_id, bits):
                self.inside.setdefault(("function", 0, row.around), []).append(row.function_id)
        elif row.namespace_id is not None:
            _join(self.namespaces, row.namespace_id, bits)
        elif row.warehouse_id is not None:
            _join(self.warehouses, row.warehouse_id, bits)
        else:
            self.server |= bits[0]


def _join(held: dict[int, Bits], entity: int, bits: Bits) -> bool:
    """Add bits of an entity; return whether it is a new one."""
    known = held.get(entity)
    held[entity] = bits if known is None else (known[0] | bits[0], known[1] | bits[1])
    return known is None


def expand(database: Database, principal_id: int, groups: Groups) -> Held:
    """Read all that a principal holds, at one moment."""
    with database.read() as tx:
        held = Held(grants.generation(tx))
        ids = permissions.identities(tx, principal_id, groups)
        for row in permissions.held(tx, ids):
            held.add(row)
        for namespace_id, parent_id, warehouse_id in permissions.way(tx, ids):
            held.on_the_way.add(namespace_id)
            held.warehouses_on_the_way.add(warehouse_id)
            held.inside.setdefault(("namespace", warehouse_id, parent_id), []).append(namespace_id)
    return held


class Permissions:
    """What the principals that called last hold. All warehouses of a server share it.

    It saves the expansion, 0.2 to 20 ms, of every request (``make bench``, goal permissions).
    """

    def __init__(self, expand: Callable[[Database, int, Groups], Held] = expand) -> None:
        self._expand = expand
        self._held: LRU[tuple[int, Groups], Held] = LRU(
            _PRINCIPALS * 32 * _COST, lambda held: _COST + 300 * held.size
        )

    def held(self, database: Database, principal_id: int, groups: Groups, generation: int) -> Held:
        """Return what a principal holds, no older than a generation that was just read."""
        key = principal_id, groups
        held = self._held.get(key)
        if held is None or held.generation != generation:
            held = self._expand(database, principal_id, groups)
            self._held.put(key, held)
        return held


@dataclass(slots=True)
class Found:
    """An entity that a request names, and what its caller holds on it. Not changed later."""

    bits: int = 0
    """Held on the entity itself or around it."""
    visible: bool = False
    """Whether the caller may know that it exists."""
    id: int | None = None
    """None if it does not exist."""
    created_at: int = 0
    tabular: TabularRow | None = None

    @property
    def exists(self) -> bool:
        """Whether it exists, visible or not."""
        return self.id is not None


@dataclass(slots=True)
class Decision:
    """What a request was allowed to work on. Not changed later."""

    held: Held
    found: Mapping[Any, Found]
    """By the names that the request has for the entities."""
