"""Rows that one of two snapshots has and the other has not, from the files that differ."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from pyiceberg.schema import Schema
from pyiceberg.table import FileScanTask

from falcon_catalog.query.messages import Message
from falcon_catalog.query.scanning import Snapshot
from falcon_catalog.query.server import QueryError, Server
from falcon_catalog.query.values import as_text, rows_as_text

MOST_ROWS = 100_000
"""Of the files that differ: all of them are held in memory."""

_Row = tuple[Any, ...]


def run(server: Server, job: Mapping[str, Any]) -> Message:
    """Return the rows that were removed and added, with the columns of the later snapshot.

    Rows that were only moved to other files are in neither. The first column is the sign.

    Raises:
        QueryError: PyIceberg cannot read the files, or they have too many rows.
    """
    after = Snapshot(server, job["after"])
    before = Snapshot(server, job["before"]) if job["before"] else None
    new = _by_content(after.tasks())
    old = _by_content(before.tasks()) if before else {}
    only_old = [task for key, task in old.items() if key not in new]
    only_new = [task for key, task in new.items() if key not in old]
    count = sum(task.file.record_count for task in (*only_old, *only_new))
    if count > MOST_ROWS:
        raise QueryError(
            f"The files that differ have {count:,} rows, and a page compares {MOST_ROWS:,}:"
            " falcon-catalog diff --rows compares more"
        )
    schema = after.schema
    removed = _rows(before, only_old, schema) if before else []
    added = _rows(after, only_new, schema)
    moved = Counter(map(_key, removed)) & Counter(map(_key, added))
    limit, changed, more = int(job["limit"]), list[list[str | None]](), False
    for sign, rows in (("\N{MINUS SIGN}", removed), ("+", added)):
        left = ((sign, *row) for row in _without(rows, moved))
        shown, more_of_them = rows_as_text(left, limit)
        changed += shown
        more |= more_of_them
    columns = [{"name": each.name, "type": str(each.field_type)} for each in schema.fields]
    return {"columns": [{"name": "", "type": "change"}, *columns], "rows": changed, "more": more}


def _by_content(tasks: Iterable[FileScanTask]) -> dict[object, FileScanTask]:
    """Return what a scan reads, by data file and the delete files that apply to it."""
    return {
        (
            task.file.file_path,
            frozenset((each.file_path, each.record_count) for each in task.delete_files),
        ): task
        for task in tasks
    }


def _rows(snapshot: Snapshot, tasks: Iterable[FileScanTask], schema: Schema) -> list[_Row]:
    names = [field.name for field in snapshot.arrow_schema(schema)]
    found: list[_Row] = []
    for batch in snapshot.read(tasks, schema):
        columns = [batch.column(name).to_pylist() for name in names]
        found += zip(*columns, strict=True)
    return found


def _without(rows: Iterable[_Row], moved: "Counter[_Row]") -> Iterable[_Row]:
    left = moved.copy()
    for row in rows:
        key = _key(row)
        if left[key]:
            left[key] -= 1
        else:
            yield row


def _key(row: _Row) -> _Row:
    return tuple(None if value is None else as_text(value) for value in row)
