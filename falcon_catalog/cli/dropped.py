"""``falcon-catalog dropped``, ``undrop`` and ``maintain``."""

import contextlib
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem
from tabulate import tabulate

from falcon_catalog.catalog import dropped as drops
from falcon_catalog.catalog import marks
from falcon_catalog.catalog.bootstrap import close_warehouses, open_warehouses
from falcon_catalog.catalog.call import Call
from falcon_catalog.catalog.mount import unavailable
from falcon_catalog.catalog.purge import purge_expired
from falcon_catalog.catalog.warehouse import Warehouse
from falcon_catalog.cli.common import (
    Command,
    Stopped,
    as_json,
    echo,
    echo_json,
    one_line_errors,
    read_existing,
    utc,
    with_warehouse_names,
    with_warehouses,
)
from falcon_catalog.client_flags import with_identity
from falcon_catalog.console.names import dotted
from falcon_catalog.identifiers import UNLIMITED, Namespace, Page, TableIdentifier, check_name
from falcon_catalog.settings import Settings
from falcon_catalog.store import dropped as rows
from falcon_catalog.store import in_use, reading, warehouses


def _with_catalog(command: Command) -> Command:
    """Add the options that name a running catalog, and the client's identity."""
    for option in (
        with_identity,
        click.option(
            "--catalog", "catalog_name", metavar="NAME", help="One of PyIceberg's configuration."
        ),
        click.option("--uri", metavar="URI", help="The catalog to send the request to."),
    ):
        command = option(command)
    return command


@click.command()
@_with_catalog
@as_json
@with_warehouse_names
def dropped(
    config: Path | None,
    *,
    uri: str | None,
    catalog_name: str | None,
    token: str | None,
    credential: str | None,
    as_json: bool,
    **flags: Any,
) -> None:
    """List the dropped tables and views that can be undropped.

    \b
    Examples:
        falcon-catalog dropped
        falcon-catalog dropped --uri https://lake.example.com

    It reads the store, without a running catalog, unless --uri or --catalog is given.
    """
    if uri or catalog_name:
        where = {"uri": uri, "catalog_name": catalog_name, "token": token, "credential": credential}
        found = _over_http(where | {"warehouse": flags["warehouse_name"]})
    else:
        found = _in_store(config, flags)
    if as_json:
        echo_json(found)
        return
    table = [
        (
            each["id"],
            each["warehouse"],
            each["type"],
            dotted((*each["identifier"]["namespace"], each["identifier"]["name"])),
            _moment(each["dropped-at"]),
            _moment(each["expires-at"]),
            "yes" if each["purge"] else "no",
        )
        for each in found
    ]
    head = ("id", "warehouse", "kind", "name", "dropped", "can be undropped until", "purge")
    echo(
        tabulate(table, head, disable_numparse=True, colalign=("right",))
        if table
        else "No dropped tables or views to restore."
    )


def _in_store(config: Path | None, flags: dict[str, Any]) -> list[dict[str, Any]]:
    with one_line_errors():
        settings = read_existing(config, flags)
        with reading(settings.store) as tx:
            return [
                {"warehouse": name, **drops.Dropped(row, is_described=True).as_json()}
                for name in settings.warehouse.roots
                if (warehouse := warehouses.find(tx, name)) is not None
                for row in rows.list_(tx, warehouse.id, Page(None, UNLIMITED))
            ]


def _over_http(where: dict[str, str | None]) -> list[dict[str, Any]]:
    from falcon_catalog.console import http, undrop  # noqa: PLC0415 - a client
    from falcon_catalog.console.connection import Client, connected  # noqa: PLC0415
    from falcon_catalog.console.output import Output  # noqa: PLC0415

    with connected(**where) as (catalog, address):
        client = Client(catalog, address, Output())
        return [{"warehouse": http.warehouse(client), **each} for each in undrop.list_(client)]


def _moment(text: str) -> str:
    """Return a time of the management API for a table."""
    return utc(int(datetime.fromisoformat(text).timestamp() * 1000))


