"""Rows of data files: read without deleted rows, sorted, written to new files."""

import re
import uuid
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.expressions import AlwaysTrue
from pyiceberg.io.pyarrow import ArrowScan, ParquetFormatWriter, schema_to_pyarrow
from pyiceberg.manifest import DataFile
from pyiceberg.schema import Schema, sanitize_column_names
from pyiceberg.table import FileScanTask
from pyiceberg.table.sorting import NullOrder, SortDirection, SortField, SortOrder
from pyiceberg.transforms import IdentityTransform
from pyiceberg.typedef import Record

from jobs.lake.data_files import described, fitted
from jobs.lake.partitions import exact, path_of, split, transformed, verify
from jobs.maintenance.deletes import DeleteFiles
from jobs.maintenance.errors import RefusedError
from jobs.maintenance.locations import normal
from jobs.maintenance.planning import Group
from jobs.maintenance.state import State

_ROW_GROUP_BYTES = 128 << 20
_TERM = re.compile(
    r"\s*(?P<column>.+?)(?:\s+(?P<way>asc|desc))?(?:\s+nulls\s+(?P<nulls>first|last))?\s*",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Rows:
    """The live rows of a group's files, which can be read more than once."""

    state: State
    group: Group
    delete_files: DeleteFiles

    def read(self, schema: Schema) -> Iterator[pa.Table]:
        """Yield the rows in batches, in the order of the files.

        PyIceberg's scan adapts old files: it matches columns by field id or name mapping, promotes
        types and fills missing columns.
        """
        arrow = schema_to_pyarrow(schema, include_field_ids=False)
        scan = ArrowScan(self.state.metadata, self.state.table.io, schema, AlwaysTrue())
        for entry in self.group.files:
            path = entry.data_file.file_path
            deletes = self.group.deletes.get(path, ())
            gone = {path: [self.delete_files.positions(deletes, normal(path))]} if deletes else {}
            task = FileScanTask(entry.data_file)
            # The public reader loads whole files into memory, this one a batch.
            for batch in scan._record_batches_from_scan_tasks_and_deletes([task], gone):  # noqa: SLF001
                yield pa.Table.from_batches([batch]).cast(arrow)


def sort_order(text: str, schema: Schema) -> SortOrder:
    """Return the sort order of a text such as ``"station_id, observed_at desc nulls last"``.

    Raises:
        RefusedError: a term is empty, is not a column of the schema, or has a nested type.
    """
    fields = []
    for term in text.split(","):
        match = _TERM.fullmatch(term)
        if match is None:
            raise RefusedError(f"{text!r} has an empty term: name columns, separated by commas")
        name, way, nulls = match["column"], match["way"], match["nulls"]
        try:
            field = schema.find_field(name)
        except ValueError:
            columns = ", ".join(field.name for field in schema.fields)
            raise RefusedError(f"cannot sort by {name!r}: no column of {columns}") from None
        if not field.field_type.is_primitive:
            raise RefusedError(f"cannot sort by {name!r}: {field.field_type} has no order")
        fields.append(
            SortField(
                source_id=field.field_id,
                transform=IdentityTransform(),
                direction=SortDirection(way.lower()) if way else SortDirection.ASC,
                null_order=NullOrder(f"nulls-{nulls.lower()}") if nulls else None,
            )
        )
    return SortOrder(*fields)


def ranks(keys: Iterable[pa.Table], order: SortOrder, schema: Schema) -> pa.Array:
    """Return each row's rank in a sort order, given tables of the sort columns."""
    table = pa.concat_tables(keys, promote_options="permissive")
    columns, ways = [], []
    for one in order.fields:
        values = transformed(one, schema, table)
        nulls_first = one.null_order == NullOrder.NULLS_FIRST
        columns += [pc.is_null(values), values]
        ways += ["descending" if nulls_first else "ascending"]
        ways += ["ascending" if one.direction == SortDirection.ASC else "descending"]
    names = [str(number) for number in range(len(columns))]
    sorting = list(zip(names, ways, strict=True))
    places = pc.sort_indices(pa.table(columns, names=names), sort_keys=sorting)
    # The inverse of the permutation that sorts the rows.
    return pc.sort_indices(places)


@dataclass
class _Open:
    """A file being written, and the rows of its next row group."""

    partition: Record
    path: str
    writer: ParquetFormatWriter
    waiting: list[pa.Table] = field(default_factory=list)
    waiting_bytes: int = 0
    rows: int = 0

    def flush(self) -> None:
        if self.waiting:
            self.writer.write(pa.concat_tables(self.waiting).combine_chunks())
        self.waiting, self.waiting_bytes = [], 0


class Writer:
    """Writes rows in the given order to one or more files per partition.

    ``paths`` lists every file that was begun, also after an error.
    """

    def __init__(
        self,
        state: State,
        *,
        file_bytes: int,
        memory_bytes: int,
        sort_order_id: int | None = None,
    ) -> None:
        self.paths: list[str] = []
        self.files: list[DataFile] = []
        self._state = state
        self._file_bytes = file_bytes
        self._memory_bytes = memory_bytes
        self._row_group_bytes = max(1, min(_ROW_GROUP_BYTES, memory_bytes // 2))
        self._sort_order_id = sort_order_id
        self._schema = sanitize_column_names(state.metadata.schema())
        self._arrow = schema_to_pyarrow(self._schema)
        self._id = uuid.uuid4()
        self._open: dict[Hashable, _Open] = {}

    def write(self, rows: pa.Table) -> None:
        """Write rows in the table's schema."""
        at_once = max(1, self._row_group_bytes * rows.num_rows // max(1, rows.nbytes))
        for start in range(0, rows.num_rows, at_once):
            self._take(rows.slice(start, at_once))

    def _take(self, rows: pa.Table) -> None:
        metadata = self._state.metadata
        for partition, part in split(metadata.spec(), metadata.schema(), rows):
            verify(metadata, partition, part)
            key = exact(partition)
            file = self._open.get(key)
            if file is None:
                file = self._open[key] = self._begin(partition)
            file.waiting.append(fitted(part, self._arrow))
            file.waiting_bytes += part.nbytes
            file.rows += part.num_rows
            if file.waiting_bytes >= self._row_group_bytes:
                file.flush()
                stream = file.writer._fos  # noqa: SLF001 - the bytes written so far
                if stream is not None and stream.tell() >= self._file_bytes:
                    self._end(self._open.pop(key))
        while sum(file.waiting_bytes for file in self._open.values()) > self._memory_bytes:
            max(self._open.values(), key=lambda file: file.waiting_bytes).flush()

    def close(self) -> list[DataFile]:
        """Finish all files and return their manifest entries."""
        while self._open:
            _, file = self._open.popitem()
            self._end(file)
        return self.files

    def abandon(self) -> None:
        """Close the open files after an error."""
        for file in self._open.values():
            if file.writer._fos is not None:  # noqa: SLF001 - it has no way to give up
                file.writer._fos.close()  # noqa: SLF001
        self._open = {}

    def _begin(self, partition: Record) -> _Open:
        name = f"00000-{len(self.paths)}-{self._id}.parquet"
        folder = path_of(self._state.metadata, partition)
        path = self._state.table.location_provider().new_data_location(name, folder)
        self.paths.append(path)
        output = self._state.table.io.new_output(path)
        properties = self._state.metadata.properties
        return _Open(partition, path, ParquetFormatWriter(output, self._schema, properties))

    def _end(self, file: _Open) -> None:
        file.flush()
        statistics = file.writer.close()
        table, order = self._state.table, self._sort_order_id
        self.files.append(described(table, file.path, file.partition, statistics, order))
