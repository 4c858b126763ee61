"""What the commands share: settings from flags, errors in one line, times for people."""

import contextlib
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import click

from falcon_catalog.durable_files import Folders
from falcon_catalog.errors import CatalogError
from falcon_catalog.rules import store_path
from falcon_catalog.server.sockets import ServerError
from falcon_catalog.settings import SETTINGS, Settings, SettingsError, load
from falcon_catalog.store.database import DRIVER_ERRORS, StoreError
from falcon_catalog.store.sqlite import locks

Command = TypeVar("Command", bound=Callable[..., Any])


class Stopped(click.ClickException):
    """Something stands in the way: one line on stderr, status 1."""

    def __init__(self, error: object) -> None:
        super().__init__(" ".join(str(error).split()))


class _Misconfigured(Stopped):
    """A setting cannot be used: one line on stderr, status 2."""

    exit_code = 2


_ERRORS: tuple[type[Exception], ...] = (
    ServerError,
    StoreError,
    CatalogError,
    OSError,
    *DRIVER_ERRORS,
)


@contextlib.contextmanager
def told_in_one_line() -> Iterator[None]:
    """End the program with one line where a setting or the world stands in the way."""
    try:
        yield
    except SettingsError as error:
        raise _Misconfigured(error) from None
    except _ERRORS as error:
        raise Stopped(error) from None


def with_settings(command: Command) -> Command:
    """Give ``command`` --config and a flag for each setting that has one."""
    for setting in reversed(SETTINGS):
        if setting.flag:
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
    # Of earlier versions: reading the settings says what replaces it.
    command = click.option("--processes", "server_processes", hidden=True)(command)
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


@contextlib.contextmanager
def at_work(settings: Settings) -> Iterator[None]:
    """Work on the store, beside others; its folder is made if it is not there.

    Raises:
        StoreError: it is being replaced.
    """
    path = store_path(settings.store.url)
    Folders().make(str(path.parent))
    with locks.shared(path):
        yield


def utc(milliseconds: int) -> str:
    """Write a time for people, in UTC."""
    return f"{datetime.fromtimestamp(milliseconds / 1000, UTC):%Y-%m-%d %H:%M:%S}"
