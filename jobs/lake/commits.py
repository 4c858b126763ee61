"""Commit rows to a table: a snapshot that adds them, or puts them where others were.

``Transaction.table_metadata`` replays the staged updates on a deep copy of the metadata at each
read, seventeen times for one append, so that a long history costs more than writing the rows:
apache/iceberg-python issue 2673. ``Staging`` keeps the result, as pull request 3784 would, which
was closed without a merge; PyIceberg 0.12 still copies.

PyIceberg's own writer finds a partition's rows by comparing values, which takes 0.0 for -0.0 and
finds no NaN. Here all rows go through ``datafiles``, those that an overwrite leaves as well.
"""

import itertools
import math
import uuid
from collections.abc import Mapping

import pyarrow as pa
from pyiceberg.expressions import (
    AlwaysFalse,
    AlwaysTrue,
    And,
    BooleanExpression,
    EqualTo,
    IsNaN,
    IsNull,
    Or,
    Reference,
)
from pyiceberg.expressions.parser import parse
from pyiceberg.expressions.visitors import bind
from pyiceberg.io.pyarrow import ArrowScan, _expression_to_complementary_pyarrow
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table, Transaction
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.snapshots import Operation
from pyiceberg.typedef import Record

from jobs.lake import data_files


class Staging(Transaction):
    """A transaction that keeps its staged metadata until something else is staged.

    The metadata is shared, not copied: an append or an overwrite only reads it.
    """

    _cached: tuple[TableMetadata, tuple[object, ...], TableMetadata] | None = None

    @property
    def table_metadata(self) -> TableMetadata:
        """The table's metadata with the staged updates."""
        base, updates = self._table.metadata, self._updates
        if not updates:
            return base
        before, staged, known = self._cached or (None, None, base)
        if before is not base or staged is not updates:
            known = super().table_metadata
            self._cached = (base, updates, known)
        return known

    def add(self, rows: pa.Table, properties: Mapping[str, str]) -> None:
        """Stage a snapshot that adds rows, which have the table's schema."""
        with self._append_snapshot_producer(dict(properties)) as snapshot:
            for file in data_files.write(self._table, rows, snapshot.commit_uuid):
                snapshot.append_data_file(file)

    def replace(
        self, rows: pa.Table, scope: BooleanExpression, properties: Mapping[str, str]
    ) -> None:
        """Stage snapshots that replace the rows that match a filter."""
        changes = dict(properties)
        with self.update_snapshot(snapshot_properties=changes).delete() as dropping:
            dropping._isolation_operation = Operation.OVERWRITE  # noqa: SLF001
            dropping.delete_by_predicate(scope)
        commit = uuid.uuid4()
        rewritten = self._rewritten(scope, commit) if dropping.rewrites_needed else []
        if rewritten:
            update = self.update_snapshot(snapshot_properties=changes)
            with update.overwrite(commit) as snapshot:
                snapshot._isolation_operation = Operation.OVERWRITE  # noqa: SLF001
                snapshot._starting_snapshot_id = dropping._starting_snapshot_id  # noqa: SLF001
                snapshot.delete_by_predicate(scope)
                for file, instead in rewritten:
                    snapshot.delete_data_file(file)
                    for one in instead:
                        snapshot.append_data_file(one)
        self.add(rows, properties)

    def _rewritten(
        self, scope: BooleanExpression, commit: uuid.UUID
    ) -> list[tuple[DataFile, list[DataFile]]]:
        """Write the remaining rows of each file that has rows to replace."""
        metadata, table = self.table_metadata, self._table
        schema, numbers = metadata.schema(), itertools.count()
        bound = bind(schema, scope, case_sensitive=True)
        rest = _expression_to_complementary_pyarrow(bound, schema)
        found = []
        for task in self._scan(row_filter=scope).use_ref("main").plan_files():
            rows = ArrowScan(metadata, table.io, schema, AlwaysTrue()).to_table([task])
            left = rows.filter(rest)
            if left.num_rows < rows.num_rows:
                kept = _as_stored(table, left)
                instead = data_files.write(table, kept, commit, numbers) if kept.num_rows else []
                found.append((task.file, instead))
        return found

    def _build_partition_predicate(
        self, partition_records: set[Record], partition_fields: list[str]
    ) -> BooleanExpression:
        """Return a filter for manifests of files to remove; PyIceberg's own fails on NaN."""
        found: BooleanExpression = AlwaysFalse()
        for record in partition_records if partition_fields else ():
            one: BooleanExpression = AlwaysTrue()
            for number, name in enumerate(partition_fields):
                term, value = Reference(name), record[number]
                if value is None:
                    one = And(one, IsNull(term=term))
                elif isinstance(value, float) and math.isnan(value):
                    one = And(one, IsNaN(term=term))
                else:
                    one = And(one, EqualTo(term=term, value=value))
            found = Or(found, one)
        return found

    def commit_transaction(self) -> Table:
        """Commit the staged updates.

        Returns:
            The table after the commit.
        """
        # The commit asks for the table's UUID alone, which is the same before and after.
        self._cached = (self._table.metadata, self._updates, self._table.metadata)
        return super().commit_transaction()


def append(table: Table, rows: pa.Table, properties: Mapping[str, str]) -> None:
    """Add rows in one snapshot, with the properties in its summary.

    Raises:
        CommitFailedException: another writer committed first.
        CommitStateUnknownException: the rows may have been added.
    """
    staging = Staging(table)
    with staging:
        staging.add(_as_stored(table, rows), properties)


def overwrite(
    table: Table,
    rows: pa.Table,
    scope: str | BooleanExpression,
    properties: Mapping[str, str],
) -> None:
    """Replace the rows that match a filter.

    Raises:
        CommitFailedException: another writer committed first.
        ValidationException: another writer changed rows that match the filter.
        CommitStateUnknownException: the rows may have been replaced.
    """
    stored = _as_stored(table, rows)
    staging = Staging(table)
    with staging:
        staging.replace(stored, parse(scope) if isinstance(scope, str) else scope, properties)


def _as_stored(table: Table, rows: pa.Table) -> pa.Table:
    """Return rows in the table's columns, with nulls for missing ones."""
    schema = table.schema().as_arrow()
    columns = [
        rows.column(field.name).cast(field.type)
        if field.name in rows.column_names
        else pa.nulls(rows.num_rows, field.type)
        for field in schema
    ]
    return pa.table(columns, schema=schema)
