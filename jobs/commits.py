"""Commit rows to a table: a snapshot that adds them, or puts them where others were.

PyIceberg works a table's staged metadata out anew, and copies all of it, whenever a transaction is
asked for it, which is seventeen times for one append: with a long history that takes longer than
to write the rows. Here it is worked out once for every change that is staged.
"""

from collections.abc import Mapping

import pyarrow as pa
from pyiceberg.expressions import BooleanExpression
from pyiceberg.table import Table, Transaction
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.snapshots import Operation

from jobs import datafiles


class Staging(Transaction):
    """A transaction that remembers its staged metadata until something else is staged.

    What is remembered is shared, not copied: an append or an overwrite only reads it.
    """

    _remembered: tuple[TableMetadata, tuple[object, ...], TableMetadata] | None = None

    @property
    def table_metadata(self) -> TableMetadata:
        """The table's metadata with what is staged."""
        base, updates = self._table.metadata, self._updates
        if not updates:
            return base
        before, staged, known = self._remembered or (None, None, base)
        if before is not base or staged is not updates:
            known = super().table_metadata
            self._remembered = (base, updates, known)
        return known

    def add(self, rows: pa.Table, properties: Mapping[str, str]) -> None:
        """Stage a snapshot that adds rows in the table's own schema, in new files."""
        with self._append_snapshot_producer(dict(properties)) as snapshot:
            for file in datafiles.write(self._table, rows, snapshot.commit_uuid):
                snapshot.append_data_file(file)

    def commit_transaction(self) -> Table:
        """Commit what is staged.

        Returns:
            The table as it is then.
        """
        # The commit asks for the table's UUID alone, which is the same before and after.
        self._remembered = (self._table.metadata, self._updates, self._table.metadata)
        return super().commit_transaction()


def append(table: Table, rows: pa.Table, properties: Mapping[str, str]) -> None:
    """Add rows, whose columns the table has, in a snapshot whose summary has the properties.

    Raises:
        CommitFailedException: another writer was first.
        CommitStateUnknownException: perhaps they are added.
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
    """Put rows in the place of those that a filter finds.

    Raises:
        CommitFailedException: another writer was first.
        ValidationException: another writer changed rows that the filter finds.
        CommitStateUnknownException: perhaps they are in place.
    """
    stored = _as_stored(table, rows)
    staging = Staging(table)
    with staging:
        # As PyIceberg's own overwrite, whose writer takes both zeros for one partition.
        staging.delete(
            scope, snapshot_properties=dict(properties), _isolation_operation=Operation.OVERWRITE
        )
        staging.add(stored, properties)


def _as_stored(table: Table, rows: pa.Table) -> pa.Table:
    """Bring rows into the table's column order, with nulls where they have no such column."""
    schema = table.schema().as_arrow()
    columns = [
        rows.column(field.name).cast(field.type)
        if field.name in rows.column_names
        else pa.nulls(rows.num_rows, field.type)
        for field in schema
    ]
    return pa.table(columns, schema=schema)
