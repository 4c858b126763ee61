"""``falcon-catalog diff``."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import click

from falcon_catalog.console import schemas
from falcon_catalog.console.comparing import Change, map_changes, schema_changes
from falcon_catalog.console.connection import Client, client_command
from falcon_catalog.console.entities import NAME, find_table
from falcon_catalog.console.filters import need_pyarrow
from falcon_catalog.console.manifests import File, files
from falcon_catalog.console.names import Name
from falcon_catalog.console.output import Column, Output, styled
from falcon_catalog.console.row_changes import RowChanges, row_changes
from falcon_catalog.console.rows import as_object, text
from falcon_catalog.console.snapshots import schema_of, select

if TYPE_CHECKING:
    from pyiceberg.schema import Schema
    from pyiceberg.table import Table
    from pyiceberg.table.metadata import TableMetadata
    from pyiceberg.table.snapshots import Snapshot

DIFFERENT = 3
_RANGE = ".."


@dataclass(frozen=True, slots=True)
class _Side:
    """One of the two states of a table that are compared."""

    name: Name
    snapshot: "Snapshot | None"
    schema: "Schema"
    metadata: "TableMetadata | None"
    """The table's metadata as of then; None where its file is gone."""
    files: dict[str, File]


@dataclass(frozen=True, slots=True)
class _Difference:
    """What differs between two states of a table."""

    before: _Side
    after: _Side
    changes: list[Change]
    is_complete: bool
    """False: partitioning, sort order and properties could not be compared."""
    removed: list[File]
    added: list[File]
    rows: RowChanges | None


@client_command("diff")
@click.argument("old", type=NAME, metavar="NAME@OLD[..NEW]")
@click.argument("new", type=NAME, metavar="[NAME@NEW]", required=False)
@click.option("--files", "show_files", is_flag=True, help="List the files that differ.")
@click.option("--rows", "show_rows", is_flag=True, help="List the rows that differ.")
@click.option(
    "--number",
    "-n",
    type=click.IntRange(1),
    default=20,
    show_default=True,
    metavar="N",
    help="With --rows, show up to N added and N removed rows; JSON has all.",
)
@click.option("--exit-code", is_flag=True, help="End with status 3 if there are differences.")
def command(
    client: Client,
    *,
    old: Name,
    new: Name | None,
    show_files: bool,
    show_rows: bool,
    number: int,
    exit_code: bool,
) -> None:
    """Compare two snapshots of a table.

    \b
    Examples:
        falcon-catalog diff weather.observations@-1
        falcon-catalog diff weather.observations@v1..main --files
        falcon-catalog diff weather.observations@2026-11-01..2026-11-02 --rows
        falcon-catalog diff weather.observations@v1 weather.observations@v2 --exit-code

    Without a second snapshot the first one is compared with the current one. Compared are columns,
    partitioning, sort order, properties, files and their rows. --rows reads the files that differ,
    up to a million rows; rows that were only moved to other files, as by a compaction, are left
    out. Status 3 with --exit-code: there are differences.
    """
    if show_rows:
        need_pyarrow("diff --rows")
    old, new = _range(old, new)
    table = find_table(client, old)
    with client.out.progress("Comparing"):
        found = _compare(table, _side(table, old), _side(table, new), with_rows=show_rows)
    out = client.out
    if out.as_json:
        out.document(_document(found))
    elif out.quiet:
        out.names(change.what for change in found.changes)
        out.names(file.path for file in (*found.removed, *found.added))
    else:
        _print(out, found)
        if show_files:
            _print_files(out, table, found)
        if found.rows is not None:
            _print_rows(out, found.rows, number)
    if exit_code and (found.changes or found.removed or found.added):
        raise SystemExit(DIFFERENT)


def _compare(table: "Table", before: _Side, after: _Side, *, with_rows: bool) -> _Difference:
    changes = schema_changes(before.schema, after.schema)
    old, new = before.metadata, after.metadata
    if old is not None and new is not None:
        changes += _metadata_changes(old, new)
    return _Difference(
        before,
        after,
        changes,
        is_complete=old is not None and new is not None,
        removed=[file for path, file in before.files.items() if path not in after.files],
        added=[file for path, file in after.files.items() if path not in before.files],
        rows=row_changes(table, before.snapshot, after.snapshot, after.schema)
        if with_rows
        else None,
    )


def _range(old: Name, new: Name | None) -> tuple[Name, Name]:
    if new is not None:
        if new.parts != old.parts:
            raise click.UsageError(f"{old.entity} and {new.entity} are not the same table")
        return old, new
    if old.at is None:
        raise click.UsageError(f"name a snapshot: {old}@-1, {old}@v1..main")
    start, _, end = old.at.partition(_RANGE)
    return Name(old.parts, start or None), Name(old.parts, end or None)


def _side(table: "Table", name: Name) -> _Side:
    snapshot = select(table, name)
    metadata = table.metadata if name.at is None else _metadata_of(table, snapshot)
    schema = table.schema() if name.at is None else schema_of(table, snapshot)
    found = {file.path: file for file in files(table, snapshot)}
    return _Side(name, snapshot, schema, metadata, found)


