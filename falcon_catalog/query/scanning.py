"""Rows of one snapshot of a table, read by PyIceberg: its files, and what is deleted from them."""

from collections.abc import Iterable, Iterator

import pyarrow as pa
from pyiceberg.expressions import AlwaysTrue, BooleanExpression
from pyiceberg.io.pyarrow import ArrowScan, _read_all_delete_files, schema_to_pyarrow
from pyiceberg.schema import Schema
from pyiceberg.table import FileScanTask, StaticTable
from pyiceberg.table.metadata import TableMetadataUtil

from falcon_catalog.query.conditions import ConditionError, condition
from falcon_catalog.query.files import ServerFiles
from falcon_catalog.query.messages import Message
from falcon_catalog.query.server import QueryError, Server

TRUE = AlwaysTrue()


class Snapshot:
    """One snapshot of a table; an empty table where there is none."""

    def __init__(self, server: Server, found: Message) -> None:
        """Take a table as ``Server.table`` returns it; raise QueryError if it is not readable."""
        try:
            metadata = TableMetadataUtil.parse_obj(found["metadata"])
        except ValueError as error:
            raise QueryError(f"PyIceberg cannot read this table: {error}") from None
        self._metadata = metadata
        self._snapshot_id: int | None = found["snapshot"]
        self._io = ServerFiles(server, found["id"])
        self.schema: Schema = metadata.schema()

    def filter(self, text: str) -> BooleanExpression:
        """Return a filter as people type it; raise QueryError for one that says nothing here."""
        if not text.strip():
            return TRUE
        try:
            return condition(text, self.schema)
        except ConditionError as error:
            raise QueryError(f"The filter {error}") from None

    def batches(
        self,
        schema: Schema,
        row_filter: BooleanExpression = TRUE,
        limit: int | None = None,
    ) -> Iterator[pa.RecordBatch]:
        """Yield the rows with the columns of a schema; files are opened as rows are needed.

        Raises:
            QueryError: PyIceberg cannot read the files.
        """
        yield from self.read(self.tasks(row_filter), schema, row_filter, limit)

    def tasks(self, row_filter: BooleanExpression = TRUE) -> list[FileScanTask]:
        """Return the files that may have rows for a filter; raises as ``batches``."""
        if self._snapshot_id is None:
            return []
        table = StaticTable((), self._metadata, "", self._io, None)  # type: ignore[arg-type]
        try:
            scan = table.scan(row_filter=row_filter, snapshot_id=self._snapshot_id)
            return list(scan.plan_files())
        except FileNotFoundError as error:
            raise QueryError(str(error)) from None
        except (ValueError, TypeError, NotImplementedError) as error:
            raise QueryError(_plain(error)) from None

    def read(
        self,
        tasks: Iterable[FileScanTask],
        schema: Schema,
        row_filter: BooleanExpression = TRUE,
        limit: int | None = None,
    ) -> Iterator[pa.RecordBatch]:
        """Yield the rows of files; as ``batches``."""
        for task in tasks:
            left = ArrowScan(self._metadata, self._io, schema, row_filter, limit=limit)
            deletes = _read_all_delete_files(self._io, [task])
            # to_record_batches reads a file as a whole, and all files at the same time.
            for batch in left._record_batches_from_scan_tasks_and_deletes(  # noqa: SLF001
                [task], deletes
            ):
                yield batch
                if limit is not None:
                    limit -= batch.num_rows
            if limit is not None and limit <= 0:
                return

    def arrow_schema(self, schema: Schema) -> pa.Schema:
        """Return the columns that ``batches`` has."""
        return schema_to_pyarrow(schema, include_field_ids=False)


def _plain(error: Exception) -> str:
    if "equality deletes" in str(error):
        return (
            "This snapshot has equality deletes, which PyIceberg does not apply. An engine that"
            " does, such as Spark or DuckDB, can read it, and rewrite its files"
        )
    return str(error)
