"""Compare rows with those of a table: which are new, which are better, which are kept.

Every merge is a pure function of the stored rows and the new ones, and repeating it changes
nothing: that, and not any bookkeeping, is what makes a load safe to repeat.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

VALID_FROM, VALID_TO, IS_CURRENT = "valid_from", "valid_to", "is_current"
_VALIDITY = (VALID_FROM, VALID_TO, IS_CURRENT)
_SEPARATOR = "\x1f"


@dataclass(frozen=True)
class Definition:
    """What a table is: its columns, its key and which of two rows of one key stays.

    `prefer` is "fullest" (the row with the most values, of equals the one with the later stamp),
    "newest" (the later stamp), "oldest" (what is stored stays) or "versions" (a changed row
    closes the open one and opens another: a slowly changing dimension, type 2). `stamp` names
    the column with the time a row was fetched, which is not compared. `partition_by` names a
    column of times, each month or day of which is a partition.
    """

    name: str
    doc: str
    schema: pa.Schema
    key: tuple[str, ...]
    prefer: Literal["fullest", "newest", "oldest", "versions"]
    partition_by: str | None = None
    partition_unit: Literal["month", "day"] = "month"
    stamp: str | None = None


@dataclass(frozen=True)
class Difference:
    """What a merge does: rows to add, rows to write anew, and stored rows beside them."""

    new: pa.Table
    changed: pa.Table
    kept: pa.Table

    @property
    def empty(self) -> bool:
        """Whether there is nothing to write."""
        return not self.new.num_rows and not self.changed.num_rows


def compare(
    definition: Definition, stored: pa.Table, rows: pa.Table, since: dt.datetime | None = None
) -> Difference:
    """Return how rows, unique by the definition's key, differ from the stored ones.

    `since` dates the stored versions of a table from before it had versions.
    """
    if definition.prefer == "versions":
        return _versions(definition, stored, rows, since)
    places = _places(definition.key, stored, rows)
    known = pc.is_valid(places)
    # Columns that only the stored table has stay as they are wherever a row stays.
    old = stored.take(places.filter(known))
    now = rows.filter(known)
    better = pc.and_(pc.invert(_same(definition, old, now)), _preferred(definition, old, now))
    replaced = places.filter(known).filter(better)
    return Difference(
        new=rows.filter(pc.invert(known)),
        changed=now.filter(better),
        kept=_without(stored, replaced),
    )


def _places(key: Sequence[str], stored: pa.Table, rows: pa.Table) -> pa.Array:
    """Return the index of each row's stored row, found by key; null if there is none."""
    types = [rows.schema.field(name).type for name in key]
    left = rows.select(key).append_column("row", pa.arange(0, rows.num_rows, 1))
    right = pa.table(
        [
            *(stored.column(name).cast(kind) for name, kind in zip(key, types, strict=True)),
            pa.arange(0, stored.num_rows, 1),
        ],
        names=[*key, "place"],
    )
    joined = left.join(right, keys=list(key), join_type="left outer")
    return joined.sort_by("row").column("place").combine_chunks()


def _without(table: pa.Table, places: pa.Array) -> pa.Table:
    gone = pc.is_in(pa.arange(0, table.num_rows, 1), value_set=places)
    return table.filter(pc.invert(gone))


def _same(definition: Definition, old: pa.Table, now: pa.Table) -> pa.Array:
    same = pa.repeat(pa.scalar(True), now.num_rows)
    for name in _compared(definition, now):
        left = _comparable(old.column(name).cast(now.schema.field(name).type))
        right = _comparable(now.column(name))
        both_null = pc.and_(pc.is_null(left), pc.is_null(right))
        equal = pc.or_(pc.fill_null(pc.equal(left, right), False), both_null)
        same = pc.and_(same, equal.combine_chunks())
    return same


def _comparable(column: pa.ChunkedArray) -> pa.ChunkedArray:
    # Arrow compares no lists.
    return pc.binary_join(column, _SEPARATOR) if pa.types.is_list(column.type) else column


def _compared(definition: Definition, table: pa.Table) -> list[str]:
    return [name for name in table.column_names if name != definition.stamp]


def _preferred(definition: Definition, old: pa.Table, now: pa.Table) -> pa.Array:
    if definition.prefer == "oldest":
        return pa.repeat(pa.scalar(False), now.num_rows)
    # Without stamps the new rows are the newer ones.
    later, stamp = pa.repeat(pa.scalar(True), now.num_rows), definition.stamp
    if stamp is not None and stamp in now.column_names:
        new = now.column(stamp)
        later = pc.greater_equal(new, old.column(stamp).cast(new.type))
        later = pc.fill_null(later, True).combine_chunks()
    if definition.prefer == "newest":
        return later
    columns = _compared(definition, now)
    left, right = filled(now, columns), filled(old, columns)
    return pc.or_(pc.greater(left, right), pc.and_(pc.equal(left, right), later))


def filled(table: pa.Table, columns: Sequence[str]) -> pa.Array:
    """Return the number of values of each row in these columns."""
    count = pa.repeat(pa.scalar(0, pa.int64()), table.num_rows)
    for name in columns:
        valid = pc.cast(pc.is_valid(table.column(name)), pa.int64())
        count = pc.add(count, valid.combine_chunks())
    return count


def ends_of_runs(table: pa.Table, columns: Sequence[str]) -> pa.Array:
    """Return which rows are the last ones of a run of rows that are equal in these columns."""
    last = pa.repeat(pa.scalar(False), max(0, table.num_rows - 1))
    for name in columns:
        column = table.column(name).combine_chunks()
        last = pc.or_(last, pc.not_equal(column.slice(1), column.slice(0, len(last))))
    return pa.concat_arrays([last, pa.repeat(pa.scalar(True), min(1, table.num_rows))])


def _versions(
    definition: Definition, stored: pa.Table, rows: pa.Table, since: dt.datetime | None
) -> Difference:
    """Return a new version of each row that is new or changed, and close the version before it.

    Missing values are taken from the version before. Rows older than it are ignored.
    """
    open_rows: dict[Any, dict[str, Any]] = {}
    changed: dict[int, dict[str, Any]] = {}
    held = stored.to_pylist()
    for place, row in enumerate(held):
        if row.get(VALID_FROM) is None:
            row |= {VALID_FROM: since, VALID_TO: None, IS_CURRENT: True}
            changed[place] = row
        if row[IS_CURRENT]:
            open_rows[row[definition.key[0]]] = {**row, "place": place}
    names = [name for name in rows.column_names if name not in _VALIDITY]
    new = []
    for row in rows.to_pylist():
        before = open_rows.get(row[definition.key[0]])
        if before is None:
            new.append(row)
            continue
        values = {name: before[name] if row[name] is None else row[name] for name in names}
        if row[VALID_FROM] <= before[VALID_FROM] or all(values[n] == before[n] for n in names):
            continue
        place = before["place"]
        changed[place] = {**held[place], VALID_TO: row[VALID_FROM], IS_CURRENT: False}
        new.append({**row, **values})
    return Difference(
        new=pa.Table.from_pylist(new, schema=rows.schema),
        changed=pa.Table.from_pylist(list(changed.values()), schema=stored.schema),
        kept=_without(stored, pa.array(list(changed), pa.int64())),
    )
