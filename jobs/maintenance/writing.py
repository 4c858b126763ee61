"""Write rows to new data files, a row group at a time."""

import uuid
from collections.abc import Hashable
from dataclasses import dataclass, field

import pyarrow as pa
from pyiceberg.io.pyarrow import ParquetFormatWriter, schema_to_pyarrow
from pyiceberg.manifest import DataFile
from pyiceberg.schema import sanitize_column_names
from pyiceberg.typedef import Record

from jobs.lake.data_files import described, fitted
from jobs.lake.partitions import exact, path_of, split, verify
from jobs.maintenance.state import State

_ROW_GROUP_BYTES = 128 << 20


@dataclass
class _Open:
    """A file being written, and the rows that wait for their row group."""

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
    """Writes the rows of a group, in the order given, to one file a partition or a few.

    ``paths`` has every file that was begun, also after an error.
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
        """Take rows in the table's schema."""
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
                if self._length(file) >= self._file_bytes:
                    self._end(self._open.pop(key))
        while sum(file.waiting_bytes for file in self._open.values()) > self._memory_bytes:
            max(self._open.values(), key=lambda file: file.waiting_bytes).flush()

    def close(self) -> list[DataFile]:
        """Finish all files; give what a manifest says of them."""
        while self._open:
            _, file = self._open.popitem()
            self._end(file)
        return self.files

    def abandon(self) -> None:
        """Close what is open, after an error."""
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

    def _length(self, file: _Open) -> int:
        stream = file.writer._fos  # noqa: SLF001 - what was written so far
        return int(stream.tell()) if stream is not None else 0

    def _end(self, file: _Open) -> None:
        file.flush()
        statistics = file.writer.close()
        table, order = self._state.table, self._sort_order_id
        self.files.append(described(table, file.path, file.partition, statistics, order))
