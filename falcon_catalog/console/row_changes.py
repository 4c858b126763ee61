"""Rows that one snapshot has and another has not, from the files in which they differ."""

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from falcon_catalog.console.failures import ConsoleError
from falcon_catalog.console.rows import Row, text

if TYPE_CHECKING:
    from pyiceberg.schema import Schema
    from pyiceberg.table import FileScanTask, Table
    from pyiceberg.table.snapshots import Snapshot

MOST_ROWS = 1_000_000


@dataclass(frozen=True, slots=True)
class RowChanges:
    """The rows that were removed and added; rows that were only rewritten are in neither."""

    names: list[str]
    removed: list[Row]
    added: list[Row]


def row_changes(
    table: "Table", old: "Snapshot | None", new: "Snapshot | None", schema: "Schema"
) -> RowChanges:
    """Return the rows that differ between two snapshots, with the columns of one schema.

    Files that both have, with the same deletes, are not read.

    Raises:
        ConsoleError: the files that differ have too many rows, or PyIceberg cannot read them.
    """
    try:
        before, after = _tasks(table, old), _tasks(table, new)
    except (NotImplementedError, ValueError) as error:
        raise ConsoleError(f"--rows: {error}") from None
    only_before = [task for key, task in before.items() if key not in after]
    only_after = [task for key, task in after.items() if key not in before]
    count = sum(task.file.record_count for task in (*only_before, *only_after))
    if count > MOST_ROWS:
        raise ConsoleError(
            f"--rows: the files that differ have {count} rows, more than {MOST_ROWS}; compare them"
            " with falcon-catalog sql, or see the files with --files"
        )
    removed, added = _read(table, only_before, schema), _read(table, only_after, schema)
    rewritten = Counter(map(_key, removed)) & Counter(map(_key, added))
    names = [field.name for field in schema.fields]
    return RowChanges(names, _without(removed, rewritten), _without(added, rewritten))


def _tasks(table: "Table", snapshot: "Snapshot | None") -> "dict[Any, FileScanTask]":
    """Return what a scan reads, by data file and the delete files that apply to it."""
    if snapshot is None:
        return {}
    return {
        (
            task.file.file_path,
            frozenset((each.file_path, each.record_count) for each in task.delete_files),
        ): task
        for task in table.scan(snapshot_id=snapshot.snapshot_id).plan_files()
    }


def _read(table: "Table", tasks: "list[FileScanTask]", schema: "Schema") -> list[Row]:
    if not tasks:
        return []
    from pyiceberg.expressions import AlwaysTrue
    from pyiceberg.io.pyarrow import ArrowScan

    reader = ArrowScan(table.metadata, table.io, schema, AlwaysTrue())
    return [
        tuple(row.values())
        for batch in reader.to_record_batches(tasks)
        for row in batch.to_pylist()
    ]


def _without(rows: list[Row], rewritten: "Counter[tuple[str, ...]]") -> list[Row]:
    left = rewritten.copy()
    found = []
    for row in rows:
        key = _key(row)
        if left[key]:
            left[key] -= 1
        else:
            found.append(row)
    return sorted(found, key=_key)


def _key(row: Row) -> tuple[str, ...]:
    return tuple(map(text, row))
