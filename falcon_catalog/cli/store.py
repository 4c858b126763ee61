"""``falcon-catalog store copy``."""

import contextlib
from dataclasses import replace
from pathlib import Path

import click
from tabulate import tabulate

from falcon_catalog import rules
from falcon_catalog.cli.common import (
    Failed,
    as_json,
    echo,
    echo_json,
    one_line_errors,
    read,
    utc,
    with_config,
)
from falcon_catalog.cli.doctor import echo_progress
from falcon_catalog.settings import Settings, SettingsError, StoreSettings, prepare
from falcon_catalog.store import copying, exists, in_use, open_database, reading, snapshot
from falcon_catalog.store.database import StoreError


@click.group("store")
def store_group() -> None:
    """Move the catalog's database."""


@store_group.command("copy")
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO")
@as_json
@with_config
def copy_command(source: str, target: str, config: Path | None, *, as_json: bool) -> None:
    """Copy the store FROM into the new or empty store TO: SQLite files and PostgreSQL databases.

    Each is a path or a URL as in store.url; the other settings of PostgreSQL, such as
    store.password, hold for both. Copies one moment, in one transaction, and compares both stores
    table by table afterwards. FROM is not changed. Warehouses and their files stay where they are.

    Stop the servers of FROM first: what they store after that moment is not in the copy. Afterwards
    only one of the two may be served, because both name the same files.

    Exit status 0: copied and verified. 2: nothing was copied, or the last line says otherwise.

    \b
    Examples:
        falcon-catalog store copy /var/lib/falcon-catalog/catalog.db postgresql://catalog@db/catalog
        falcon-catalog store copy postgresql://catalog@db/catalog copy.db --config catalog.toml
    """
    with one_line_errors(Failed):
        settings = read(config, {})
        old, new = (_store(settings, name, url) for name, url in (("FROM", source), ("TO", target)))
        if old.url == new.url and old.search_path == new.search_path:
            raise Failed(f"FROM and TO are the same store: {old.url}")
        if not exists(old):
            raise StoreError(f"there is no store at {old.url}. Nothing was copied")
        if exists(new):
            with reading(new) as tx:
                copying.require_empty(tx, new.url)
        else:
            prepare(replace(settings, store=new))
        with (
            snapshot(old) as tx,
            in_use(new),
            contextlib.closing(open_database(new)) as opened,
        ):
            moment, done = tx.now, copying.copy(tx, opened, new.url, echo_progress)
    rows = [(table, content.rows, content.digest) for table, content in done.items()]
    if as_json:
        tables = {name: {"rows": count, "digest": digest} for name, count, digest in rows}
        echo_json({"from": old.url, "to": new.url, "moment-ms": moment, "tables": tables})
        return
    echo(tabulate(rows, ("table", "rows", "digest")))
    echo(f"\n{new.url}: the store at {utc(moment)} UTC, verified. Set store.url to it")


def _store(settings: Settings, name: str, url: str) -> StoreSettings:
    try:
        return replace(settings.store, url=rules.store_url(url))
    except ValueError as error:
        raise SettingsError(f"{name} = {rules.without_password(url)!r}: it {error}") from None
