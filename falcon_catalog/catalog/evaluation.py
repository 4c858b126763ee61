"""What a principal may do with an entity, and why: evaluated from the rows themselves.

The check of each request (``authorization``) has caches; this has none. Changes of grants rely on
it in their own transaction, and explanations show its steps.
"""

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass

from falcon_catalog.catalog.call import StoreCall
from falcon_catalog.catalog.entities import EntityName, Path, missing
from falcon_catalog.catalog.privileges import (
    ADMIN,
    ALL,
    BITS,
    GRANT,
    LIST,
    Privilege,
    effective,
    names,
)
from falcon_catalog.errors import ForbiddenError
from falcon_catalog.store import grants, principals, roles
from falcon_catalog.store.database import Transaction
from falcon_catalog.store.grants import GrantRow


@dataclass(frozen=True, slots=True)
class Reason:
    """A grant that a principal has on an entity or a container around it."""

    grant: GrantRow
    on: EntityName
    through: tuple[str, ...]
    """The roles that lead from the principal to the grant, the one that has it last."""
    gives: int
    """The bits that it gives on the entity, with those that they contain."""


@dataclass(frozen=True, slots=True)
class Authority:
    """What a caller may do with an entity."""

    bits: int
    above: int
    """What it may do with the container around the entity."""


def reasons(
    tx: Transaction, path: Path, principal_id: int, groups: Iterable[tuple[str, str]] = ()
) -> list[Reason]:
    """Return the grants that a principal has on an entity and around it, the outermost first."""
    holders = _holders(tx, principal_id, groups)
    found = []
    is_managed = False  # anything further out: owners of this and of what is inside may not grant
    for step in path:
        for row in grants.on(tx, step.entity):
            if row.principal_id in holders:
                gives = _gives(row.bits, is_managed=is_managed)
                found.append(Reason(row, step.name, holders[row.principal_id], gives))
        is_managed = is_managed or step.is_managed
    return found


def bits_on(
    tx: Transaction, path: Path, principal_id: int, groups: Iterable[tuple[str, str]] = ()
) -> int:
    """Return what a principal may do with an entity; ``list`` also for a grant inside of it."""
    bits = 0
    for reason in reasons(tx, path, principal_id, groups):
        bits |= reason.gives
    if not bits & LIST and leads_inside(tx, path, principal_id, groups):
        bits |= LIST
    return bits


def leads_inside(
    tx: Transaction, path: Path, principal_id: int, groups: Iterable[tuple[str, str]] = ()
) -> bool:
    """Return whether a principal has a grant on anything inside a warehouse or namespace."""
    entity = path[-1].entity
    if entity.kind not in {"warehouse", "namespace"}:
        return False
    return grants.any_inside(tx, _holders(tx, principal_id, groups).keys(), entity)


def authority(tx: Transaction, call: StoreCall, path: Path) -> Authority:
    """Return what the caller may do with an entity that it may list.

    Raises:
        CatalogError: it may not: the error is the same as if the entity did not exist.
    """
    if call.principal is None:
        return Authority(ALL, ALL)
    caller, groups = call.principal.id, call.principal.groups
    bits = bits_on(tx, path, caller, groups)
    name = path[-1].name
    if not bits & LIST and name.type != "server":
        raise missing(name)
    above = 0 if name.type == "server" else bits_on(tx, path[:-1], caller, groups)
    return Authority(bits, above)


def require(tx: Transaction, call: StoreCall, path: Path, privilege: Privilege, what: str) -> None:
    """Raise ForbiddenError unless the caller has a privilege, which ``what`` needs; hide as above.

    ``admin`` on the server is enough for everything but data.
    """
    bits = authority(tx, call, path).bits
    if not bits & (BITS[privilege] | ADMIN):
        raise ForbiddenError(
            f"Not allowed: {what} needs the privilege {privilege} on {path[-1].name}"
        )


def may_list_grants(tx: Transaction, call: StoreCall, path: Path) -> set[EntityName]:
    """Return those of an entity and its containers whose grants the caller may list."""
    if call.principal is None:
        return {step.name for step in path}
    caller, groups = call.principal.id, call.principal.groups
    return {
        step.name
        for depth, step in enumerate(path, 1)
        if bits_on(tx, path[:depth], caller, groups) & (GRANT | ADMIN)
    }


def who_may_grant(
    tx: Transaction, path: Path, bit: int, listed: Container[EntityName]
) -> list[str]:
    """Return the names of principals and roles that may grant a privilege on an entity.

    Only the grants on those of its containers count that are ``listed``.
    """
    found: dict[str, None] = {}
    is_managed = False
    last = len(path) - 1
    for depth, step in enumerate(path):
        for row in grants.on(tx, step.entity):
            gives = _gives(row.bits, is_managed=is_managed)
            may = may_grant(Authority(gives, gives if depth < last else 0), bit)
            if may and step.name in listed:
                found[row.principal] = None
        is_managed = is_managed or step.is_managed
    return list(found)


