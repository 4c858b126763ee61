"""The command line: ``serve``, ``check``, ``migrate``, ``config``, ``principals`` and others.

A setting that cannot be used ends the program with one line and status 2, anything else
that stands in the way with one line and status 1.
"""

import contextlib
import json
import os
import sqlite3
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import click
from tabulate import tabulate

from falcon_catalog import __version__, engines, logs
from falcon_catalog.app import create_app
from falcon_catalog.catalog import principals, undrop
from falcon_catalog.catalog.base import Catalog
from falcon_catalog.catalog.opening import close_catalogs, open_catalogs
from falcon_catalog.conformance import command as conformance
from falcon_catalog.errors import CatalogError
from falcon_catalog.identifiers import Namespace, Page, TableIdentifier, check_name
from falcon_catalog.server import ServerError, serve
from falcon_catalog.settings import SETTINGS, Settings, SettingsError, load, prepare
from falcon_catalog.store.database import Database, StoreError

Command = TypeVar("Command", bound=Callable[..., Any])


class _Stopped(click.ClickException):
    """Something stands in the way: one line on stderr, status 1."""

    def __init__(self, error: object) -> None:
        super().__init__(" ".join(str(error).split()))


class _Misconfigured(_Stopped):
    """A setting cannot be used: one line on stderr, status 2."""

    exit_code = 2


@contextlib.contextmanager
def _told_in_one_line() -> Iterator[None]:
    try:
        yield
    except SettingsError as error:
        raise _Misconfigured(error) from None
    except (ServerError, StoreError, CatalogError, OSError, sqlite3.Error) as error:
        raise _Stopped(error) from None


def _with_settings(command: Command) -> Command:
    """Give ``command`` --config and a flag for each setting that has one."""
    for setting in reversed(SETTINGS):
        if setting.flag:
            default = setting.default.replace("{state}", "STATE")
            command = click.option(
                setting.flag,
                setting.key.replace(".", "_"),
                metavar="VALUE",
                help=f"{setting.help} [{setting.key}, {setting.variable}; default: {default}]",
            )(command)
    return click.option(
        "--config",
        type=click.Path(path_type=Path),
        envvar="CATALOG_CONFIG",
        help="Read settings from this TOML file. [CATALOG_CONFIG]",
    )(command)


def _read(config: Path | None, flags: dict[str, Any]) -> Settings:
    by_option = {setting.key.replace(".", "_"): setting.key for setting in SETTINGS}
    return load(config, os.environ, {by_option[option]: value for option, value in flags.items()})


@click.group(context_settings={"max_content_width": 100})
@click.version_option(__version__, prog_name="falcon-catalog")
def main() -> None:
    """Keep an Apache Iceberg REST catalog.

    \b
    A lakehouse on this machine, in ./var/catalog:
        falcon-catalog serve
    Look at it from DuckDB:
        ATTACH 'default' AS lake (TYPE iceberg,
            ENDPOINT 'http://127.0.0.1:8181', AUTHORIZATION_TYPE 'none');

    Flags win over environment variables, which win over the file given with --config, which
    wins over the defaults. STATE is $STATE_DIRECTORY, or ./var/catalog.
    """


main.add_command(conformance.command)
main.add_command(engines.command)


@main.command("serve")
@_with_settings
def serve_command(config: Path | None, **flags: Any) -> None:
    """Serve the catalog until SIGTERM or Ctrl-C.

    \b
    Examples:
        falcon-catalog serve
        falcon-catalog serve --listen 127.0.0.1:0 --store sqlite:////tmp/lake/catalog.db \\
            --warehouse file:///tmp/lake/warehouse
        falcon-catalog serve --config conf/catalog.toml --log-level DEBUG
        CATALOG_SERVER_LISTEN='[::1]:8181' falcon-catalog serve

    Prints "Listening on URL" once requests are served. Told to stop, it finishes what is in
    flight; a second signal ends it at once.
    """
    with _told_in_one_line():
        settings = _read(config, flags)
        logs.configure(settings.log.level)
        prepare(settings)
        finished = serve(create_app(settings), settings.server, announce=click.echo)
    if not finished:
        raise _Stopped("stopped before every request was answered")


@main.command()
@_with_settings
def migrate(config: Path | None, **flags: Any) -> None:
    """Bring the store's schema up to date.

    Makes the store if there is none. "serve" does the same as it starts.

    \b
    Example:
        falcon-catalog migrate --store sqlite:////var/lib/falcon-catalog/catalog.db
    """
    with _told_in_one_line():
        settings = _read(config, flags)
        prepare(settings)
        Database.open(settings.store.url).close()
    click.echo(f"{settings.store.url} is up to date")


