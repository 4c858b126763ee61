"""``falcon-catalog principals``."""

import sys
from pathlib import Path
from typing import Any

import click
from tabulate import tabulate

from falcon_catalog.catalog import accounts, identity
from falcon_catalog.catalog.privileges import ADMIN, OWN
from falcon_catalog.cli.common import (
    as_json,
    echo,
    echo_json,
    on_store,
    one_line_errors,
    read_existing,
    utc,
    with_store,
)
from falcon_catalog.cli.entities import suggestions
from falcon_catalog.store import principals as rows
from falcon_catalog.store import reading

_DAY = 86400
_MOST_OVERLAP = 366 * _DAY


@click.group("principals")
def principals_group() -> None:
    """Manage the principals of a catalog with auth.required."""


@principals_group.command()
@click.argument("name")
@click.option("--owner", is_flag=True, help="It may do everything: own on the server.")
@click.option(
    "--admin", is_flag=True, help="It manages principals, roles and grants, but reads no data."
)
@as_json
@with_store
def add(
    name: str,
    config: Path | None,
    *,
    owner: bool,
    admin: bool,
    as_json: bool,
    **flags: Any,
) -> None:
    """Add a principal and print its credential.

    The credential is NAME:SECRET. It is shown only once: the store has only its hash.

    \b
    Examples:
        falcon-catalog principals add alice --owner
        falcon-catalog principals add etl
        falcon-catalog principals add etl --config /etc/falcon-catalog/catalog.toml
    """
    with on_store(config, flags) as call:
        held = OWN | ADMIN if owner else ADMIN if admin else 0
        credential = f"{name}:{accounts.add(call, name, privileges=held)}"
    if as_json:
        echo_json({"name": name, "credential": credential})
    else:
        click.echo(credential)
    echo("Keep it: the secret after the colon is not shown again", err=True)


@principals_group.command("list")
@as_json
@with_store
def list_command(config: Path | None, *, as_json: bool, **flags: Any) -> None:
    """List all users and services; "falcon-catalog roles list" lists the roles.

    \b
    Example:
        falcon-catalog principals list
    """
    with one_line_errors(), reading(read_existing(config, flags).store) as tx:
        found = [one for one in rows.all_(tx) if one.kind != "role"]
    if as_json:
        echo_json([accounts.as_json(one) for one in found])
        return
    table = [
        (
            one.name,
            one.kind,
            "disabled" if one.disabled else "enabled",
            utc(one.created_at),
            one.created_by,
            one.display_name,
        )
        for one in found
    ]
    head = ("name", "type", "state", "added", "by", "display name")
    echo(tabulate(table, head) if table else "No principals.")


@principals_group.command()
@click.argument("name")
@click.option(
    "--overlap",
    metavar="SECONDS",
    type=click.IntRange(0, _MOST_OVERLAP),
    default=_DAY,
    show_default=True,
    help="For how long the old secret stays valid.",
)
@as_json
@with_store
def rotate(name: str, overlap: int, config: Path | None, *, as_json: bool, **flags: Any) -> None:
    """Give a principal another secret and print its credential.

    The old secret stays valid for a while, so that clients can be changed one by one. The one
    before it ends now.

    \b
    Examples:
        falcon-catalog principals rotate etl
        falcon-catalog principals rotate etl --overlap 0
    """
    with on_store(config, flags) as call, suggestions(call):
        credential = f"{name}:{accounts.rotate(call, name, overlap)}"
    if as_json:
        echo_json({"name": name, "credential": credential, "overlap-seconds": overlap})
    else:
        click.echo(credential)
    echo(
        "Keep it: the secret after the colon is not shown again. The old one is valid for"
        f" {overlap} more seconds",
        err=True,
    )


