"""The verbs of grants: grant, revoke, list, explain."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from falcon_catalog.catalog import accounts, administrators, entities, evaluation, events
from falcon_catalog.catalog.call import StoreCall
from falcon_catalog.catalog.entities import EntityName, Path
from falcon_catalog.catalog.evaluation import Explanation
from falcon_catalog.catalog.events import Event
from falcon_catalog.catalog.privileges import ADMIN, BITS, GRANT, OWN, Privilege, names
from falcon_catalog.errors import BadRequestError, ForbiddenError, show
from falcon_catalog.store import grants
from falcon_catalog.store.database import Transaction, again
from falcon_catalog.store.grants import GrantRow
from falcon_catalog.store.principals import EVERYONE, PrincipalRow

MAX_CHANGES = 100
_CONTAINERS = {"server", "warehouse", "namespace"}


@dataclass(frozen=True, slots=True)
class Change:
    """Privileges to grant or to revoke."""

    privileges: tuple[Privilege, ...]
    entity: EntityName
    principal: str

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> "Change":
        """Check the ``{"privileges", "entity", "principal"}`` of a request.

        Raises:
            BadRequestError: it is not of this form.
        """
        if unknown := value.keys() - {"privileges", "entity", "principal"}:
            raise BadRequestError(f"Invalid grant: it has the unknown field {min(unknown)!r}")
        return cls(
            read_privileges(value.get("privileges")),
            EntityName.of(value.get("entity")),
            read_principal(value.get("principal")),
        )

    @property
    def bits(self) -> int:
        """The privileges as bits."""
        return sum(BITS[each] for each in set(self.privileges))


@dataclass(frozen=True, slots=True)
class Grant:
    """What a principal was granted on an entity itself."""

    entity: EntityName
    principal: str
    principal_type: str
    bits: int
    granted_by: str
    granted_at: int
    """Milliseconds since 1970-01-01 UTC."""

    @classmethod
    def of(cls, row: GrantRow) -> "Grant":
        """Return a row with the name of what it is on."""
        return cls(
            EntityName.of_grant(row),
            row.principal,
            row.principal_kind,
            row.bits,
            row.granted_by,
            row.granted_at,
        )

    def as_json(self) -> dict[str, Any]:
        """Return the form that the management API has."""
        return {
            "entity": self.entity.as_json(),
            "principal": self.principal,
            "principal-type": self.principal_type,
            "privileges": names(self.bits),
            "granted-by": self.granted_by,
            "granted-at-ms": self.granted_at,
        }


@dataclass(frozen=True, slots=True)
class Changed:
    """What a principal has on an entity itself after a change."""

    entity: EntityName
    principal: str
    bits: int
    before: int

    def as_json(self) -> dict[str, Any]:
        """Return the form that the management API has."""
        return {
            "entity": self.entity.as_json(),
            "principal": self.principal,
            "privileges": names(self.bits),
        }


@again
def change(
    call: StoreCall, *, grant: Sequence[Change] = (), revoke: Sequence[Change] = ()
) -> list[Changed]:
    """Grant and revoke privileges: all of them, or none. Return what each principal has then.

    A repetition changes nothing more. Revoking ``select`` from a principal that has ``write``,
    which contains it, leaves ``write``.

    Raises:
        NoSuchPrincipalError: a principal does not exist.
        CatalogError: an entity does not exist, or the caller may not list it.
        ForbiddenError: the caller may not grant one of the privileges, or the last administrator
            would lose its own.
        BadRequestError: there are too many changes or none, or an entity or principal cannot have
            a privilege.
    """
    total = len(grant) + len(revoke)
    if not 0 < total <= MAX_CHANGES:
        raise BadRequestError(
            f"Invalid number of grants: {total} in one request, 1 to {MAX_CHANGES} are allowed"
        )
    for each in grant:
        _check(each)
    with call.store.write() as tx:
        # Rows of entities are locked before the generation is, as every drop does.
        paths = _paths(tx, call, [*grant, *revoke])
        grants.touch(tx)
        with administrators.kept(tx):
            done = [_apply(tx, call, paths[each.entity], each, adds=True) for each in grant]
            done += [_apply(tx, call, paths[each.entity], each, adds=False) for each in revoke]
        if found := [_event(each) for each in done if each.bits != each.before]:
            events.record(tx, call, *found)
    return done


def on_entity(call: StoreCall, entity: EntityName) -> list[Grant]:
    """Return the grants on an entity itself; the caller needs ``grant`` on it.

    Raises:
        ForbiddenError: it has not.
    """
    with call.store.read() as tx:
        path = entities.find(tx, entity)
        evaluation.require(tx, call, path, "grant", "listing grants")
        return [Grant.of(row) for row in grants.on(tx, path[-1].entity)]


def of_principal(call: StoreCall, name: str) -> list[Grant]:
    """Return the grants that a principal itself has, not those of its roles.

    Raises:
        ForbiddenError: it is not the caller, who has no ``admin``.
        NoSuchPrincipalError: there is no such principal.
    """
    with call.store.read() as tx:
        if call.principal is None or call.principal.name != name:
            server = entities.find(tx, EntityName("server"))
            evaluation.require(tx, call, server, "admin", "listing the grants of others")
        row = accounts.require(tx, name)
        return [Grant.of(each) for each in grants.of(tx, row.id)]


def all_(call: StoreCall) -> list[Grant]:
    """Return all grants; the caller needs ``admin``."""
    with call.store.read() as tx:
        server = entities.find(tx, EntityName("server"))
        evaluation.require(tx, call, server, "admin", "listing all grants")
        return [Grant.of(each) for each in grants.every(tx)]


def explain(call: StoreCall, name: str, privilege: Privilege, entity: EntityName) -> Explanation:
    """Explain why a principal has a privilege on an entity, or what is missing.

    Callers may ask about themselves; about others with ``grant`` on the entity, or ``admin``.

    Raises:
        ForbiddenError: the caller may not ask.
        NoSuchPrincipalError: there is no such principal.
        CatalogError: the entity does not exist, or the caller may not list it.
        BadRequestError: nothing of this type can have the privilege.
    """
    check_privilege(privilege, entity)
    with call.store.read() as tx:
        path = entities.find(tx, entity)
        own = call.principal is not None and call.principal.name == name
        if own:
            evaluation.authority(tx, call, path)
        else:
            evaluation.require(tx, call, path, "grant", "explaining the access of others")
        return evaluation.explain(tx, call, path, accounts.require(tx, name), privilege)


def read_privileges(value: object) -> tuple[Privilege, ...]:
    """Check a list of names of privileges."""
    if not isinstance(value, list | tuple) or not value:
        raise BadRequestError(
            f"Invalid privileges: {show(value)} is not a list of at least one privilege"
        )
    return tuple(read_privilege(each) for each in value)


def read_privilege(value: object) -> Privilege:
    """Check the name of a privilege."""
    if not isinstance(value, str) or value not in BITS:
        raise BadRequestError(f"Invalid privilege {show(value)}: it is none of {', '.join(BITS)}")
    return cast("Privilege", value)


def read_principal(value: object) -> str:
    """Check that a value can be the name of a principal."""
    if not isinstance(value, str) or not value:
        raise BadRequestError(f"Invalid principal: {show(value)} is not a name")
    return value


def suits(privilege: Privilege, entity: EntityName) -> bool:
    """Return whether a privilege means something on such an entity."""
    if privilege == "admin":
        return entity.type == "server"
    return privilege != "create" or entity.type in _CONTAINERS


def check_privilege(privilege: Privilege, entity: EntityName) -> None:
    """Raise BadRequestError for a privilege that means nothing on such an entity."""
    if not suits(privilege, entity):
        of = "the server only" if privilege == "admin" else "the server, warehouses and namespaces"
        raise BadRequestError(f"Invalid privilege: {privilege} is of {of}, not of {entity}")


def _event(done: Changed) -> Event:
    added = done.bits & ~done.before
    event = entities.event("grant" if added else "revoke", done.entity)
    event.before, event.after = (",".join(names(bits)) for bits in (done.before, done.bits))
    event.detail = {
        "principal": done.principal,
        "privileges": names(added or done.before & ~done.bits),
    }
    return event


def _check(change: Change) -> None:
    for privilege in change.privileges:
        check_privilege(privilege, change.entity)
    if change.principal == EVERYONE and change.bits & (GRANT | OWN | ADMIN):
        raise BadRequestError(
            f"Invalid grant: the role {EVERYONE} cannot have grant, own or admin, which each"
            " principal that is added later would have too"
        )


def _paths(tx: Transaction, call: StoreCall, changes: Sequence[Change]) -> dict[EntityName, Path]:
    """Return each entity with its containers, found in one order so that no deadlock results."""
    found = {}
    for entity in sorted({each.entity for each in changes}, key=str):
        found[entity] = entities.find(tx, entity)
        evaluation.authority(tx, call, found[entity])
    return found


def _apply(tx: Transaction, call: StoreCall, path: Path, change: Change, *, adds: bool) -> Changed:
    caller = evaluation.authority(tx, call, path)
    what = "granting" if adds else "revoking"
    if not caller.bits & (GRANT | ADMIN):
        raise ForbiddenError(
            f"Not allowed: {what} privileges needs the privilege grant on {change.entity}"
        )
    row: PrincipalRow = accounts.require(tx, change.principal)
    entity = path[-1].entity
    before = grants.bits(tx, entity, row.id)
    after = before | change.bits if adds else before & ~change.bits
    for privilege in names(change.bits if adds else before & change.bits):
        if not evaluation.may_grant(caller, BITS[privilege]):
            more = " or grant on its container" if privilege == "own" else ""
            raise ForbiddenError(
                f"Not allowed: {what} {privilege} needs the privilege"
                f" {privilege if privilege in ('own', 'admin') else 'grant'} on"
                f" {change.entity}{more}"
            )
    if after != before:
        grants.set_bits(tx, entity, row.id, after, by=call.actor)
    return Changed(change.entity, row.name, after, before)
