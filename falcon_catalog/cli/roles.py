"""``falcon-catalog roles``."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from tabulate import tabulate

from falcon_catalog.catalog import roles
from falcon_catalog.catalog.roles import Group, Role
from falcon_catalog.cli.common import as_json, echo, echo_json, on_store, utc, with_store
from falcon_catalog.cli.entities import suggestions


@click.group("roles")
def roles_group() -> None:
    """Manage roles, their members, and the groups that have them."""


@roles_group.command("list")
@as_json
@with_store
def list_command(config: Path | None, *, as_json: bool, **flags: Any) -> None:
    """List all roles with their direct members.

    \b
    Example:
        falcon-catalog roles list
    """
    with on_store(config, flags) as call:
        found = roles.list_(call)
    if as_json:
        echo_json([each.as_json() for each in found])
        return
    rows = [(each.name, _members(each), utc(each.created_at), each.created_by) for each in found]
    echo(tabulate(rows, ("role", "members", "added", "by"), disable_numparse=True))


@roles_group.command()
@click.argument("role")
@as_json
@with_store
def create(role: str, config: Path | None, *, as_json: bool, **flags: Any) -> None:
    """Add a role without members.

    \b
    Example:
        falcon-catalog roles create analysts
    """
    with on_store(config, flags) as call:
        _show(roles.create(call, role), as_json=as_json)


@roles_group.command()
@click.argument("role")
@with_store
def delete(role: str, config: Path | None, **flags: Any) -> None:
    """Remove a role with its grants.

    \b
    Example:
        falcon-catalog roles delete analysts
    """
    with on_store(config, flags) as call, suggestions(call):
        roles.delete(call, role)


@roles_group.command()
@click.argument("role")
@click.argument("new_name")
@as_json
@with_store
def rename(role: str, new_name: str, config: Path | None, *, as_json: bool, **flags: Any) -> None:
    """Rename a role; its members and grants stay.

    \b
    Example:
        falcon-catalog roles rename analysts readers
    """
    with on_store(config, flags) as call, suggestions(call):
        _show(roles.rename(call, role, new_name), as_json=as_json)


@roles_group.command()
@click.argument("role")
@click.argument("members", nargs=-1, required=True, metavar="MEMBER...")
@as_json
@with_store
def add(
    role: str, members: Sequence[str], config: Path | None, *, as_json: bool, **flags: Any
) -> None:
    """Add users, services or roles to a role.

    \b
    Example:
        falcon-catalog roles add analysts ann corp~00u1a2b3
    """
    with on_store(config, flags) as call, suggestions(call):
        _show(roles.change_members(call, role, add=members), as_json=as_json)


@roles_group.command()
@click.argument("role")
@click.argument("members", nargs=-1, required=True, metavar="MEMBER...")
@as_json
@with_store
def remove(
    role: str, members: Sequence[str], config: Path | None, *, as_json: bool, **flags: Any
) -> None:
    """Remove members from a role.

    \b
    Example:
        falcon-catalog roles remove analysts ann
    """
    with on_store(config, flags) as call, suggestions(call):
        _show(roles.change_members(call, role, remove=members), as_json=as_json)


@roles_group.command()
@as_json
@with_store
def groups(config: Path | None, *, as_json: bool, **flags: Any) -> None:
    """List the groups of identity providers that have roles.

    \b
    Example:
        falcon-catalog roles groups
    """
    with on_store(config, flags) as call:
        found = roles.list_groups(call)
    if as_json:
        echo_json([roles.group_as_json(each) for each in found])
        return
    rows = [(each.issuer, each.value, each.role) for each in found]
    head = ("issuer", "group", "role")
    echo(tabulate(rows, head, disable_numparse=True) if rows else "No groups have roles.")


@roles_group.command("map")
@click.argument("issuer")
@click.argument("group")
@click.argument("role")
@as_json
@with_store
def map_command(
    issuer: str, group: str, role: str, config: Path | None, *, as_json: bool, **flags: Any
) -> None:
    """Give the members of an identity provider's group a role.

    ISSUER is the name of the provider in the settings, GROUP the value that its tokens have.

    \b
    Example:
        falcon-catalog roles map corp "Data Analysts" analysts
    """
    mapped = Group(issuer, group, role)
    with on_store(config, flags) as call, suggestions(call):
        roles.change_groups(call, add=[mapped])
    _show_group(mapped, "have", as_json=as_json)


@roles_group.command()
@click.argument("issuer")
@click.argument("group")
@click.argument("role")
@as_json
@with_store
def unmap(
    issuer: str, group: str, role: str, config: Path | None, *, as_json: bool, **flags: Any
) -> None:
    """Take a role from the members of an identity provider's group.

    \b
    Example:
        falcon-catalog roles unmap corp "Data Analysts" analysts
    """
    mapped = Group(issuer, group, role)
    with on_store(config, flags) as call, suggestions(call):
        roles.change_groups(call, remove=[mapped])
    _show_group(mapped, "no longer have", as_json=as_json)


def _show(role: Role, *, as_json: bool) -> None:
    if as_json:
        echo_json(role.as_json())
    else:
        echo(f"Role {role.name} has the members: {_members(role) or 'none'}")


def _show_group(group: Group, have: str, *, as_json: bool) -> None:
    if as_json:
        echo_json(roles.group_as_json(group))
    else:
        echo(f"Members of {group.value} at {group.issuer} {have} role {group.role}")


def _members(role: Role) -> str:
    if role.is_everyone:
        return "(every principal)"
    return ", ".join(name for name, _ in role.members)