def _metadata_of(table: "Table", snapshot: "Snapshot | None") -> "TableMetadata | None":
    """Return the metadata that the commit of a snapshot wrote; None where its file is gone."""
    from pyiceberg.serializers import FromInputFile

    metadata = table.metadata
    if snapshot is None or snapshot.snapshot_id == metadata.current_snapshot_id:
        return metadata
    later = [each for each in metadata.metadata_log if each.timestamp_ms >= snapshot.timestamp_ms]
    if later:
        try:
            metadata = FromInputFile.table_metadata(table.io.new_input(later[0].metadata_file))
        except (OSError, ValueError):
            return None
    # Where the log was cut, the oldest file that it has is newer than the snapshot.
    heads = {ref.snapshot_id for ref in metadata.refs.values()}
    return metadata if snapshot.snapshot_id in heads else None


def _metadata_changes(old: "TableMetadata", new: "TableMetadata") -> list[Change]:
    specs = [", ".join(schemas.partitioning(each.spec(), each.schema())) for each in (old, new)]
    orders = [_order(each) for each in (old, new)]
    changes = [
        Change(what, first or None, second or None)
        for what, (first, second) in (("partitioning", specs), ("sort order", orders))
        if first != second
    ]
    return changes + map_changes("property", dict(old.properties), dict(new.properties))


def _order(metadata: "TableMetadata") -> str:
    order = metadata.sort_order_by_id(metadata.default_sort_order_id)
    return ", ".join(schemas.ordering(order, metadata.schema())) if order else ""


def _print(out: Output, found: _Difference) -> None:
    for sign, style, side in (("-", "red", found.before), ("+", "green", found.after)):
        at = out.moment(side.snapshot.timestamp_ms) if side.snapshot else ""
        which = f"{side.snapshot.snapshot_id}, {at}" if side.snapshot else "no snapshot"
        out.line(f"{sign} {side.name}: {which}", style=style)
    if found.changes:
        out.heading("Metadata")
    for change in found.changes:
        out.line(f"  {change.what}")
        if change.old is not None:
            out.line(f"    - {change.old}", style="red")
        if change.new is not None:
            out.line(f"    + {change.new}", style="green")
    out.heading("Files")
    columns = [Column(""), Column("files", is_number=True), Column("rows", is_number=True)]
    columns += [Column("delete files", is_number=True), Column("size", is_number=True)]
    out.table(columns, [_counts(out, "removed", found.removed), _counts(out, "added", found.added)])
    if not found.is_complete:
        out.line()
        out.line(
            "Partitioning, sort order and properties were not compared: the metadata file of one of"
            " the snapshots is gone.",
            style="yellow",
        )


def _counts(out: Output, title: str, found: list[File]) -> list[Any]:
    data = [file for file in found if file.content == "data"]
    return [
        title,
        out.count(len(data)),
        out.count(sum(file.rows for file in data)),
        out.count(len(found) - len(data)),
        out.size(sum(file.size for file in found)),
    ]


def _print_files(out: Output, table: "Table", found: _Difference) -> None:
    out.line()
    base = f"{table.location().rstrip('/')}/"
    columns = [Column(""), Column("content"), Column("rows", is_number=True)]
    columns += [Column("size", is_number=True), Column("path", may_be_cut=True)]
    out.table(
        columns,
        (
            (
                styled(sign, style),
                file.content,
                out.count(file.rows),
                out.size(file.size),
                file.path.removeprefix(base) if out.is_terminal else file.path,
            )
            for sign, style, side in (("-", "red", found.removed), ("+", "green", found.added))
            for file in side
        ),
    )


def _print_rows(out: Output, rows: RowChanges, number: int) -> None:
    out.heading(f"Rows: {len(rows.removed)} removed, {len(rows.added)} added")
    shown = [
        [styled(sign, style), *(styled(text(value), style) for value in row)]
        for sign, style, found in (("-", "red", rows.removed), ("+", "green", rows.added))
        for row in found[:number]
    ]
    if shown:
        out.table([Column(""), *(Column(name, may_be_cut=True) for name in rows.names)], shown)
    hidden = sum(max(0, len(found) - number) for found in (rows.removed, rows.added))
    if hidden:
        out.line(f"{hidden} more: -n shows them")


def _document(found: _Difference) -> dict[str, Any]:
    document: dict[str, Any] = {
        "old": _snapshot_id(found.before),
        "new": _snapshot_id(found.after),
        "changes": [asdict(change) for change in found.changes],
        "metadata-compared": found.is_complete,
        "files-removed": [asdict(file) for file in found.removed],
        "files-added": [asdict(file) for file in found.added],
    }
    if (rows := found.rows) is not None:
        document["rows-removed"] = [as_object(rows.names, row) for row in rows.removed]
        document["rows-added"] = [as_object(rows.names, row) for row in rows.added]
    return document


def _snapshot_id(side: _Side) -> int | None:
    return side.snapshot.snapshot_id if side.snapshot else None
