"""``falcon-catalog dropped``, ``undrop`` and ``maintain``."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from tabulate import tabulate

from falcon_catalog.catalog import dropped as drops
from falcon_catalog.catalog import marks
from falcon_catalog.catalog.bootstrap import close_warehouses, open_warehouses
from falcon_catalog.catalog.call import Call
from falcon_catalog.catalog.mount import unavailable
from falcon_catalog.catalog.purge import purge_expired
from falcon_catalog.catalog.warehouse import Warehouse
from falcon_catalog.cli.common import (
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
from falcon_catalog.identifiers import UNLIMITED, Namespace, Page, TableIdentifier, check_name
from falcon_catalog.settings import Settings
from falcon_catalog.store import dropped as rows
from falcon_catalog.store import in_use, reading, warehouses


@click.command()
@as_json
@with_warehouse_names
def dropped(config: Path | None, *, as_json: bool, **flags: Any) -> None:
    """List the dropped tables and views that can be undropped.

    \b
    Example:
        falcon-catalog dropped
    """
    with one_line_errors():
        settings = read_existing(config, flags)
        with reading(settings.store) as tx:
            found = [
                (name, row)
                for name in settings.warehouse.roots
                if (warehouse := warehouses.find(tx, name)) is not None
                for row in rows.list_(tx, warehouse.id, Page(None, UNLIMITED))
            ]
    if as_json:
        echo_json([{"warehouse": name, **drops.as_json(row)} for name, row in found])
        return
    table = [
        (
            row.id,
            name,
            row.kind,
            str(row.identifier),
            utc(row.dropped_at),
            utc(row.expires_at),
            "yes" if row.purge else "no",
        )
        for name, row in found
    ]
    head = ("id", "warehouse", "kind", "name", "dropped", "can be undropped until", "purge")
    echo(tabulate(table, head) if table else "No dropped tables or views to restore.")


@click.command("undrop")
@click.argument("dropped_id", metavar="ID", type=int)
@click.option(
    "--as", "name", metavar="NAME", help="Restore it under this name, such as namespace.table."
)
@as_json
@with_warehouses
def undrop_command(
    dropped_id: int, name: str | None, config: Path | None, *, as_json: bool, **flags: Any
) -> None:
    """Restore a dropped table or view by its ID in "falcon-catalog dropped".

    \b
    Examples:
        falcon-catalog undrop 7
        falcon-catalog undrop 7 --as archive.orders
    """
    with one_line_errors(), _opened(read_existing(config, flags)) as opened:
        *levels, last = name.split(".") if name else ("", "")
        to = TableIdentifier(Namespace.of(levels), check_name(last, "table")) if name else None
        call = Call(drops.warehouse_of(opened, dropped_id))
        marks.require_writable(call)
        row = drops.undrop(call, dropped_id, to)
    if as_json:
        echo_json({**drops.as_json(row), "restored-as": (to or row.identifier).as_json()})
    else:
        echo(f"{row.kind} {row.identifier} is back{f' as {to}' if to else ''}")


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
