"""``falcon-catalog serve``, ``migrate`` and ``config show``."""

import contextlib
import json
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from falcon_catalog import logs
from falcon_catalog.app import create_app
from falcon_catalog.catalog import first_administrators
from falcon_catalog.catalog.bootstrap import prepare_store, require_writable
from falcon_catalog.catalog.call import StoreCall
from falcon_catalog.catalog.storage_check.server import check_at_start
from falcon_catalog.cli.common import (
    Stopped,
    as_json,
    echo_json,
    one_line_errors,
    read,
    with_settings,
)
from falcon_catalog.cli.login import login_link
from falcon_catalog.errors import CatalogError
from falcon_catalog.server.serve import serve
from falcon_catalog.server.sockets import require_free
from falcon_catalog.settings import SETTINGS, Settings, prepare
from falcon_catalog.store import in_use
from falcon_catalog.store.database import Database

_log = logging.getLogger(__name__)
adopting = click.option(
    "--adopt-warehouse",
    is_flag=True,
    help="Accept the warehouse folders as this store's, with unknown files, another store's marker"
    " or none. Refused if they contain none of its tables.",
)


@click.command("serve")
@adopting
@with_settings
def serve_command(config: Path | None, *, adopt_warehouse: bool, **flags: Any) -> None:
    """Serve the catalog until SIGTERM, SIGQUIT or Ctrl-C.

    \b
    Examples:
        falcon-catalog serve
        falcon-catalog serve --listen :8182 --store lake/catalog.db --warehouse lake/tables
        falcon-catalog serve --config conf/catalog.toml --log-level DEBUG
        CATALOG_SERVER_LISTEN='[::1]:8181' falcon-catalog serve

    Prints "Listening on URL" when it is ready, and on a terminal also where the data are, how to
    connect and how to stop. On a signal it finishes the requests in flight; a
    second signal stops it at once.
    """
    with one_line_errors():
        settings = read(config, flags)
        logs.configure(settings.log.level, settings.log.format)
        try:
            require_free(settings.server, only_locally=_only_locally(settings))
            prepare(settings)
            require_writable(settings)
            with in_use(settings.store):
                if adopt_warehouse:
                    prepare_store(settings, adopt=True)
                finished = run(settings, None if _is_terminal() else logs.say)
        finally:
            logs.finish()
    if not finished:
        raise Stopped("stopped before every request was answered")


def run(settings: Settings, announce: Callable[[str], object] | None) -> bool:
    """Open the catalog and serve it; return the result of ``serve``.

    ``announce`` is called with where it listens; None prints it for a person, with more.
    """
    app = create_app(settings)
    app.warehouses[0].audit.started(settings)
    check_at_start(app.warehouses)
    if settings.auth.required and first_administrators.are_missing(
        app.warehouses[0].store, settings.auth
    ):
        _log.warning(
            "nobody is an administrator: falcon-catalog principals add NAME --admin makes one, and"
            " so does the setting auth.admins"
        )
    announce = announce or _on_terminal(settings, app.warehouses[0].store)
    return serve(app, settings.server, announce, app.metrics, only_locally=_only_locally(settings))


def _only_locally(settings: Settings) -> bool:
    return not (settings.auth.required or settings.server.insecure)


def _is_terminal() -> bool:
    return sys.stdout is not None and sys.stdout.isatty()


def _on_terminal(settings: Settings, store: Database) -> Callable[[str], None]:
    """Return the announcement for a person: where the data are, how to connect, how to stop."""

    def announce(line: str) -> None:
        url = line.removeprefix("Listening on ").split(" and ")[0]
        lines = [("Store", _store(settings))]
        for name, location in settings.warehouse.roots.items():
            lines.append(("Warehouse", f"{location} ({name})"))
        if settings.auth.required:
            lines.append(("Tokens", "required; falcon-catalog principals add NAME makes a client"))
        else:
            lines.append(("Tokens", "not required: every client may change everything"))
        if url.startswith("http") and settings.web.enabled:
            lines.append(("Open", _pages(settings, store, url)))
        if url.startswith("http"):
            login = " --credential NAME:SECRET" if settings.auth.required else ""
            lines.append(("Connect", f"falcon-catalog engines --uri {url}{login}"))
        lines.append(("Stop", "Ctrl-C"))
        logs.say("\n".join([line, "", *(f"  {what:<11}{text}" for what, text in lines), ""]))

    return announce


def _pages(settings: Settings, store: Database, url: str) -> str:
    """Return the address of the pages, with a login if one is needed and can be made."""
    if settings.auth.required:
        with contextlib.suppress(CatalogError):  # the store takes no changes now
            call = StoreCall(store, local=f"local:{os.getuid()}")
            return f"{login_link(call, url)} (once, within ten minutes)"
    return f"{url}/"


def _store(settings: Settings) -> str:
    return str(settings.store.path) if settings.store.is_file else settings.store.url


@click.group("config")
def config_group() -> None:
    """Show the settings."""


@config_group.command()
@as_json
@with_settings
def show(config: Path | None, *, as_json: bool, **flags: Any) -> None:
    """Print the settings in force, each with its origin, as a file for --config.

    \b
    Example:
        falcon-catalog config show > catalog.toml
    """
    with one_line_errors():
        settings = read(config, flags)
    if as_json:
        echo_json(
            {
                key: {"value": settings.value(key), "origin": settings.origins[key]}
                for key in (*(setting.key for setting in SETTINGS), *settings.section_keys)
            }
        )
        return
    section = ""
    for setting in SETTINGS:
        of, _, name = setting.key.partition(".")
        if of != section:
            click.echo(f"[{of}]" if not section else f"\n[{of}]")
            section = of
        _echo_setting(settings, setting.key, name)
    section = ""
    for key in settings.section_keys:
        of, _, name = key.rpartition(".")
        if of != section:
            warehouse = of.partition(".")[2]
            is_dotted = of.startswith("warehouse.") and "." in warehouse
            click.echo(f'\n[warehouse."{warehouse}"]' if is_dotted else f"\n[{of}]")
            section = of
        _echo_setting(settings, key, name)


def _echo_setting(settings: Settings, key: str, name: str) -> None:
    written = f"{name} = {json.dumps(settings.value(key), ensure_ascii=False)}"
    click.echo(f"{written:<60}  # {settings.origins[key]}")