def _complete_dropped(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Return the names of what was dropped in a running catalog."""
    from falcon_catalog.console import completion, undrop  # noqa: PLC0415 - a client

    context.params["warehouse"] = context.params.get("warehouse_name")
    complete = completion.from_catalog(lambda client, *_: undrop.names(client))
    return complete(context, parameter, incomplete)


@click.command("undrop")
@click.argument("which", metavar="ID|NAME", shell_complete=_complete_dropped)
@click.option(
    "--as", "name", metavar="NAME", help="Restore it under this name, such as namespace.table."
)
@_with_catalog
@as_json
@with_warehouses
def undrop_command(
    which: str,
    name: str | None,
    config: Path | None,
    *,
    uri: str | None,
    catalog_name: str | None,
    token: str | None,
    credential: str | None,
    as_json: bool,
    **flags: Any,
) -> None:
    """Restore a dropped table or view by its name, or by its ID in "falcon-catalog dropped".

    \b
    Examples:
        falcon-catalog undrop weather.observations
        falcon-catalog undrop weather.observations --as archive.observations
        falcon-catalog undrop 7

    A NAME is restored by a running catalog, http://127.0.0.1:8181 without --uri; the one dropped
    last, if there are several. An ID is restored in the store, without a running catalog, unless
    --uri or --catalog is given.
    """
    if uri or catalog_name or not which.isdecimal():
        where = {"uri": uri, "catalog_name": catalog_name, "token": token, "credential": credential}
        _undrop_over_http(which, name, where | {"warehouse": flags["warehouse_name"]}, as_json)
        return
    dropped_id = int(which)
    with one_line_errors(), _opened(read_existing(config, flags)) as opened:
        *levels, last = name.split(".") if name else ("", "")
        to = TableIdentifier(Namespace.of(levels), check_name(last, "table")) if name else None
        call = Call(drops.warehouse_of(opened, dropped_id))
        marks.require_writable(call)
        restored = drops.undrop(call, dropped_id, to)
    row = restored.row
    if as_json:
        echo_json({**restored.as_json(), "restored-as": (to or row.identifier).as_json()})
    else:
        echo(f"{row.kind} {row.identifier} is back{f' as {to}' if to else ''}")


def _undrop_over_http(
    which: str,
    name: str | None,
    where: dict[str, str | None],
    as_json: bool,  # noqa: FBT001
) -> None:
    from falcon_catalog.console.connection import Client, connected  # noqa: PLC0415 - a client
    from falcon_catalog.console.output import Output  # noqa: PLC0415
    from falcon_catalog.console.undrop import undrop  # noqa: PLC0415

    with connected(**where) as (catalog, address):
        undrop(Client(catalog, address, Output(as_json=as_json)), which, name)


@click.command()
@as_json
@with_warehouses
def maintain(config: Path | None, *, as_json: bool, **flags: Any) -> None:
    """Run the maintenance that a running server does each minute.

    Removes tables and views that were dropped longer ago than warehouse.drop_retention, and deletes
    the files of tables that were dropped with a purge and those that failed commits left behind.
    Safe beside a running server.

    \b
    Example:
        falcon-catalog maintain
    """
    with one_line_errors(), _opened(read_existing(config, flags)) as opened:
        missing = unavailable([warehouse.mount for warehouse in opened])
        there = [warehouse for warehouse in opened if not warehouse.mount.absence()]
        lines = [line for warehouse in there for line in purge_expired(warehouse)]
        locked = [warehouse for warehouse in there if marks.is_read_only(warehouse)]
        lines += [f"{each.name}: read-only, nothing is removed or purged" for each in locked]
    if as_json:
        echo_json(lines)
    else:
        echo("\n".join(lines) or "Nothing to do.")
    if missing:
        raise Stopped(f"{'; '.join(missing)}. Nothing in it was removed or purged")


@contextlib.contextmanager
def _opened(settings: Settings) -> Iterator[list[Warehouse]]:
    with in_use(settings.store):
        opened = open_warehouses(settings, create=False)
        try:
            yield opened
        finally:
            close_warehouses(opened)