@principals_group.command("rotate-key")
@click.option(
    "--overlap",
    metavar="SECONDS",
    type=click.IntRange(0, _MOST_OVERLAP),
    help="For how long tokens of the old key stay valid. Default: auth.token_lifetime.",
)
@as_json
@with_store
def rotate_key(overlap: int | None, config: Path | None, *, as_json: bool, **flags: Any) -> None:
    """Sign tokens with a new key, also on a running server.

    With --overlap 0, all tokens of all principals end now.

    \b
    Examples:
        falcon-catalog principals rotate-key
        falcon-catalog principals rotate-key --overlap 0
    """
    with on_store(config, flags) as call:
        settings = read_existing(config, flags)
        seconds = settings.auth.token_lifetime if overlap is None else overlap
        identity.rotate_key(call.store, seconds)
    if as_json:
        echo_json({"overlap-seconds": seconds})
    else:
        echo(f"New tokens have a new key. Tokens of the old one are valid for {seconds} seconds")


@principals_group.command()
@click.argument("name")
@with_store
def remove(name: str, config: Path | None, **flags: Any) -> None:
    """Remove a principal and invalidate its tokens, also on a running server.

    \b
    Example:
        falcon-catalog principals remove etl
    """
    with on_store(config, flags) as call, suggestions(call):
        accounts.remove(call, name)


@principals_group.command("add-user")
@click.argument("issuer")
@click.argument("subject")
@click.option("--display-name", metavar="NAME", help="For people who read lists.")
@as_json
@with_store
def add_user(
    issuer: str,
    subject: str,
    display_name: str | None,
    config: Path | None,
    *,
    as_json: bool,
    **flags: Any,
) -> None:
    """Add a user of an identity provider before its first login, so that it can have grants.

    ISSUER is the name of the provider in the settings, SUBJECT what the provider calls the user.
    The user's name is ISSUER~SUBJECT.

    \b
    Example:
        falcon-catalog principals add-user corp 00u1a2b3 --display-name "Ann Lee"
    """
    with on_store(config, flags) as call:
        row = accounts.add_user(call, issuer, subject, display_name=display_name)
    if as_json:
        echo_json(accounts.as_json(row))
    else:
        echo(row.name)


@principals_group.command()
@click.argument("name")
@with_store
def revoke(name: str, config: Path | None, **flags: Any) -> None:
    """Invalidate all tokens of a principal, also on a running server.

    It can log in again: with its secret, or with its identity provider.

    \b
    Example:
        falcon-catalog principals revoke etl
    """
    with on_store(config, flags) as call, suggestions(call):
        identity.revoke(call.store, name)


@principals_group.command("revoke-token")
@with_store
def revoke_token(config: Path | None, **flags: Any) -> None:
    """Invalidate one token, which is read from stdin, also on a running server.

    \b
    Example:
        falcon-catalog principals revoke-token < token.txt
    """
    token = sys.stdin.read().strip()
    with on_store(config, flags) as call:
        identity.revoke_token(call.store, token)


@principals_group.command()
@click.argument("name")
@as_json
@with_store
def disable(name: str, config: Path | None, *, as_json: bool, **flags: Any) -> None:
    """Refuse a principal's tokens and secret until it is enabled; its grants stay.

    \b
    Example:
        falcon-catalog principals disable etl
    """
    _set_disabled(name, config, flags, disabled=True, as_json=as_json)


@principals_group.command()
@click.argument("name")
@as_json
@with_store
def enable(name: str, config: Path | None, *, as_json: bool, **flags: Any) -> None:
    """Accept a disabled principal again.

    \b
    Example:
        falcon-catalog principals enable etl
    """
    _set_disabled(name, config, flags, disabled=False, as_json=as_json)


def _set_disabled(
    name: str, config: Path | None, flags: dict[str, Any], *, disabled: bool, as_json: bool
) -> None:
    with on_store(config, flags) as call, suggestions(call):
        row = accounts.set_disabled(call, name, disabled=disabled)
    if as_json:
        echo_json(accounts.as_json(row))
    else:
        echo(f"{row.name} is {'disabled' if row.disabled else 'enabled'}")
