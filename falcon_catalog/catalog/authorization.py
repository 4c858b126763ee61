"""Authorization of every operation, before it reads, writes, signs, vends or replays anything.

An entity without ``list`` is answered as one that does not exist: by the same error, raised in the
same place. With ``list``, a missing privilege is a 403 that names it, and nothing of the caller's
roles or grants.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from falcon_catalog.catalog import idempotency, marks
from falcon_catalog.catalog.call import Call, Principal
from falcon_catalog.catalog.permissions import Decision, Found, Held
from falcon_catalog.catalog.privileges import BITS, CREATE, LIST, OWN, SELECT, WRITE, Privilege
from falcon_catalog.errors import (
    AlreadyExistsError,
    CatalogError,
    ForbiddenError,
    NoSuchFunctionError,
    NoSuchNamespaceError,
    NoSuchTableError,
    NoSuchViewError,
    NoSuchWarehouseError,
    NotAuthenticatedError,
    NotFoundError,
    Refusal,
    ServiceUnavailableError,
)
from falcon_catalog.fileio.delegation import Permission
from falcon_catalog.identifiers import Namespace, TableIdentifier
from falcon_catalog.locations import key
from falcon_catalog.store import dropped, grants, permissions
from falcon_catalog.store.database import Transaction
from falcon_catalog.store.dropped import DroppedRow
from falcon_catalog.store.permissions import Chain
from falcon_catalog.store.tabulars import TabularRow

_GAINS: Final[tuple[Privilege, ...]] = ("grant", "write", "select", "describe")
SERVER: Final = "server"
"""The entity of privileges on the server itself."""

Kind = Literal["table", "view", "function", "dropped", "home"]
"""What a name in a namespace, or the id of a drop, stands for. ``dropped`` by name: the table that
was dropped last. ``home``: the namespace that a table was dropped from."""
Entity = Namespace | TableIdentifier | int | Literal["server"] | None
"""The entity that a privilege is needed on; None for the warehouse, a number for a drop."""


@dataclass(slots=True)  # not frozen: each request makes some, and that takes longer
class Need:
    """A privilege that an operation needs on an entity."""

    privilege: Privilege
    entity: Entity
    kind: Kind = "table"
    if_exists: bool = False
    """Needed only if the entity exists. If it is hidden, its name is taken."""
    instead: "Need | None" = None
    """What is needed where the entity does not exist, or is hidden."""
    removes: bool = False
    """Whether the operation removes the entity: a retry finds none, and is answered as before."""
    into: "Need | None" = None
    """What is needed of the namespace that the entity moves into, where the caller must not get
    more of it than it has. ``grant`` on the entity allows that: it could grant itself as much."""


def require(call: Call, needs: Sequence[Need], *, asked: str | None = None) -> Decision | None:
    """Return what a request may work on, if its caller holds every privilege that it needs.

    None: it may do everything. Needs of the server alone are independent of the warehouse.

    Args:
        call: of the caller.
        needs: of the operation, checked in this order; without any, the warehouse must be visible.
        asked: how the request names the warehouse.

    Raises:
        NoSuchWarehouseError, NoSuchNamespaceError, NoSuchTableError, NoSuchViewError,
        NoSuchFunctionError, NotFoundError: an entity does not exist, or is hidden.
        AlreadyExistsError: the name of what is to be created belongs to something hidden.
        ForbiddenError: a privilege is missing on an entity that the caller can see.
    """
    if call.principal is None:
        return None
    gate = _Gate(call, call.principal)
    # One statement for the first entity, its containers and the generation.
    found = gate.find(needs[0].entity, needs[0].kind) if needs else None
    if not needs or any(need.entity != SERVER for need in needs):
        gate.require_warehouse(asked)
    for need in needs:
        gate.check(need, found)
        found = None
    return gate.decision()


def authorized(call: Call, *needs: Need) -> Call:
    """Return a Call that may do what needs these privileges; raises as ``require``.

    Routes do that by the operations table. It is for parts of a request that need something else.
    """
    return replace(call, decision=require(call, needs))


def permits(call: Call, privilege: Privilege, entity: Entity, kind: Kind = "table") -> bool:
    """Return whether the caller holds a privilege on an entity that exists, as of now."""
    if call.principal is None:
        return True
    found = _Gate(call, call.principal).find(entity, kind)
    return found.exists and bool(found.bits & BITS[privilege])


def permission_of(call: Call, table: TableIdentifier) -> Permission | None:
    """Return what a caller may do with the files of a table, also of one that it is creating.

    None: the caller gets no access to them. In a read-only warehouse it may at most read.
    """
    permission = _granted(call, table)
    return "read" if permission == "write" and marks.is_read_only(call.warehouse) else permission


def _granted(call: Call, table: TableIdentifier) -> Permission | None:
    if call.principal is None:
        return "write"
    found = _found(call, table)
    if found is None or not found.exists:
        gate = _Gate(call, call.principal)
        found = gate.find(table, "table")
        if not found.exists:  # its creator will own it
            creates = gate.find(table.namespace, "table").bits & CREATE
            return "write" if creates else None
    return "write" if found.bits & WRITE else "read" if found.bits & SELECT else None


def confirm(call: Call, entity: Entity, row_id: int, created_at: int) -> bool:
    """Return False if the row that a verb found by a name is hidden from the caller.

    Raises:
        ServiceUnavailableError: it is not the one that the request was authorized for: another one
            got its name meanwhile.
    """
    found = _found(call, entity)
    if found is None:
        return True
    if not found.visible and found.exists:
        return False
    if (found.id, found.created_at) != (row_id, created_at):
        raise ServiceUnavailableError(
            f"{entity} was replaced while the request was processed. Nothing was done: try again"
        )
    return True


def known_row(call: Call, identifier: TableIdentifier) -> TabularRow | None:
    """Return the row of a table or view as the check of this request has just read it."""
    found = _found(call, identifier)
    return None if found is None or not found.visible else found.tabular


def visible_ids(
    call: Call, namespace: Namespace | None, what: Literal["namespace", "tabular", "function"]
) -> list[int] | None:
    """Return the ids of what the caller can see in a namespace, or the warehouse; None: of all.

    The namespace is one of those that the request was authorized for.
    """
    decision = call.decision
    if decision is None:
        return None
    found = decision.found[namespace]
    if found.bits & LIST:
        return None
    if what == "namespace":
        parent = None if namespace is None else found.id
        return decision.held.inside.get((what, call.warehouse.id, parent), [])
    return decision.held.inside.get((what, 0, found.id), [])


def visible_drops(call: Call, rows: Sequence[DroppedRow]) -> list[tuple[DroppedRow, bool]]:
    """Return those of some drops that the caller can see, and whether it may describe them."""
    gate = None if call.principal is None else _Gate(call, call.principal)
    if gate is None or gate.find(None).bits & BITS["describe"]:
        return [(row, True) for row in rows]
    found = ((row, gate.of_drop(row)) for row in rows)
    return [(row, bool(seen.bits & BITS["describe"])) for row, seen in found if seen.visible]


def may_take(call: Call, rows: Sequence[DroppedRow]) -> bool:
    """Return whether the caller may drop, and so undrop, every one of some drops."""
    if call.principal is None or not rows:
        return True
    gate = _Gate(call, call.principal)
    return all(gate.of_drop(row).bits & BITS["drop"] for row in rows)


def check_dropped_files(call: Call, locations: Iterable[str]) -> None:
    """Check that a caller may have the files of what was dropped from some locations.

    A table there would give access to them, and what was dropped could not be undropped.

    Raises:
        ForbiddenError: it may not drop, and so not undrop, what lies there; what was dropped from
            another warehouse takes ``drop`` on the server.
    """
    if call.principal is None:
        return
    tx, warehouse = call.warehouse.store.autocommit(), call.warehouse.id
    for location in locations:
        taken = dropped.overlap_elsewhere(tx, warehouse, key(location))
        if (taken and not permits(call, "drop", SERVER)) or not may_take(
            call, dropped.overlapping(tx, warehouse, key(location))
        ):
            raise ForbiddenError(f"Location {location} holds files of a dropped table or view")


class Describes:
    """Whether the caller may read the metadata of tables; each is judged once."""

    def __init__(self, call: Call) -> None:
        self._gate = None if call.principal is None else _Gate(call, call.principal)

    @property
    def everything(self) -> bool:
        """Whether that holds for the whole warehouse."""
        return self._gate is None or bool(self._gate.find(None).bits & BITS["describe"])

    def __call__(self, identifier: TableIdentifier, uuid: str) -> bool:
        """Return whether the table has this name and uuid, and the caller may describe it."""
        if self._gate is None:
            return True
        found = self._gate.find(identifier, "table")
        row = found.tabular
        return row is not None and row.uuid == uuid and bool(found.bits & BITS["describe"])


def own(tx: Transaction, call: Call, *entities: grants.Entity) -> None:
    """Make the caller the owner of what it has created, in the transaction of the creation.

    Last in the transaction: on PostgreSQL the generation is a row that others wait for.

    Raises:
        NotAuthenticatedError: the caller was removed meanwhile.
    """
    principal = call.principal
    if principal is None or not entities:
        return
    require_principal(tx, principal)
    for entity in entities:
        grants.set_bits(tx, entity, principal.id, OWN, by=principal.name)


def require_principal(tx: Transaction, principal: Principal) -> None:
    """Check that a caller was not removed meanwhile, and is not until the end of the transaction.

    Raises:
        NotAuthenticatedError: it was.
    """
    if tx.one(
        f"SELECT 1 FROM principals WHERE id = ?{tx.row_lock('share')}",  # noqa: S608
        (principal.id,),
    ) is None:  # fmt: skip
        raise NotAuthenticatedError("Not authorized: the owner of the token was removed")


def absent(entity: Entity, kind: Kind = "table") -> CatalogError:
    """Return the error for an entity that does not exist, and for one that is hidden."""
    if isinstance(entity, Namespace):
        return NoSuchNamespaceError(f"Namespace does not exist: {entity}")
    if isinstance(entity, TableIdentifier):
        if kind == "function":
            return NoSuchFunctionError(f"Function does not exist: {entity}")
        if kind == "view":
            return NoSuchViewError(f"View does not exist: {entity}")
        return NoSuchTableError(f"Table does not exist: {entity}")
    return NotFoundError(f"Dropped table or view does not exist: {entity}")


def _found(call: Call, entity: Entity) -> Found | None:
    return None if call.decision is None else call.decision.found.get(entity)


class _Gate:
    """One request at the gate: what it names, and what its caller holds on it."""

    __slots__ = ("_call", "_found", "_held", "_known", "_principal")

    def __init__(self, call: Call, principal: Principal) -> None:
        self._call = call
        self._principal = principal
        self._held: Held | None = None
        self._known: dict[tuple[Entity, Kind], Found] = {}
        self._found: dict[Entity, Found] = {}

    def decision(self) -> Decision:
        """Return what was checked."""
        return Decision(self._require_held(), self._found)

    def require_warehouse(self, asked: str | None) -> None:
        """Raise NoSuchWarehouseError if the warehouse is hidden."""
        if self._held is None:
            self._chain(None)
        if not self._require_held().sees_warehouse(self._call.warehouse.id):
            name = self._call.warehouse.name if asked is None else asked
            error = NoSuchWarehouseError(f"Warehouse does not exist: {name}")
            error.refusal = Refusal("hidden", "list", f"warehouse {self._call.warehouse.name}")
            raise error

    def check(self, need: Need, found: Found | None = None) -> None:
        """Raise an error unless the caller holds what is needed, on what may be found already."""
        if found is None:
            found = self.find(need.entity, need.kind)
        if found.visible:
            missing: Privilege | None = need.privilege
            if found.bits & BITS[need.privilege] or need.privilege == "list":
                missing = None if need.into is None else self._gained(need.into, found)
            if missing is None:
                return
            what = _describe(self._call, need)
            error: CatalogError = ForbiddenError(f"Not allowed: this needs {missing} on {what}")
            error.refusal = Refusal("denied", missing, what)
            raise error
        if need.removes and self._was_completed():
            return
        if need.instead is not None:
            self.check(need.instead)
        if need.if_exists or need.instead is not None:
            if not need.if_exists or not found.exists:
                return
            error = AlreadyExistsError(f"{need.kind.capitalize()} already exists: {need.entity}")
        else:
            error = self._absent(need)
        if found.exists:
            error.refusal = Refusal("hidden", need.privilege, _describe(self._call, need))
        raise error

    def _gained(self, into: Need, found: Found) -> Privilege | None:
        """Return a privilege that the caller would get by moving an entity; None if none."""
        if found.bits & BITS["grant"]:
            return None
        there = self.find(into.entity, into.kind).bits & ~found.bits
        return next((each for each in _GAINS if there & BITS[each]), None)

    def find(self, entity: Entity, kind: Kind = "table") -> Found:
        """Return an entity that the request names, and what the caller holds on it."""
        key = entity, kind
        found = self._known.get(key) if self._known else None
        if found is None:
            found = self._known[key] = self._find(entity, kind)
            by_name = kind == "dropped" and isinstance(entity, TableIdentifier)
            if not by_name and kind != "home" and (found.exists or entity not in self._found):
                self._found[entity] = found
        return found

    def of_drop(self, row: DroppedRow) -> Found:
        """Return what the caller holds on a dropped table or view.

        The namespace that now has the name is another one if it is younger than the drop.
        """
        home = self._chain(row.identifier.namespace)
        levels = [each for each in home.levels if each.created_at < row.dropped_at]
        held = self._require_held()
        older = home._replace(levels=tuple(levels))
        bits, managed = held.along(self._call.warehouse.id, older)
        bits |= held.dropped.get(row.id, (0, 0))[managed]
        return Found(bits, bool(bits & LIST), row.id, row.dropped_at)

    def _find(self, entity: Entity, kind: Kind) -> Found:
        if isinstance(entity, str):  # SERVER
            if self._held is None:
                self._chain(None)
            return Found(self._require_held().server, visible=True, id=0)
        if isinstance(entity, TableIdentifier) and kind != "dropped":
            return self._in_namespace(entity, kind)
        if entity is None or isinstance(entity, Namespace):
            return self._container(entity)
        row = self._drop(entity)
        if row is None:
            return Found()
        if kind == "home":
            return self.find(row.identifier.namespace)
        return self.of_drop(row)

    def _drop(self, entity: Entity) -> DroppedRow | None:
        tx, warehouse = self._call.warehouse.store.autocommit(), self._call.warehouse.id
        if isinstance(entity, TableIdentifier):
            return dropped.newest(tx, warehouse, entity)
        return dropped.find(tx, warehouse, entity) if isinstance(entity, int) else None

    def _container(self, namespace: Namespace | None) -> Found:
        warehouse_id = self._call.warehouse.id
        if namespace is None:
            if self._held is None:
                self._chain(None)
            held = self._require_held()
            bits = held.on_warehouse(warehouse_id)
            return Found(bits, held.sees_warehouse(warehouse_id), warehouse_id)
        chain = self._chain(namespace)
        return _of_namespace(self._require_held(), warehouse_id, namespace, chain)

    def _in_namespace(self, identifier: TableIdentifier, kind: Kind) -> Found:
        namespace, warehouse_id = identifier.namespace, self._call.warehouse.id
        if kind == "function":
            chain = self._chain(namespace, identifier.name, "function")
        else:
            chain = self._chain(namespace, identifier.name, "tabular")
        held = self._require_held()
        if kind == "function":  # whose namespace is missing has another error
            self._found[namespace] = _of_namespace(held, warehouse_id, namespace, chain)
            if chain.function is None:
                return Found()
            bits, managed = held.along(warehouse_id, chain)
            function_id, created_at = chain.function
            bits |= held.functions.get(function_id, (0, 0))[managed]
            return Found(bits, bool(bits & LIST), function_id, created_at)
        row = chain.tabular
        if row is None or row.kind != kind:
            return Found()
        bits, managed = held.along(warehouse_id, chain)
        bits |= held.tabulars.get(row.id, (0, 0))[managed]
        return Found(bits, bool(bits & LIST), row.id, row.created_at, row)

    def _chain(
        self, namespace: Namespace | None, name: str = "", inside: permissions.Inside = ""
    ) -> Chain:
        """Return the chain to a name; what the caller holds is of its generation."""
        warehouse = self._call.warehouse
        chain = permissions.chain(
            warehouse.store.autocommit(), warehouse.id, namespace, name, inside
        )
        if self._held is None or self._held.generation != chain.generation:
            self._held = warehouse.permissions.held(
                warehouse.store, self._principal.id, self._principal.groups, chain.generation
            )
        return chain

    def _require_held(self) -> Held:
        if self._held is None:
            raise RuntimeError("nothing was looked up")
        return self._held

    def _was_completed(self) -> bool:
        """Return whether this very request was completed before, for the same caller."""
        key = self._call.idempotency_key
        return key is not None and idempotency.recall(self._call, key) is not None

    def _absent(self, need: Need) -> CatalogError:
        entity = need.entity
        if need.kind == "home" and isinstance(entity, int):
            row = self._drop(entity)
            return absent(entity if row is None else row.identifier.namespace)
        if (
            need.kind == "function"
            and isinstance(entity, TableIdentifier)
            and not self.find(entity.namespace).visible
        ):
            return absent(entity.namespace)
        return absent(entity, need.kind)


def _of_namespace(held: Held, warehouse_id: int, namespace: Namespace, chain: Chain) -> Found:
    if len(chain.levels) < len(namespace.levels):
        return Found()
    last = chain.levels[-1]
    bits, _ = held.along(warehouse_id, chain)
    visible = bool(bits & LIST) or last.id in held.on_the_way
    return Found(bits, visible, last.id, last.created_at)


def _describe(call: Call, need: Need) -> str:
    """Return an entity as messages name it."""
    entity = need.entity
    if entity == SERVER:
        return "the server"
    if entity is None:
        return f"warehouse {call.warehouse.name}"
    if need.kind == "home":
        return f"the namespace of dropped table {entity}"
    if isinstance(entity, Namespace):
        return f"namespace {entity}"
    return f"{'dropped table' if need.kind == 'dropped' else need.kind} {entity}"