def may_grant(caller: Authority, bit: int) -> bool:
    """Return whether a caller may grant, or revoke, one privilege on an entity.

    ``own`` needs ``own``, or ``grant`` on the container; ``admin`` needs ``admin``. All others need
    ``grant`` on the entity.
    """
    if bit == ADMIN:
        return bool(caller.bits & ADMIN)
    if bit == BITS["own"]:
        return bool(caller.bits & GRANT and (caller.bits & bit or caller.above & GRANT))
    return bool(caller.bits & GRANT)


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a principal may do something, or what is missing."""

    principal: str
    privilege: Privilege
    entity: EntityName
    is_allowed: bool
    is_disabled: bool
    """Whether the principal is disabled: it may do nothing then, whatever its grants are."""
    reasons: tuple[Reason, ...]
    """The grants that allow it; if nothing does, all that the principal has on the way."""
    is_list_from_inside: bool
    """Whether it may be listed because of a grant on something inside of it."""
    could_grant: tuple[str, ...]
    """Principals and roles that may grant what is missing."""
    is_partial: bool
    """Whether there may be grants that the caller may not list, and that are left out."""

    def as_json(self) -> dict[str, object]:
        """Return the form that the management API has."""
        return {
            "principal": self.principal,
            "privilege": self.privilege,
            "entity": self.entity.as_json(),
            "allowed": self.is_allowed,
            "disabled": self.is_disabled,
            "grants": [
                {
                    "privileges": names(each.grant.bits),
                    "entity": each.on.as_json(),
                    "principal": each.grant.principal,
                    "through": list(each.through),
                    "gives": names(each.gives),
                    "granted-by": each.grant.granted_by,
                    "granted-at-ms": each.grant.granted_at,
                }
                for each in self.reasons
            ],
            "listed-because-of-grants-inside": self.is_list_from_inside,
            "could-grant": list(self.could_grant),
            "partial": self.is_partial,
        }


def explain(
    tx: Transaction,
    call: StoreCall,
    path: Path,
    row: principals.PrincipalRow,
    privilege: Privilege,
) -> Explanation:
    """Explain to the caller whether a principal has a privilege on an entity.

    The roles that the principal has through groups of an identity provider count only if it is the
    caller: they are in its tokens, not in the store. The caller is shown its own grants, and others
    on what has grants that it may list.
    """
    listed = may_list_grants(tx, call, path)
    is_own = call.principal is not None and call.principal.id == row.id
    groups = tuple(call.principal.groups) if is_own and call.principal is not None else ()
    every = reasons(tx, path, row.id, groups)
    matching = [each for each in every if each.gives & BITS[privilege]]
    inside = privilege == "list" and not matching and leads_inside(tx, path, row.id, groups)
    is_allowed = bool(matching or inside) and not row.disabled
    return Explanation(
        row.name,
        privilege,
        path[-1].name,
        is_allowed,
        row.disabled,
        tuple(each for each in matching or every if is_own or each.on in listed),
        inside,
        () if matching or inside else tuple(who_may_grant(tx, path, BITS[privilege], listed)),
        len(listed) < len(path),
    )


def _gives(bits: int, *, is_managed: bool) -> int:
    """Return what granted bits give; owners inside of a managed container may not grant."""
    given = effective(bits)
    if is_managed and not bits & (GRANT | ADMIN):
        given &= ~GRANT
    return given


def _holders(
    tx: Transaction, principal_id: int, groups: Iterable[tuple[str, str]]
) -> Mapping[int, tuple[str, ...]]:
    """Return whose grants a principal has: by id, the roles that lead there."""
    seeds = [principal_id]
    for issuer, value in groups:
        seeds += roles.of_group(tx, issuer, value)
    everyone = principals.find(tx, principals.EVERYONE)
    if everyone is not None:
        seeds.append(everyone.id)
    found: dict[int, tuple[str, ...]] = {}
    rows = roles.holdings(tx, seeds)
    waiting = list(rows)
    while waiting:  # a member may come after the role that it leads to
        left = []
        for row in waiting:
            if row.through is not None and row.through not in found:
                left.append(row)
            elif row.id not in found:
                before = () if row.through is None else found[row.through]
                own = () if row.id == principal_id else (row.name,)
                found[row.id] = (*before, *own)
        if len(left) == len(waiting):
            raise LookupError(f"roles that no member leads to: {left}")
        waiting = left
    return found
