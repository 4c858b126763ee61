"""The entities that privileges are granted on: their names, and the containers around them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from falcon_catalog.catalog.events import Event
from falcon_catalog.errors import (
    BadRequestError,
    CatalogError,
    NoSuchFunctionError,
    NoSuchNamespaceError,
    NoSuchTableError,
    NoSuchViewError,
    NoSuchWarehouseError,
    NotFoundError,
    show,
)
from falcon_catalog.identifiers import Namespace, TableIdentifier, check_name
from falcon_catalog.store import dropped, functions, protection, tabulars, warehouses
from falcon_catalog.store.database import Transaction
from falcon_catalog.store.grants import SERVER, Entity, GrantRow

Type = Literal["server", "warehouse", "namespace", "table", "view", "function", "dropped"]
TYPES: tuple[Type, ...] = get_args(Type)

_LAST_ID = 2**63 - 1
_FIELDS: dict[Type, frozenset[str]] = {
    "server": frozenset(),
    "warehouse": frozenset({"warehouse"}),
    "namespace": frozenset({"warehouse", "namespace"}),
    "table": frozenset({"warehouse", "namespace", "name"}),
    "view": frozenset({"warehouse", "namespace", "name"}),
    "function": frozenset({"warehouse", "namespace", "name"}),
    "dropped": frozenset({"warehouse", "id"}),
}


@dataclass(frozen=True, slots=True)
class EntityName:
    """The name of the server, a warehouse, or something in one."""

    type: Type
    warehouse: str = ""
    namespace: Namespace | None = None
    name: str = ""
    id: int = 0
    """Of a dropped table or view."""

    @classmethod
    def of(cls, value: object) -> "EntityName":
        """Check the JSON form of an entity, as ``as_json`` returns it.

        Raises:
            BadRequestError: it is none.
        """
        if not isinstance(value, Mapping):
            raise BadRequestError(f"Invalid entity: {show(value)} is not an object")
        kind = value.get("type")
        if kind not in TYPES:
            raise BadRequestError(
                f"Invalid entity type {show(kind)}: it is none of {', '.join(TYPES)}"
            )
        wanted = _FIELDS[kind]
        if value.keys() - {"type"} != wanted:
            fields = ", ".join(sorted(wanted)) or "no other field"
            raise BadRequestError(f"Invalid entity: one of type {kind} has type and {fields}")
        number = value.get("id", 1)
        if isinstance(number, bool) or not isinstance(number, int) or not 0 < number <= _LAST_ID:
            raise BadRequestError(f"Invalid entity: {show(number)} is not the id of a drop")
        return cls(
            kind,
            check_name(value["warehouse"], "warehouse") if "warehouse" in wanted else "",
            Namespace.of(value["namespace"]) if "namespace" in wanted else None,
            check_name(value["name"], kind) if "name" in wanted else "",
            number if "id" in wanted else 0,
        )

    @classmethod
    def of_grant(cls, row: GrantRow) -> "EntityName":
        """Return the name of what a grant is on."""
        warehouse = row.warehouse or ""
        if row.entity.kind == "dropped":
            return cls("dropped", warehouse, id=row.entity.id or 0)
        namespace = Namespace.from_path(row.namespace_path) if row.namespace_path else None
        if row.entity.kind == "tabular":
            kind: Type = "view" if row.tabular_kind == "view" else "table"
        else:
            kind = row.entity.kind
        return cls(kind, warehouse, namespace, row.name or "")

    @property
    def identifier(self) -> TableIdentifier:
        """The name of a table, view or function in its warehouse."""
        if self.namespace is None:
            raise LookupError(self.type)
        return TableIdentifier(self.namespace, self.name)

    @property
    def is_in_namespace(self) -> bool:
        """Whether it is a table, a view or a function."""
        return self.type in {"table", "view", "function"}

    def as_json(self) -> dict[str, Any]:
        """Return the form that the management API has."""
        shown: dict[str, Any] = {"type": self.type}
        if self.type != "server":
            shown["warehouse"] = self.warehouse
        if self.namespace is not None:
            shown["namespace"] = list(self.namespace.levels)
        if self.is_in_namespace:
            shown["name"] = self.name
        if self.type == "dropped":
            shown["id"] = self.id
        return shown

    def __str__(self) -> str:
        if self.type == "server":
            return "the server"
        if self.type == "warehouse":
            return f"warehouse {self.warehouse}"
        if self.type == "dropped":
            return f"dropped {self.id}"
        own = self.identifier if self.is_in_namespace else self.namespace
        return f"{self.type} {own}"


@dataclass(frozen=True, slots=True)
class Step:
    """An entity on the way from the server to another one."""

    entity: Entity
    name: EntityName
    is_managed: bool = False
    """Whether owners of what is inside may not grant."""


Path = tuple[Step, ...]
"""An entity and all that is around it: the server first, the entity itself last."""


def find(tx: Transaction, name: EntityName) -> Path:
    """Return an entity and what is around it; in a change they stay until COMMIT.

    Raises:
        NoSuchWarehouseError, NoSuchNamespaceError, NoSuchTableError, NoSuchViewError,
        NoSuchFunctionError, NotFoundError: it does not exist. The error does not depend on which
            container is missing.
    """
    server = Step(SERVER, EntityName("server"))
    if name.type == "server":
        return (server,)
    warehouse = warehouses.find(tx, name.warehouse)
    if warehouse is None:
        raise missing(name)
    entity = Entity("warehouse", warehouse.id)
    managed = protection.marks(tx, entity)["managed"]
    outer = (server, Step(entity, EntityName("warehouse", name.warehouse), managed))
    if name.type == "warehouse":
        return outer
    if name.type == "dropped":
        row = dropped.find(tx, warehouse.id, name.id)
        if row is None:
            raise missing(name)
        home = row.identifier.namespace
        around = _namespaces(tx, warehouse.id, name, home, before=row.dropped_at)
        return (*outer, *around, Step(Entity("dropped", row.id), name))
    if name.namespace is None:
        raise LookupError(name.type)
    around = _namespaces(tx, warehouse.id, name, name.namespace)
    if len(around) != len(name.namespace.levels):
        raise missing(name)
    if name.type == "namespace":
        return (*outer, *around)
    return (*outer, *around, Step(_inside(tx, warehouse.id, name, around[-1]), name))


def event(operation: str, name: EntityName) -> Event:
    """Return the event of a change of what principals may do with an entity."""
    about = None if name.type == "dropped" else name.namespace
    return Event(
        operation,
        name.type,
        name.identifier if name.is_in_namespace else about,
        "access",
        id=name.id or None,
        warehouse=name.warehouse or None,
    )


def missing(name: EntityName) -> CatalogError:
    """Return the error for a name that no entity has, or none that the caller may list."""
    if name.type == "warehouse":
        return NoSuchWarehouseError(f"Warehouse does not exist: {name.warehouse}")
    if name.type == "namespace":
        return NoSuchNamespaceError(f"Namespace does not exist: {name.namespace}")
    if name.type == "dropped":
        return NotFoundError(f"Dropped table or view does not exist: {name.id}")
    error = {
        "table": NoSuchTableError,
        "view": NoSuchViewError,
        "function": NoSuchFunctionError,
    }[name.type]
    return error(f"{name.type.capitalize()} does not exist: {name.identifier}")


def _namespaces(
    tx: Transaction,
    warehouse_id: int,
    name: EntityName,
    innermost: Namespace,
    *,
    before: int | None = None,
) -> tuple[Step, ...]:
    """Return the levels of a namespace that exist, the outermost first.

    With ``before`` without those that were created since: what was dropped then was never in them.
    """
    levels = innermost.levels
    paths = [Namespace(levels[: count + 1]).path for count in range(len(levels))]
    return tuple(
        Step(
            Entity("namespace", id_),
            EntityName("namespace", name.warehouse, Namespace.from_path(path)),
            managed,
        )
        for id_, path, managed, created_at in protection.levels(tx, warehouse_id, paths)
        if before is None or created_at < before
    )


def _inside(tx: Transaction, warehouse_id: int, name: EntityName, around: Step) -> Entity:
    """Return a table, view or function; raise the error for a missing one if there is none."""
    if name.type == "function":
        if around.entity.id is None:
            raise LookupError(around)
        function = functions.find(tx, around.entity.id, name.name)
        if function is None:
            raise missing(name)
        return Entity("function", function.id)
    row = tabulars.find(tx, warehouse_id, name.identifier, lock=True)
    if row is None or row.kind != name.type:
        raise missing(name)
    return Entity("tabular", row.id)
