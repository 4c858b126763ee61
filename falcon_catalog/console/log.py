"""``falcon-catalog log``."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from falcon_catalog.console.connection import Client, client_command
from falcon_catalog.console.entities import NAME, find_table
from falcon_catalog.console.names import Name
from falcon_catalog.console.output import ABSENT, Column, Output, iso, styled
from falcon_catalog.console.snapshots import labels, select
from falcon_catalog.console.statistics import changes, operation, summary
from falcon_catalog.summaries import rows as count_rows

if TYPE_CHECKING:
    from pyiceberg.table import Table
    from pyiceberg.table.snapshots import Snapshot


@client_command("log")
@click.argument("name", type=NAME)
@click.option("--number", "-n", type=click.IntRange(1), metavar="N", help="Show the newest N.")
@click.option("--all", "show_all", is_flag=True, help="Show those of other branches, too.")
def command(client: Client, name: Name, *, number: int | None, show_all: bool) -> None:
    """Show the snapshots of a table, the newest first.

    \b
    Examples:
        falcon-catalog log weather.observations
        falcon-catalog log weather.observations@audit -n 20
        falcon-catalog log weather.observations --all
        falcon-catalog log weather.observations -q -n 1

    These are the current snapshot and those before it; with a branch, a tag, a snapshot id or a
    time after @ that snapshot and those before it. --all shows every snapshot, and draws which one
    each was made from. Rows and files are those that the snapshot's summary counts; rows that
    delete files remove are among the removed ones.
    """
    table = find_table(client, name)
    start = select(table, name)
    shown = _newest_first(table.snapshots()) if show_all else list(_ancestry(table, start))
    lanes = list(_lanes(shown)) if show_all else None
    shown = shown[:number]
    out = client.out
    if out.as_json:
        refs = labels(table)
        out.document([_document(each, refs.get(each.snapshot_id, [])) for each in shown])
    elif out.quiet:
        out.names(each.snapshot_id for each in shown)
    elif shown:
        _print(out, table, shown, lanes)
    else:
        out.line(f"{name.entity} has no snapshots")


def _ancestry(table: "Table", snapshot: "Snapshot | None") -> "Iterator[Snapshot]":
    while snapshot is not None:
        yield snapshot
        parent = snapshot.parent_snapshot_id
        snapshot = None if parent is None else table.snapshot_by_id(parent)


def _newest_first(snapshots: "Sequence[Snapshot]") -> "list[Snapshot]":
    return sorted(
        snapshots, key=lambda each: (each.sequence_number or 0, each.timestamp_ms), reverse=True
    )


def _lanes(snapshots: "list[Snapshot]") -> Iterator[str]:
    """Yield a line of the graph for each snapshot: ``*`` is its own, ``|`` others that go on.

    A lane waits for the parent of the snapshots in it. It ends where another waits for the same.
    """
    waiting: list[int | None] = []
    for snapshot in snapshots:
        if snapshot.snapshot_id not in waiting:
            waiting.append(snapshot.snapshot_id)
        own = waiting.index(snapshot.snapshot_id)
        yield " ".join("*" if lane == own else "|" for lane in range(len(waiting)))
        parent = snapshot.parent_snapshot_id
        if parent is None or parent in waiting:
            del waiting[own]
        else:
            waiting[own] = parent


def _print(
    out: Output, table: "Table", snapshots: "list[Snapshot]", lanes: list[str] | None
) -> None:
    refs = labels(table)
    columns = [Column("snapshot", style="yellow"), Column("time (UTC)"), Column("operation")]
    columns += [
        Column("rows", is_number=True),
        Column("files", is_number=True),
        Column("refs", may_wrap=True),
    ]
    if lanes is not None:
        columns.insert(0, Column("", style="red"))
    rows = []
    for index, each in enumerate(snapshots):
        counted, of_rows = changes(each), count_rows(summary(each), table.format_version)
        row: list[Any] = [
            str(each.snapshot_id),
            out.stamp(each.timestamp_ms),
            operation(each),
            _signed(out, of_rows.added, of_rows.removed),
            _signed(out, counted.files_added, counted.files_removed),
            styled(", ".join(refs.get(each.snapshot_id, [])), "bold green"),
        ]
        rows.append(row if lanes is None else [styled(lanes[index], "red"), *row])
    out.table(columns, rows)


def _signed(out: Output, added: int | None, taken: int | None) -> str:
    if added is None and taken is None:
        return ABSENT
    shown = [f"+{out.count(added)}"] if added else []
    shown += [f"-{out.count(taken)}"] if taken else []
    return " ".join(shown) or "0"


def _document(snapshot: "Snapshot", refs: list[str]) -> dict[str, Any]:
    counted = asdict(changes(snapshot))
    return {
        "snapshot-id": snapshot.snapshot_id,
        "parent-snapshot-id": snapshot.parent_snapshot_id,
        "sequence-number": snapshot.sequence_number,
        "timestamp": iso(snapshot.timestamp_ms),
        "operation": operation(snapshot),
        "schema-id": snapshot.schema_id,
        **{key.replace("_", "-"): value for key, value in counted.items()},
        "branches": [ref for ref in refs if not ref.startswith("tag: ")],
        "tags": [ref.removeprefix("tag: ") for ref in refs if ref.startswith("tag: ")],
        "summary": summary(snapshot),
    }
