"""``falcon-catalog principals``: who may call."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from falcon_catalog.catalog import principals
from falcon_catalog.cli.common import at_work, read, told_in_one_line, utc, with_settings
from falcon_catalog.rules import store_path
from falcon_catalog.store import open_database
from falcon_catalog.store import principals as rows
from falcon_catalog.store.database import Database
from falcon_catalog.store.sqlite import read_only


@click.group("principals")
def principals_group() -> None:
    """Say who may call, where auth.required is set."""


@contextlib.contextmanager
def _store(config: Path | None, flags: dict[str, Any]) -> Iterator[Database]:
    with told_in_one_line():
        settings = read(config, flags)
        with at_work(settings), contextlib.closing(open_database(settings.store.url)) as database:
            yield database


@principals_group.command()
@click.argument("name")
@with_settings
def add(name: str, config: Path | None, **flags: Any) -> None:
    """Let NAME call, and print its credential.

    The credential is NAME:SECRET. It is shown this once: the store has only its hash.

    \b
    Examples:
        falcon-catalog principals add etl
        falcon-catalog principals add etl --store sqlite:////var/lib/falcon-catalog/catalog.db
    """
    with _store(config, flags) as database:
        click.echo(f"{name}:{principals.add(database, name)}")
    click.echo("Keep it: the secret after the colon is not shown again", err=True)


@principals_group.command("list")
@with_settings
def list_command(config: Path | None, **flags: Any) -> None:
    """Print who may call, and since when.

    \b
    Example:
        falcon-catalog principals list
    """
    with told_in_one_line(), read_only.connect(store_path(read(config, flags).store.url)) as tx:
        for principal in rows.all_(tx):
            click.echo(f"{principal.name}\t{utc(principal.created_at)}")


@principals_group.command()
@click.argument("name")
@with_settings
def remove(name: str, config: Path | None, **flags: Any) -> None:
    """Let NAME call no longer. Its tokens end at once, on a running server, too.

    \b
    Example:
        falcon-catalog principals remove etl
    """
    with _store(config, flags) as database:
        principals.remove(database, name)
