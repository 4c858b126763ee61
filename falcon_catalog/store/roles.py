"""Rows of the members of roles, and of the groups of identity providers that have roles.

What changes here changes what principals may do: the callers raise the generation
(``store.grants.touch``) first, which also makes them wait for one another.
"""

from collections.abc import Collection
from dataclasses import dataclass

from falcon_catalog.store.database import Transaction
from falcon_catalog.store.grants import SERVER


@dataclass(frozen=True, slots=True)
class Holding:
    """A principal whose grants another one has, and through which of its members."""

    id: int
    name: str
    kind: str
    through: int | None
    """The id of the member of it that leads to the first principal; None for that one itself."""


@dataclass(frozen=True, slots=True)
class Group:
    """A group of an identity provider, and a role that its members have."""

    issuer: str
    """The name of the identity provider in the settings."""
    value: str
    role: str


def holdings(tx: Transaction, seeds: Collection[int]) -> list[Holding]:
    """Return some principals, and the roles that they are members of, directly or through roles."""
    marks = ",".join("?" * len(seeds))
    rows = tx.all(
        "WITH RECURSIVE held (id, through) AS ("  # noqa: S608 - only marks
        f" SELECT id, CAST(NULL AS BIGINT) FROM principals WHERE id IN ({marks})"
        " UNION SELECT m.role_id, m.member_id FROM role_members m JOIN held h ON m.member_id = h.id"
        ") SELECT p.id, p.name, p.kind, h.through FROM held h JOIN principals p ON p.id = h.id"
        " ORDER BY h.through IS NOT NULL, p.name",
        tuple(seeds),
    )
    return [Holding(*row) for row in rows]


def of_group(tx: Transaction, issuer: str, value: str) -> list[int]:
    """Return the ids of the roles that the members of a group have."""
    rows = tx.all("SELECT role_id FROM group_roles WHERE issuer = ? AND value = ?", (issuer, value))
    return [int(row[0]) for row in rows]


def nesting(tx: Transaction) -> dict[int, set[int]]:
    """Return the roles that are members of roles: for each such role, those that it is in."""
    found: dict[int, set[int]] = {}
    for member, role in tx.all(
        "SELECT m.member_id, m.role_id FROM role_members m JOIN principals p ON p.id = m.member_id"
        " WHERE p.kind = 'role'"
    ):
        found.setdefault(member, set()).add(role)
    return found


def members(tx: Transaction, role_id: int) -> list[tuple[str, str]]:
    """Return the names and kinds of the direct members of a role, ordered."""
    return tx.all(
        "SELECT p.name, p.kind FROM role_members m JOIN principals p ON p.id = m.member_id"
        " WHERE m.role_id = ? ORDER BY p.name",
        (role_id,),
    )


def add_member(tx: Transaction, role_id: int, member_id: int) -> bool:
    """Add a member to a role; return False if it is one."""
    return bool(
        tx.change(
            "INSERT INTO role_members (role_id, member_id) VALUES (?, ?) ON CONFLICT DO NOTHING",
            (role_id, member_id),
        )
    )


def remove_member(tx: Transaction, role_id: int, member_id: int) -> bool:
    """Remove a member from a role; return False if it is none."""
    return bool(
        tx.change(
            "DELETE FROM role_members WHERE role_id = ? AND member_id = ?", (role_id, member_id)
        )
    )


def groups(tx: Transaction) -> list[Group]:
    """Return the groups that have roles, ordered."""
    rows = tx.all(
        "SELECT g.issuer, g.value, p.name FROM group_roles g JOIN principals p ON p.id = g.role_id"
        " ORDER BY g.issuer, g.value, p.name"
    )
    return [Group(*row) for row in rows]


def add_group(tx: Transaction, issuer: str, value: str, role_id: int) -> bool:
    """Give the members of a group a role; return False if they have it."""
    return bool(
        tx.change(
            "INSERT INTO group_roles (issuer, value, role_id) VALUES (?, ?, ?)"
            " ON CONFLICT DO NOTHING",
            (issuer, value, role_id),
        )
    )


def remove_group(tx: Transaction, issuer: str, value: str, role_id: int) -> bool:
    """Take a role from the members of a group; return False if they do not have it."""
    return bool(
        tx.change(
            "DELETE FROM group_roles WHERE issuer = ? AND value = ? AND role_id = ?",
            (issuer, value, role_id),
        )
    )


def rename(tx: Transaction, role_id: int, name: str) -> bool:
    """Rename a role; return False if the name is taken."""
    return bool(
        tx.change(
            "UPDATE principals SET name = ? WHERE id = ?"
            " AND NOT EXISTS (SELECT 1 FROM principals WHERE name = ?)",
            (name, role_id, name),
        )
    )


def any_enabled(tx: Transaction, bits: int) -> bool:
    """Return whether a user or service that is enabled has any of these bits on the server.

    Roles count through their members. Who has a role through a group is not known here.
    """
    row = tx.one(
        "WITH RECURSIVE held (id) AS ("  # noqa: S608 - a condition of our own
        f" SELECT principal_id FROM grants WHERE {SERVER.where} AND (bits & ?) <> 0"
        " UNION SELECT m.member_id FROM role_members m JOIN held h ON m.role_id = h.id)"
        " SELECT 1 FROM held h JOIN principals p ON p.id = h.id"
        " WHERE p.kind <> 'role' AND p.disabled = 0 LIMIT 1",
        (bits,),
    )
    return row is not None
