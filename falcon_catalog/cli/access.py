"""``falcon-catalog grant``, ``revoke``, ``why`` and ``access``."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from tabulate import tabulate

from falcon_catalog.catalog import access_control, marks
from falcon_catalog.catalog.access_control import Change, Changed, Grant
from falcon_catalog.catalog.entities import EntityName
from falcon_catalog.catalog.evaluation import Explanation
from falcon_catalog.catalog.privileges import BITS, Privilege, effective, names
from falcon_catalog.cli.common import (
    Failed,
    Stopped,
    as_json,
    echo,
    echo_json,
    on_store,
    utc,
    with_store,
)
from falcon_catalog.cli.entities import (
    ENTITY_HELP,
    complete_entity,
    in_warehouse,
    on_entity,
    read_privileges,
    suggestions,
)
from falcon_catalog.console.completion import starting

_to_words = click.argument(
    "words", nargs=-1, required=True, metavar="PRIVILEGE[,...] on ENTITY to NAME"
)
_from_words = click.argument(
    "words", nargs=-1, required=True, metavar="PRIVILEGE[,...] on ENTITY from NAME"
)
_entity_words = click.argument(
    "words", nargs=-1, required=True, metavar="ENTITY", shell_complete=complete_entity
)


@click.command(epilog=ENTITY_HELP)
@_to_words
@in_warehouse
@as_json
@with_store
def grant(
    words: tuple[str, ...],
    in_warehouse: str | None,
    config: Path | None,
    *,
    as_json: bool,
    **flags: Any,
) -> None:
    """Grant privileges to a principal or role, also on a running server.

    Privileges are list, describe, select and write, each of which contains those before it; create
    and drop; grant, to grant all these to others; own, which contains all; and admin on the server.
    They hold for all that is in ENTITY, now and later.

    \b
    Examples:
        falcon-catalog grant select on namespace weather to analysts
        falcon-catalog grant create,write on warehouse main to etl
        falcon-catalog grant own on table weather.observations to ann
        falcon-catalog grant admin on server to root
    """
    _change(words, "to", in_warehouse, config, flags, as_json=as_json)


@click.command(epilog=ENTITY_HELP)
@_from_words
@in_warehouse
@as_json
@with_store
def revoke(
    words: tuple[str, ...],
    in_warehouse: str | None,
    config: Path | None,
    *,
    as_json: bool,
    **flags: Any,
) -> None:
    """Revoke privileges that were granted on ENTITY itself, also on a running server.

    The privilege "all" revokes whatever was granted there.

    \b
    Examples:
        falcon-catalog revoke select on namespace weather from analysts
        falcon-catalog revoke all on warehouse main from etl
    """
    _change(words, "from", in_warehouse, config, flags, as_json=as_json)


@click.command(epilog=ENTITY_HELP)
@click.argument("principal")
@click.argument("privilege", shell_complete=lambda *typed: starting(BITS, typed[-1]))
@_entity_words
@in_warehouse
@as_json
@with_store
def why(
    principal: str,
    privilege: str,
    words: tuple[str, ...],
    in_warehouse: str | None,
    config: Path | None,
    *,
    as_json: bool,
    **flags: Any,
) -> None:
    """Explain why a principal has a privilege on ENTITY, or what is missing.

    The exit status is 0 if it has the privilege, 1 if not, 2 for an error.

    Roles that it has through groups of an identity provider are in its tokens, not in the store,
    and do not count here.

    \b
    Examples:
        falcon-catalog why ann select table weather.observations
        falcon-catalog why etl create namespace weather
    """
    (wanted,) = read_privileges(privilege) if "," not in privilege else (privilege,)
    if wanted not in BITS:
        raise click.UsageError(f"{wanted!r} is not one privilege")
    try:
        with on_entity(words, in_warehouse, config, flags) as (call, entity):
            read = access_control.read_privilege(wanted)
            explanation = access_control.explain(call, principal, read, entity)
    except Stopped as error:
        raise Failed(error.message) from None
    if as_json:
        echo_json(explanation.as_json())
    else:
        echo(_explained(explanation))
    if not explanation.is_allowed:
        raise click.exceptions.Exit(1)


@click.group("access")
def access_group() -> None:
    """Show who has which privileges, and protect what must stay."""


@access_group.command(epilog=ENTITY_HELP)
@click.argument("words", nargs=-1, metavar="[ENTITY]", shell_complete=complete_entity)
@click.option("--principal", metavar="NAME", help="Show the grants of this principal or role.")
@in_warehouse
@as_json
@with_store
def show(
    words: tuple[str, ...],
    principal: str | None,
    in_warehouse: str | None,
    config: Path | None,
    *,
    as_json: bool,
    **flags: Any,
) -> None:
    """Show all grants, those on ENTITY itself, or those of a principal or role.

    \b
    Examples:
        falcon-catalog access show
        falcon-catalog access show namespace weather
        falcon-catalog access show --principal analysts
    """
    if words and principal:
        raise click.UsageError("name either an entity or --principal")
    if words:
        with on_entity(words, in_warehouse, config, flags) as (call, entity):
            found = access_control.on_entity(call, entity)
    else:
        with on_store(config, flags) as call, suggestions(call):
            found = (
                access_control.of_principal(call, principal)
                if principal is not None
                else access_control.all_(call)
            )
    if as_json:
        echo_json([each.as_json() for each in found])
    else:
        echo(_table(found))


@access_group.command(epilog=ENTITY_HELP)
@_entity_words
@in_warehouse
@as_json
@with_store
def protect(
    words: tuple[str, ...],
    in_warehouse: str | None,
    config: Path | None,
    *,
    as_json: bool,
    **flags: Any,
) -> None:
    """Protect a table, a view or a namespace from being dropped, or a dropped one from its purge.

    What is in a protected namespace can be dropped, unless it is protected itself.

    \b
    Example:
        falcon-catalog access protect table weather.observations
    """
    _mark(words, in_warehouse, config, flags, {"protected": True}, as_json=as_json)


@access_group.command(epilog=ENTITY_HELP)
@_entity_words
@in_warehouse
@as_json
@with_store
def unprotect(
    words: tuple[str, ...],
    in_warehouse: str | None,
    config: Path | None,
    *,
    as_json: bool,
    **flags: Any,
) -> None:
    """End the protection of a table, a view, a namespace or a dropped table.

    \b
    Example:
        falcon-catalog access unprotect table weather.observations
    """
    _mark(words, in_warehouse, config, flags, {"protected": False}, as_json=as_json)


@access_group.command(epilog=ENTITY_HELP)
@click.argument("state", type=click.Choice(["on", "off"]))
@_entity_words
@in_warehouse
@as_json
@with_store
def managed(
    state: str,
    words: tuple[str, ...],
    in_warehouse: str | None,
    config: Path | None,
    *,
    as_json: bool,
    **flags: Any,
) -> None:
    """Let only those with grant on a warehouse or namespace grant on what is in it.

    Owners of what is inside keep everything else.

    \b
    Example:
        falcon-catalog access managed on namespace weather
    """
    _mark(words, in_warehouse, config, flags, {"managed": state == "on"}, as_json=as_json)


@access_group.command("read-only", epilog=ENTITY_HELP)
@click.argument("state", type=click.Choice(["on", "off"]))
@_entity_words
@as_json
@with_store
def read_only(
    state: str, words: tuple[str, ...], config: Path | None, *, as_json: bool, **flags: Any
) -> None:
    """Refuse changes in a warehouse or on the whole server; reads go on.

    Principals, roles and grants can still be changed.

    \b
    Examples:
        falcon-catalog access read-only on warehouse main
        falcon-catalog access read-only off server
    """
    _mark(words, None, config, flags, {"read-only": state == "on"}, as_json=as_json)


def _change(
    words: Sequence[str],
    preposition: str,
    in_warehouse: str | None,
    config: Path | None,
    flags: dict[str, Any],
    *,
    as_json: bool,
) -> None:
    on = words[1:2] == ("on",)
    if not on or len(words) < 5 or words[-2] != preposition:  # noqa: PLR2004 - the fewest words
        raise click.UsageError(
            f"expected PRIVILEGE[,...] on ENTITY {preposition} NAME, such as: select on namespace"
            f" weather {preposition} analysts"
        )
    listed = read_privileges(words[0])
    if "all" in listed and preposition == "to":
        raise click.UsageError("'all' can only be revoked; own contains all other privileges")
    with on_entity(words[2:-2], in_warehouse, config, flags) as (call, entity):
        if "all" in listed:
            listed = [each for each in BITS if access_control.suits(each, entity)]
        privileges = access_control.read_privileges(listed)
        changes = [Change(privileges, entity, each) for each in words[-1].split(",")]
        if preposition == "to":
            done = access_control.change(call, grant=changes)
        else:
            done = access_control.change(call, revoke=changes)
    if as_json:
        echo_json([each.as_json() for each in done])
        return
    for each in done:
        echo(_changed(each))
        left = effective(each.bits) & sum(BITS[one] for one in set(privileges))
        if preposition == "from" and left:
            echo(
                f"It still contains {', '.join(names(left))}; revoke {', '.join(names(each.bits))}"
                " to end that",
                err=True,
            )


def _mark(
    words: Sequence[str],
    in_warehouse: str | None,
    config: Path | None,
    flags: dict[str, Any],
    values: dict[str, bool],
    *,
    as_json: bool,
) -> None:
    with on_entity(words, in_warehouse, config, flags) as (call, entity):
        marked = marks.change(call, entity, values)
    if as_json:
        echo_json(marked.as_json())
        return
    states = ", ".join(f"{'' if on else 'not '}{name}" for name, on in marked.values.items())
    echo(f"{entity} is {states}")


def _changed(changed: Changed) -> str:
    held = ", ".join(names(changed.bits)) or "nothing"
    same = "" if changed.bits != changed.before else ", as before"
    return f"{changed.principal} has {held} on {changed.entity}{same}"


def _table(found: Sequence[Grant]) -> str:
    rows = [
        (
            each.principal,
            each.principal_type,
            ", ".join(names(each.bits)),
            _on(each.entity),
            each.entity.warehouse,
            each.granted_by,
            utc(each.granted_at),
        )
        for each in found
    ]
    head = ("principal", "type", "privileges", "on", "warehouse", "granted by", "granted")
    return tabulate(rows, head, disable_numparse=True) if rows else "No grants."


def _on(entity: EntityName) -> str:
    return "server" if entity.type == "server" else str(entity)


def _explained(found: Explanation) -> str:
    may = "may" if found.is_allowed else "may not"
    lines = [f"{found.principal} {may} {found.privilege} {_object(found.privilege, found.entity)}."]
    if found.is_disabled:
        lines.append(f"{found.principal} is disabled: it may do nothing until it is enabled.")
    for each in found.reasons:
        role = f" through {' → '.join(each.through)}" if each.through else ""
        lines.append(
            f"  {', '.join(names(each.grant.bits))} on {each.on}{role},"
            f" granted by {each.grant.granted_by} on {utc(each.grant.granted_at)} UTC"
        )
    if found.is_list_from_inside:
        lines.append("  It has a grant on something inside, which makes the way there visible.")
    if not found.is_allowed and not found.is_disabled:
        privilege, on = found.privilege, _on(found.entity)
        lines.append(
            f"These grants do not contain {privilege}."
            if found.reasons
            else f"There is no grant to it on {found.entity} or around it."
        )
        who = ", ".join(found.could_grant) or "only the command line"
        lines.append(f"Can be granted by: {who}")
        lines.append(f"  falcon-catalog grant {privilege} on {on} to {found.principal}")
    return "\n".join(lines)


def _object(privilege: Privilege, entity: EntityName) -> str:
    return f"in {entity}" if privilege == "create" else f"{entity}"
