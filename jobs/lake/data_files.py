"""Write rows to new data files of a table, one for each partition.

PyIceberg derives the file's schema anew for every file and looks through all rows for every
partition. Here the schema is derived once, and the rows are sorted by partition once.
"""

import itertools
import uuid
from collections.abc import Iterator

import pyarrow as pa
from pyiceberg.io.fileformat import DataFileStatistics
from pyiceberg.io.pyarrow import ParquetFormatWriter, bin_pack_arrow_table
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
from pyiceberg.schema import sanitize_column_names
from pyiceberg.table import Table, TableProperties
from pyiceberg.typedef import Record
from pyiceberg.utils.concurrent import ExecutorFactory
from pyiceberg.utils.properties import property_as_int

from jobs.lake.partitions import Part, path_of, split, verify


def write(
    table: Table, rows: pa.Table, commit: uuid.UUID, numbers: Iterator[int] | None = None
) -> list[DataFile]:
    """Write rows to new files.

    Args:
        table: where the rows go.
        rows: in the table's own schema.
        commit: part of the files' names.
        numbers: another part of their names, where a commit writes more than once.

    Returns:
        The manifest entry of each file.

    Raises:
        WrongPartitionError: rows would have been written to a partition that is not theirs.
    """
    schema = sanitize_column_names(table.schema())
    arrow = schema.as_arrow()
    size = property_as_int(
        table.properties,
        TableProperties.WRITE_TARGET_FILE_SIZE_BYTES,
        TableProperties.WRITE_TARGET_FILE_SIZE_BYTES_DEFAULT,
    )
    parts = (
        (partition, pa.Table.from_batches(batches))
        for partition, some in split(table.spec(), table.schema(), rows)
        for batches in bin_pack_arrow_table(some, size or some.nbytes)
    )

    def written(number: int, part: Part) -> DataFile:
        partition, some = part
        verify(table.metadata, partition, some)
        folder = path_of(table.metadata, partition)
        name = f"00000-{number}-{commit}.parquet"
        path = table.location_provider().new_data_location(name, folder)
        writer = ParquetFormatWriter(table.io.new_output(path), schema, table.properties)
        with writer:
            writer.write(fitted(some, arrow))
        return described(table, path, partition, writer.result())

    return list(ExecutorFactory.get_or_create().map(written, numbers or itertools.count(), parts))


def described(
    table: Table,
    path: str,
    partition: Record,
    statistics: DataFileStatistics,
    sort_order_id: int | None = None,
) -> DataFile:
    """Return the manifest entry of a file that is written."""
    file = DataFile.from_args(
        content=DataFileContent.DATA,
        file_path=path,
        file_format=FileFormat.PARQUET,
        partition=partition,
        file_size_in_bytes=len(table.io.new_input(path)),
        sort_order_id=sort_order_id,
        equality_ids=None,
        key_metadata=None,
        **statistics.to_serialized_dict(),
    )
    file.spec_id = table.metadata.default_spec_id
    return file


def fitted(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return rows in a file's schema, which has the same column order."""
    rows = rows.rename_columns(schema.names)
    return rows if rows.schema.equals(schema, check_metadata=True) else rows.cast(schema)
