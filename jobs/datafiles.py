"""Write rows to new data files of a table, one for each partition.

PyIceberg derives the file's schema anew for every file and looks through all rows for every
partition. Here the schema is derived once, and the rows are put in the partitions' order once.
"""

import itertools
import uuid
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.io.fileformat import DataFileStatistics
from pyiceberg.io.pyarrow import ParquetFormatWriter, bin_pack_arrow_table
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
from pyiceberg.partitioning import PartitionFieldValue, PartitionKey
from pyiceberg.schema import Schema, sanitize_column_names
from pyiceberg.table import Table, TableProperties
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.typedef import Record
from pyiceberg.utils.concurrent import ExecutorFactory
from pyiceberg.utils.properties import property_as_int

Part = tuple[PartitionKey | None, pa.Table]


def write(table: Table, rows: pa.Table, commit: uuid.UUID) -> list[DataFile]:
    """Write rows, in the table's own schema, to files that are named after a commit.

    Returns:
        What a manifest says of each file.
    """
    schema = sanitize_column_names(table.schema())
    arrow = schema.as_arrow()

    def written(number: int, part: Part) -> DataFile:
        key, some = part
        name = f"00000-{number}-{commit}.parquet"
        return _write(table, schema, name, (key, fitted(some, arrow)))

    parts = itertools.chain.from_iterable(
        _of_size(table, part) for part in partitioned(table.metadata, rows)
    )
    return list(ExecutorFactory.get_or_create().map(written, itertools.count(), parts))


def partitioned(metadata: TableMetadata, rows: pa.Table) -> Iterator[Part]:
    """Split rows by a table's partitions; the rows of each keep their order."""
    spec, schema = metadata.spec(), metadata.schema()
    if spec.is_unpartitioned() or not rows.num_rows:
        yield None, rows
        return
    names = [str(field.field_id) for field in spec.fields]
    values = []
    for field in spec.fields:
        source = schema.find_field(field.source_id)
        transform = field.transform.pyarrow_transform(source.field_type)
        values.append(transform(_column(rows, schema, field.source_id)))
    keys = pa.table(values, names=names)
    if keys.group_by(names).aggregate([]).num_rows > 1:
        order = pc.sort_indices(keys, sort_keys=[(name, "ascending") for name in names])
        keys, rows = keys.take(order), rows.take(order)
    counted = keys.group_by(names, use_threads=False).aggregate([([], "count_all")])
    start = 0
    for one in counted.to_pylist():
        found = [
            PartitionFieldValue(field, one[name])
            for field, name in zip(spec.fields, names, strict=True)
        ]
        yield PartitionKey(found, spec, schema), rows.slice(start, one["count_all"])
        start += one["count_all"]


def described(
    table: Table,
    path: str,
    partition: Record,
    statistics: DataFileStatistics,
    sort_order_id: int | None = None,
) -> DataFile:
    """Say of a file that is written what a manifest says."""
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
    """Bring rows into a file's schema, whose columns stand in the same order."""
    rows = rows.rename_columns(schema.names)
    return rows if rows.schema.equals(schema, check_metadata=True) else rows.cast(schema)


def _write(table: Table, schema: Schema, name: str, part: Part) -> DataFile:
    key, rows = part
    path = table.location_provider().new_data_location(name, key)
    writer = ParquetFormatWriter(table.io.new_output(path), schema, table.properties)
    with writer:
        writer.write(rows)
    return described(table, path, key.partition if key else Record(), writer.result())


def _of_size(table: Table, part: Part) -> Iterator[Part]:
    key, rows = part
    size = property_as_int(
        table.properties,
        TableProperties.WRITE_TARGET_FILE_SIZE_BYTES,
        TableProperties.WRITE_TARGET_FILE_SIZE_BYTES_DEFAULT,
    )
    for batches in bin_pack_arrow_table(rows, size or rows.nbytes):
        yield key, pa.Table.from_batches(batches)


def _column(rows: pa.Table, schema: Schema, field_id: int) -> pa.ChunkedArray:
    """Find a column by its id, within structs, too."""
    name = schema.find_column_name(field_id)
    if name in rows.column_names:
        return rows.column(name)
    first, *rest = str(name).split(".")
    return pc.struct_field(rows.column(first), rest)
