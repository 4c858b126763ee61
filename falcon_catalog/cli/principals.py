"""``falcon-catalog principals``."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from falcon_catalog.catalog import principals
from falcon_catalog.catalog.privileges import ADMIN, OWN
from falcon_catalog.cli.common import (
    as_json,
    echo,
    echo_json,
    one_line_errors,
    read_existing,
    utc,
    with_store,
)
from falcon_catalog.store import in_use, open_database, reading
from falcon_catalog.store import principals as rows
from falcon_catalog.store.database import Database

_DAY = 86400
_MOST_OVERLAP = 366 * _DAY


@click.group("principals")
def principals_group() -> None:
    """Manage the principals of a catalog with auth.required."""


@contextlib.contextmanager
def _store(config: Path | None, flags: dict[str, Any]) -> Iterator[Database]:
    with one_line_errors():
        settings = read_existing(config, flags)
        with (
            in_use(settings.store),
            contextlib.closing(open_database(settings.store)) as database,
        ):
            yield database


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
    with _store(config, flags) as database:
        held = OWN | ADMIN if owner else ADMIN if admin else 0
        credential = f"{name}:{principals.add(database, name, privileges=held)}"
    if as_json:
        echo_json({"name": name, "credential": credential})
    else:
        click.echo(credential)
    echo("Keep it: the secret after the colon is not shown again", err=True)


@principals_group.command("list")
@as_json
@with_store
def list_command(config: Path | None, *, as_json: bool, **flags: Any) -> None:
    """List all principals and when they were added.

    \b
    Example:
        falcon-catalog principals list
    """
    with one_line_errors(), reading(read_existing(config, flags).store) as tx:
        found = [one for one in rows.all_(tx) if one.kind != "role"]
    if as_json:
        echo_json([{"name": one.name, "created-at-ms": one.created_at} for one in found])
        return
    for principal in found:
        echo(f"{principal.name}\t{utc(principal.created_at)}")


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
    with _store(config, flags) as database:
        credential = f"{name}:{principals.rotate(database, name, overlap)}"
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
    with _store(config, flags) as database:
        settings = read_existing(config, flags)
        seconds = settings.auth.token_lifetime if overlap is None else overlap
        principals.rotate_key(database, seconds)
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
    with _store(config, flags) as database:
        principals.remove(database, name)
