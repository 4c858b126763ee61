"""``falcon-catalog ls``."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

import click

from falcon_catalog.console.connection import Client, client_command
from falcon_catalog.console.entities import (
    NAME,
    Entry,
    Namespace,
    children,
    descendants,
    find,
    is_table,
)
from falcon_catalog.console.names import Name
from falcon_catalog.console.output import ABSENT, Column, iso, styled
from falcon_catalog.console.statistics import Totals, totals

_AT_ONCE = 8  # requests that -l sends at the same time
_STYLES = {"namespace": "bold blue", "table": "", "view": "magenta"}


@dataclass(frozen=True, slots=True)
class _Details:
    """What -l shows of a table or view."""

    format_version: int | None = None
    updated_ms: int | None = None
    totals: Totals | None = None


@client_command("ls")
@click.argument("name", type=NAME, required=False)
@click.option("--recursive", "-r", is_flag=True, help="List nested namespaces, too.")
@click.option("--long", "-l", "is_long", is_flag=True, help="Show versions, times and sizes.")
def command(client: Client, name: Name | None, *, recursive: bool, is_long: bool) -> None:
    """List namespaces, or the tables and views of the namespace NAME.

    \b
    Examples:
        falcon-catalog ls
        falcon-catalog ls weather -l
        falcon-catalog ls -r --json --uri https://lake.example.com
        falcon-catalog ls weather -q | xargs -n 1 falcon-catalog show

    -l loads each table and view: its format version, the time of its current snapshot, its rows,
    size and files, as the snapshot's summary has them.
    """
    if name is not None and name.at is not None:
        raise click.UsageError(f"ls lists what is there now: {name.entity} without @{name.at}")
    entries = list(_entries(client, name, recursive=recursive))
    out = client.out
    if out.quiet and not out.as_json:
        out.names(entries)
        return
    details: list[_Details] | None = None
    if is_long:
        with out.progress(f"Loading {len(entries)} tables and views"):
            details = list(_load(client, entries))
    if out.as_json:
        out.document(_document(entries, details))
    elif details is None:
        out.table(
            [Column("name", may_wrap=True), Column("kind")],
            ((styled(str(entry), _STYLES[entry.kind]), entry.kind) for entry in entries),
        )
    else:
        _print_long(client, entries, details)


def _entries(client: Client, name: Name | None, *, recursive: bool) -> Iterable[Entry]:
    parts = name.parts if name else ()
    if name is not None and not isinstance(found := find(client, name), Namespace):
        return [Entry("table" if is_table(found) else "view", parts)]
    return descendants(client, parts) if recursive else children(client, parts)


def _load(client: Client, entries: list[Entry]) -> Iterator[_Details]:
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        yield from pool.map(lambda entry: _details(client, entry), entries)


def _details(client: Client, entry: Entry) -> _Details:
    if entry.kind == "namespace":
        return _Details()
    from pyiceberg.exceptions import NoSuchTableError, NoSuchViewError

    try:
        if entry.kind == "view":
            view = client.catalog.load_view(entry.parts)
            return _Details(view.metadata.format_version, view.current_version().timestamp_ms)
        table = client.catalog.load_table(entry.parts)
    except (NoSuchTableError, NoSuchViewError):  # dropped meanwhile
        return _Details()
    snapshot = table.current_snapshot()
    at = snapshot.timestamp_ms if snapshot else None
    return _Details(table.format_version, at, totals(snapshot))


def _document(entries: list[Entry], details: list[_Details] | None) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = [
        {"name": str(entry), "parts": list(entry.parts), "kind": entry.kind} for entry in entries
    ]
    for row, found in zip(rows, details or [], strict=False):
        if row["kind"] != "namespace":
            row["format-version"] = found.format_version
            row["updated"] = iso(found.updated_ms)
        if found.totals:
            counted = asdict(found.totals)
            row |= {key.replace("_", "-"): value for key, value in counted.items()}
    return rows


def _print_long(client: Client, entries: list[Entry], details: list[_Details]) -> None:
    out = client.out
    columns = [
        Column("name", may_wrap=True),
        Column("kind", left_out=3),
        Column("format", left_out=1),
        Column("updated (UTC)", left_out=4),
        Column("rows", is_number=True),
        Column("size", is_number=True),
        Column("files", is_number=True, left_out=2),
    ]
    rows = []
    for entry, found in zip(entries, details, strict=True):
        version = f"v{found.format_version}" if found.format_version else ABSENT
        counted = found.totals or Totals(None, None, None, None)
        rows.append(
            (
                styled(str(entry), _STYLES[entry.kind]),
                entry.kind,
                version,
                out.stamp(found.updated_ms),
                out.count(counted.rows),
                out.size(counted.size),
                out.count(counted.files),
            )
        )
    out.table(columns, rows)
