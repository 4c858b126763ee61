"""The verbs of roles: their members, and the groups of identity providers that have them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from falcon_catalog.catalog import accounts, administrators, events
from falcon_catalog.catalog.call import StoreCall
from falcon_catalog.catalog.events import Event
from falcon_catalog.errors import (
    AlreadyExistsError,
    BadRequestError,
    NoSuchPrincipalError,
    show,
)
from falcon_catalog.identifiers import UNLIMITED, Page
from falcon_catalog.store import grants
from falcon_catalog.store import principals as principal_rows
from falcon_catalog.store import roles as rows
from falcon_catalog.store.database import Transaction, again
from falcon_catalog.store.principals import EVERYONE, PrincipalRow
from falcon_catalog.store.roles import Group as Group  # noqa: PLC0414 - of these verbs, too

MAX_DEPTH = 8
"""How many roles may be inside one another."""
MAX_CHANGES = 100
_GROUP_CHARACTERS = 1024
WHOLE = Page(None, UNLIMITED)


@dataclass(frozen=True, slots=True)
class Role:
    """A role and its direct members."""

    name: str
    created_at: int
    """Milliseconds since 1970-01-01 UTC."""
    created_by: str | None
    members: tuple[tuple[str, str], ...]
    """The name and the type of each member."""

    @property
    def is_everyone(self) -> bool:
        """Whether every principal has it."""
        return self.name == EVERYONE

    def as_json(self) -> dict[str, Any]:
        """Return the form that the management API has."""
        return {
            "name": self.name,
            "created-at-ms": self.created_at,
            "created-by": self.created_by,
            "members": [{"name": name, "type": kind} for name, kind in self.members],
        }


def list_(call: StoreCall, page: Page = WHOLE) -> list[Role]:
    """Return roles, ordered by name; nothing is listed as a member of ``everyone``."""
    with call.store.read() as tx:
        return [_role(tx, row) for row in principal_rows.list_(tx, page, kinds={"role"})]


def get(call: StoreCall, name: str) -> Role:
    """Return a role; raise NoSuchPrincipalError if there is none of this name."""
    with call.store.read() as tx:
        return _role(tx, require(tx, name))


@again
def create(call: StoreCall, name: str) -> Role:
    """Add a role without members.

    Raises:
        AlreadyExistsError: a user, service or role has the name.
        BadRequestError: the name is invalid.
    """
    accounts.check_name(name, "role")
    with call.store.write() as tx:
        grants.touch(tx)
        if principal_rows.insert(tx, name, "", kind="role", created_by=call.actor) is None:
            raise AlreadyExistsError(f"Principal already exists: {name}")
        row = require(tx, name)
        events.record(tx, call, accounts.event("createRole", name, "role", id=row.id))
        return _role(tx, row)


@again
def delete(call: StoreCall, name: str) -> None:
    """Remove a role with its grants.

    Raises:
        NoSuchPrincipalError: there is no such role.
        BadRequestError: it is ``everyone``.
        ForbiddenError: the last administrator has its privileges from it.
    """
    with call.store.write() as tx:
        grants.touch(tx)
        row = _require_changeable(tx, name)
        with administrators.kept(tx):
            principal_rows.delete(tx, name)
        events.record(tx, call, accounts.event("deleteRole", name, "role", id=row.id))


@again
def rename(call: StoreCall, name: str, new_name: str) -> Role:
    """Rename a role; its members and grants stay.

    Raises:
        NoSuchPrincipalError: there is no such role.
        AlreadyExistsError: a user, service or role has the new name.
        BadRequestError: the new name is invalid, or the role is ``everyone``.
    """
    accounts.check_name(new_name, "role")
    with call.store.write() as tx:
        grants.touch(tx)
        row = _require_changeable(tx, name)
        if new_name != name and not rows.rename(tx, row.id, new_name):
            raise AlreadyExistsError(f"Principal already exists: {new_name}")
        if new_name != name:
            event = accounts.event("renameRole", new_name, "role", id=row.id)
            event.former = name
            events.record(tx, call, event)
        return _role(tx, require(tx, new_name))


@again
def change_members(
    call: StoreCall, name: str, *, add: Sequence[str] = (), remove: Sequence[str] = ()
) -> Role:
    """Add users, services or other roles to a role, and remove others: all of them, or none.

    What is a member already stays one, and what is none stays none.

    Raises:
        NoSuchPrincipalError: the role or a member does not exist.
        BadRequestError: the role would be a member of itself, roles would be nested too deeply,
            one of them is ``everyone``, or there are too many members or none.
        ForbiddenError: the last administrator has its privileges from the role.
    """
    _check_count(len(add) + len(remove), "members")
    with call.store.write() as tx:
        grants.touch(tx)
        role = _require_changeable(tx, name)
        added: list[str] = []
        with administrators.kept(tx):
            for member in add:
                row = accounts.require(tx, member)
                if row.name == EVERYONE:
                    raise _unchangeable()
                if rows.add_member(tx, role.id, row.id):
                    added.append(row.name)
                if row.kind == "role":
                    _check_nesting(tx, role, row)
            removed = [
                member
                for member in remove
                if rows.remove_member(tx, role.id, accounts.require(tx, member).id)
            ]
        if added or removed:
            changed = {"added": added, "removed": removed}
            event = accounts.event("updateMembers", name, "role", id=role.id, detail=changed)
            events.record(tx, call, event)
        return _role(tx, role)


def list_groups(call: StoreCall) -> list[Group]:
    """Return the groups of identity providers that have roles."""
    with call.store.read() as tx:
        return rows.groups(tx)


@again
def change_groups(
    call: StoreCall, *, add: Sequence[Group] = (), remove: Sequence[Group] = ()
) -> None:
    """Give roles to the members of groups, and take others from them: all of them, or none.

    Raises:
        NoSuchPrincipalError: a role does not exist.
        BadRequestError: a group is malformed, a role is ``everyone``, or there are too many groups
            or none.
    """
    _check_count(len(add) + len(remove), "groups")
    for each in (*add, *remove):
        _check_group(each)
    with call.store.write() as tx:
        grants.touch(tx)
        done = []
        for each in add:
            role = _require_changeable(tx, each.role)
            if rows.add_group(tx, each.issuer, each.value, role.id):
                done.append(_group_event(each, "added"))
        for each in remove:
            role = _require_changeable(tx, each.role)
            if rows.remove_group(tx, each.issuer, each.value, role.id):
                done.append(_group_event(each, "removed"))
        if done:
            events.record(tx, call, *done)


def _group_event(group: Group, what: str) -> Event:
    detail = {what: {"issuer": group.issuer, "group": group.value}}
    return accounts.event("updateGroups", group.role, "role", detail=detail)


def group_as_json(group: Group) -> dict[str, Any]:
    """Return the form that the management API has."""
    return {"issuer": group.issuer, "group": group.value, "role": group.role}


def require(tx: Transaction, name: str) -> PrincipalRow:
    """Return the row of a role; raise NoSuchPrincipalError if there is none of this name."""
    row = principal_rows.find(tx, name)
    if row is None or row.kind != "role":
        raise NoSuchPrincipalError(f"Role does not exist: {name}")
    return row


def _require_changeable(tx: Transaction, name: str) -> PrincipalRow:
    if name == EVERYONE:
        raise _unchangeable()
    return require(tx, name)


def _unchangeable() -> BadRequestError:
    return BadRequestError(
        f"Invalid role {EVERYONE}: every principal has it, it has no other members and no groups,"
        " and is no member of another role"
    )


def _check_nesting(tx: Transaction, role: PrincipalRow, member: PrincipalRow) -> None:
    """Check the roles around a role that has a new member, which is a role."""
    around = rows.nesting(tx)
    outer = [role.id]
    for each in outer:  # grows while it is read
        outer += around.get(each, set()) - set(outer)
    if member.id in outer:
        raise BadRequestError(
            f"Invalid member: role {role.name} is role {member.name} or a member of it, and so"
            " cannot contain it"
        )
    inside: dict[int, set[int]] = {}
    for each, containers in around.items():
        for container in containers:
            inside.setdefault(container, set()).add(each)
    depth = _longest(around, role.id, {}) + _longest(inside, member.id, {})
    if depth > MAX_DEPTH:
        raise BadRequestError(
            f"Invalid member: with role {member.name} in role {role.name}, {depth} roles would be"
            f" inside one another, at most {MAX_DEPTH} are allowed"
        )


def _longest(links: dict[int, set[int]], of: int, known: dict[int, int]) -> int:
    """Return how many roles the longest chain of links from one has; there are no circles."""
    if of not in known:
        known[of] = 1 + max((_longest(links, each, known) for each in links.get(of, ())), default=0)
    return known[of]


def _check_count(count: int, what: str) -> None:
    if not 0 < count <= MAX_CHANGES:
        raise BadRequestError(
            f"Invalid number of {what}: {count} in one request, 1 to {MAX_CHANGES} are allowed"
        )


def _check_group(group: Group) -> None:
    accounts.check_name(group.issuer, "issuer")
    value = group.value
    if (
        not isinstance(value, str)
        or not 0 < len(value) <= _GROUP_CHARACTERS
        or not value.isprintable()
    ):
        raise BadRequestError(
            f"Invalid group {show(value)}: it must be 1 to {_GROUP_CHARACTERS} printable characters"
        )


def _role(tx: Transaction, row: PrincipalRow) -> Role:
    return Role(row.name, row.created_at, row.created_by, tuple(rows.members(tx, row.id)))