@main.command()
@_with_settings
def dropped(config: Path | None, **flags: Any) -> None:
    """List the tables and views that were dropped and can be undropped.

    \b
    Example:
        falcon-catalog dropped --store sqlite:////var/lib/falcon-catalog/catalog.db
    """
    with _told_in_one_line(), _opened(_read(config, flags)) as catalogs:
        table = [
            (
                row.id,
                catalog.name,
                row.kind,
                str(row.identifier),
                _utc(row.dropped_at),
                _utc(row.expires_at),
                "yes" if row.purge else "no",
            )
            for catalog in catalogs
            for row in undrop.list_(catalog, Page(None, -1))
        ]
    head = ("id", "warehouse", "kind", "name", "dropped", "can be undropped until", "purge")
    click.echo(tabulate(table, head) if table else "Nothing that was dropped is kept.")


@main.command("undrop")
@click.argument("dropped_id", metavar="ID", type=int)
@click.option("--as", "name", metavar="NAME", help="Give it this name, such as namespace.table.")
@_with_settings
def undrop_command(dropped_id: int, name: str | None, config: Path | None, **flags: Any) -> None:
    """Bring back a dropped table or view, by its ID in "falcon-catalog dropped".

    \b
    Examples:
        falcon-catalog undrop 7
        falcon-catalog undrop 7 --as archive.orders
    """
    with _told_in_one_line(), _opened(_read(config, flags)) as catalogs:
        *levels, last = name.split(".") if name else ("", "")
        to = TableIdentifier(Namespace.of(levels), check_name(last, "table")) if name else None
        row = undrop.undrop(undrop.home_of(catalogs, dropped_id), dropped_id, to)
    click.echo(f"{row.kind} {row.identifier} is back{f' as {to}' if to else ''}")


@main.command()
@_with_settings
def maintain(config: Path | None, **flags: Any) -> None:
    """Do now what a running server does by itself each minute.

    Forgets what was dropped longer ago than warehouse.drop_retention, and deletes the files of
    the tables among it that were dropped with a purge. Safe beside a running server.

    \b
    Example:
        falcon-catalog maintain
    """
    with _told_in_one_line(), _opened(_read(config, flags)) as catalogs:
        lines = [line for catalog in catalogs for line in undrop.let_go(catalog)]
    click.echo("\n".join(lines) or "Nothing is due.")


@contextlib.contextmanager
def _opened(settings: Settings) -> Iterator[list[Catalog]]:
    catalogs = open_catalogs(settings)
    try:
        yield catalogs
    finally:
        close_catalogs(catalogs)


def _utc(milliseconds: int) -> str:
    return f"{datetime.fromtimestamp(milliseconds / 1000, UTC):%Y-%m-%d %H:%M:%S}"


@main.group("config")
def config_group() -> None:
    """Look at the settings."""


@config_group.command()
@_with_settings
def show(config: Path | None, **flags: Any) -> None:
    """Print the settings in force, each with where it comes from, as a file for --config.

    \b
    Example:
        falcon-catalog config show > catalog.toml
    """
    with _told_in_one_line():
        settings = _read(config, flags)
    section = ""
    for setting in SETTINGS:
        of, _, name = setting.key.partition(".")
        if of != section:
            click.echo(f"[{of}]" if not section else f"\n[{of}]")
            section = of
        written = f"{name} = {json.dumps(settings.value(setting.key), ensure_ascii=False)}"
        click.echo(f"{written:<60}  # {settings.origins[setting.key]}")


@main.group("principals")
def principals_group() -> None:
    """Say who may call, where auth.required is set."""


@contextlib.contextmanager
def _store(config: Path | None, flags: dict[str, Any]) -> Iterator[Database]:
    with _told_in_one_line():
        database = Database.open(_read(config, flags).store.url)
        with contextlib.closing(database):
            yield database


@principals_group.command()
@click.argument("name")
@_with_settings
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
@_with_settings
def list_command(config: Path | None, **flags: Any) -> None:
    """Print who may call, and since when.

    \b
    Example:
        falcon-catalog principals list
    """
    with _store(config, flags) as database:
        for principal in principals.list_(database):
            click.echo(f"{principal.name}\t{_utc(principal.created_at)}")


@principals_group.command()
@click.argument("name")
@_with_settings
def remove(name: str, config: Path | None, **flags: Any) -> None:
    """Let NAME call no longer. Its tokens end at once, on a running server, too.

    \b
    Example:
        falcon-catalog principals remove etl
    """
    with _store(config, flags) as database:
        principals.remove(database, name)
