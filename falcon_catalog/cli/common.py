"""Settings from flags, errors in one line, JSON and times, for all commands."""

import contextlib
import os
from collections.abc import Callable, Container, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import click

from falcon_catalog.catalog.call import StoreCall
from falcon_catalog.errors import CatalogError
from falcon_catalog.server.sockets import ServerError
from falcon_catalog.settings import SETTINGS, Settings, SettingsError, load
from falcon_catalog.store import exists, in_use, open_database
from falcon_catalog.store.database import DRIVER_ERRORS, DamagedStoreError, StoreError
from falcon_catalog.store.sqlite import locks
from falcon_catalog.terminal import json_text, printable

Command = TypeVar("Command", bound=Callable[..., Any])


def echo(text: str, *, err: bool = False, nl: bool = True) -> None:
    """Print text that may contain names of tables."""
    click.echo(printable(text), err=err, nl=nl)


class Stopped(click.ClickException):
    """The command cannot continue: one line on stderr, exit status 1."""

    def __init__(self, error: object) -> None:
        super().__init__(printable(" ".join(str(error).split())))


class Failed(Stopped):
    """A setting is wrong, or the command did nothing: exit status 2."""

    exit_code = 2


_ERRORS: tuple[type[Exception], ...] = (
    ServerError,
    StoreError,
    CatalogError,
    OSError,
    *DRIVER_ERRORS,
)


@contextlib.contextmanager
def one_line_errors(failed: type[Stopped] = Stopped) -> Iterator[None]:
    """Turn expected errors into one line and an exit status, which is 2 for a wrong setting."""
    try:
        yield
    except SettingsError as error:
        raise Failed(error) from None
    except _ERRORS as error:
        raise failed(error) from None


def with_config(command: Command) -> Command:
    """Add --config alone to ``command``."""
    return _with_flags(command, set())


def with_store(command: Command) -> Command:
    """Add --config and --store to ``command``, which works on the database alone."""
    return _with_flags(command, {"store.url"})


def with_warehouse_names(command: Command) -> Command:
    """Add --config, --store and --warehouse-name to ``command``, which reads no files."""
    return _with_flags(command, {"store.url", "warehouse.name"})


def with_warehouses(command: Command) -> Command:
    """Add the flags of the store and of the default warehouse, and --config, to ``command``."""
    return _with_flags(command, {"store.url", "warehouse.location", "warehouse.name"})


def with_settings(command: Command) -> Command:
    """Add --config, and the flag of each setting that has one, to ``command``."""
    # A removed flag: reading the settings reports its replacement.
    command = click.option("--processes", "server_processes", hidden=True)(command)
    return _with_flags(command, {setting.key for setting in SETTINGS})


as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def echo_json(value: object) -> None:
    """Print a value as JSON on stdout."""
    click.echo(json_text(value))


def _with_flags(command: Command, keys: Container[str]) -> Command:
    for setting in reversed(SETTINGS):
        if setting.flag and setting.key in keys:
            default = setting.default.replace("{state}", "STATE")
            takes_value = setting.default != "false"
            command = click.option(
                setting.flag,
                setting.key.replace(".", "_"),
                metavar="VALUE" if takes_value else None,
                is_flag=not takes_value,
                default=None,
                help=f"{setting.help} [{setting.key}, {setting.variable}; default: {default}]",
            )(command)
    return click.option(
        "--config",
        type=click.Path(path_type=Path),
        envvar="CATALOG_CONFIG",
        help="Read settings from this TOML file. [CATALOG_CONFIG]",
    )(command)


def read(config: Path | None, flags: dict[str, Any]) -> Settings:
    """Return the settings in force: flags, environment, file, defaults."""
    keys = [*(setting.key for setting in SETTINGS), "server.processes"]
    by_option = {key.replace(".", "_"): key for key in keys}
    return load(config, os.environ, {by_option[option]: value for option, value in flags.items()})


def read_existing(config: Path | None, flags: dict[str, Any]) -> Settings:
    """Return the settings in force, for a command that needs a store and must not create one.

    Raises:
        StoreError: there is no store.
    """
    settings = read(config, flags)
    store, origin = settings.store, settings.origins["store.url"]
    with contextlib.suppress(DamagedStoreError):  # the command reports it
        half = store.is_file and locks.is_half_replaced(store.path)
        if not half and not exists(store):
            raise StoreError(
                f"there is no store at {settings.store.url} (store.url, from {origin}). Nothing was"
                " created. Name the server's settings with --config or its store with --store, or"
                " run the command in the folder where the server was started"
            )
    return settings


@contextlib.contextmanager
def on_store(config: Path | None, flags: dict[str, Any]) -> Iterator[StoreCall]:
    """Open an existing store for verbs that need no warehouse, as the user of this command."""
    with one_line_errors():
        settings = read_existing(config, flags)
        with (
            in_use(settings.store),
            contextlib.closing(open_database(settings.store)) as database,
        ):
            yield StoreCall(database, local=f"local:{os.getuid()}")


def utc(milliseconds: int) -> str:
    """Return a time as text, in UTC."""
    return f"{datetime.fromtimestamp(milliseconds / 1000, UTC):%Y-%m-%d %H:%M:%S}"
