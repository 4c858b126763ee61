"""What entities are marked as: protected from drops, managed, or read-only."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from falcon_catalog.catalog import entities, evaluation, events
from falcon_catalog.catalog.call import Call, StoreCall
from falcon_catalog.catalog.entities import EntityName, Type
from falcon_catalog.catalog.privileges import Privilege
from falcon_catalog.catalog.warehouse import Warehouse
from falcon_catalog.errors import BadRequestError, ForbiddenError, show
from falcon_catalog.store import grants, protection
from falcon_catalog.store.database import Transaction, again
from falcon_catalog.store.grants import Entity
from falcon_catalog.store.protection import MARKS, Mark

_NAMES: dict[str, Mark] = {
    "protected": "protected",
    "managed": "managed",
    "read-only": "read_only",
}


@dataclass(frozen=True, slots=True)
class Marked:
    """An entity and everything that it can be marked as."""

    entity: EntityName
    values: Mapping[str, bool]

    def as_json(self) -> dict[str, Any]:
        """Return the form that the management API has."""
        return {"entity": self.entity.as_json(), **self.values}


def get(call: StoreCall, entity: EntityName) -> Marked:
    """Return what an entity is marked as; the caller needs ``describe`` on it."""
    with call.store.read() as tx:
        path = entities.find(tx, entity)
        evaluation.require(tx, call, path, "describe", "showing protection")
        return _marked(tx, entity, path[-1].entity)


@again
def change(call: StoreCall, entity: EntityName, values: Mapping[str, object]) -> Marked:
    """Mark an entity, or end that. The caller needs ``grant`` on it; for the server, ``admin``.

    Raises:
        BadRequestError: there is no such mark, or entities of its type cannot have it.
        ForbiddenError: the caller may not.
    """
    if not values:
        raise BadRequestError(f"Invalid request: it names none of {', '.join(_NAMES)}")
    for name, value in values.items():
        if name not in _NAMES:
            raise BadRequestError(f"Invalid field {show(name)}: it is none of {', '.join(_NAMES)}")
        if not isinstance(value, bool):
            raise BadRequestError(f"Invalid {name}: {show(value)} is not true or false")
    with call.store.write() as tx:
        path = entities.find(tx, entity)
        grants.touch(tx)
        privilege: Privilege = "admin" if entity.type == "server" else "grant"
        evaluation.require(tx, call, path, privilege, "this change")
        inner = path[-1].entity
        for name in values:
            if _NAMES[name] not in MARKS[inner.kind]:
                raise BadRequestError(f"Invalid field {name}: {entity} cannot be {name}")
        before = _marked(tx, entity, inner)
        protection.mark(tx, inner, {_NAMES[name]: value is True for name, value in values.items()})
        after = _marked(tx, entity, inner)
        if after != before:
            event = entities.event("updateEntity", entity)
            event.detail = {
                name: value for name, value in after.values.items() if value != before.values[name]
            }
            events.record(tx, call, event)
        return after


def require_unprotected(tx: Transaction, entity: Entity, kind: Type, name: object) -> None:
    """Raise ForbiddenError if an entity is protected.

    Args:
        tx: the transaction that drops it.
        entity: what is dropped, or purged.
        kind: its type.
        name: how the request names it.
    """
    if protection.is_protected(tx, entity):
        what = "purged" if kind == "dropped" else "dropped"
        raise ForbiddenError(
            f"{kind.capitalize()} {name} is protected and cannot be {what}. End that first:"
            f" falcon-catalog access unprotect {kind} {name}, or POST /management/v1/entities"
        )


def require_writable(call: Call) -> None:
    """Raise ForbiddenError if the server, or the warehouse of a call, is read-only."""
    server, warehouse = protection.read_only(call.warehouse.store.autocommit(), call.warehouse.id)
    if server or warehouse:
        what = "The server" if server else f"Warehouse {call.warehouse.name}"
        raise ForbiddenError(f"{what} is read-only. Nothing was changed")


def is_read_only(warehouse: Warehouse) -> bool:
    """Return whether a warehouse, or its server, is read-only."""
    return any(protection.read_only(warehouse.store.autocommit(), warehouse.id))


def _marked(tx: Transaction, name: EntityName, entity: Entity) -> Marked:
    found = protection.marks(tx, entity)
    return Marked(name, {name: found[mark] for name, mark in _NAMES.items() if mark in found})
