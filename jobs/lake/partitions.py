"""Partitions of a table: the rows of each, and whether two of them are the same.

Source: Partitioning and Appendix A of the Iceberg specification. As in Iceberg's Java library, a
NaN equals a NaN, and -0.0 is another value than 0.0; Python and SQL have it the other way.
"""

import math
import struct
import uuid
from collections.abc import Hashable, Iterable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.partitioning import (
    PartitionField,
    PartitionKey,
    PartitionSpec,
    partition_record_value,
)
from pyiceberg.schema import Schema
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.sorting import SortField
from pyiceberg.transforms import TruncateTransform, VoidTransform
from pyiceberg.typedef import Record
from pyiceberg.types import NestedField, StructType

Part = tuple[Record, pa.Table]


class WrongPartitionError(RuntimeError):
    """Rows were about to be written to a file of a partition that they do not belong to."""


class PartitionPath(PartitionKey):
    """The folder of a partition, made from the partition as a manifest has it.

    PyIceberg's own key cannot hold two fields of one source column.
    """

    def __init__(self, spec: PartitionSpec, schema: Schema, partition: Record) -> None:
        super().__init__([], spec, schema)
        self.__dict__["partition"] = partition


def path_of(metadata: TableMetadata, partition: Record) -> PartitionPath | None:
    """Return the folder of a partition of the current spec; None: the table has no partitions."""
    spec = metadata.spec()
    return None if spec.is_unpartitioned() else PartitionPath(spec, metadata.schema(), partition)


def exact(partition: Record) -> Hashable:
    """Return a key that two partitions of one spec share only if they are the same."""
    values = (_bytes_of(partition[number]) for number in range(len(partition)))
    return tuple(
        value
        if not isinstance(value, float)
        else "NaN"
        if math.isnan(value)
        else struct.pack(">d", value)
        for value in values
    )


def split(spec: PartitionSpec, schema: Schema, rows: pa.Table) -> Iterator[Part]:
    """Yield the partitions of rows; the rows of each keep their order.

    Args:
        spec: the partition spec.
        schema: has the source columns of the spec.
        rows: has these columns, under the names and in the types of the schema.
    """
    if spec.is_unpartitioned() or not rows.num_rows:
        yield Record(), rows
        return
    values = [transformed(field, schema, rows) for field in spec.fields]
    groups = _numbered(values)
    order = pc.sort_indices(groups)  # stable
    ends = pc.run_end_encode(groups.take(order), run_end_type=pa.int64()).run_ends.to_pylist()
    if len(ends) > 1:
        rows = rows.take(order)
    starts = [0, *ends[:-1]]
    firsts = [column.take(order.take(pa.array(starts))).to_pylist() for column in values]
    for start, end, *found in zip(starts, ends, *firsts, strict=True):
        # Buckets, days and the like are integers already, also those of a time.
        partition = Record(
            *(
                value if isinstance(value, int) else partition_record_value(field, value, schema)
                for field, value in zip(spec.fields, found, strict=True)
            )
        )
        yield partition, rows.slice(start, end - start)


def transformed(field: PartitionField | SortField, schema: Schema, rows: pa.Table) -> pa.Array:
    """Return the values of a partition or sort field for rows, in types that Arrow can sort.

    Args:
        field: the field.
        schema: has the source column.
        rows: has it, too, under its name and in its type.
    """
    source = schema.find_field(field.source_id)
    # By its id, within structs, too: a name may have a dot in it.
    first, *rest = _names(schema.fields, field.source_id)
    column = rows.column(first)
    column = (pc.struct_field(column, rest) if rest else column).combine_chunks()
    transform = field.transform
    if isinstance(transform, TruncateTransform) and pa.types.is_large_binary(column.type):
        return pc.binary_slice(column, 0, transform.width)  # which PyIceberg's does not take
    values = transform.pyarrow_transform(source.field_type)(column)
    return values.storage if isinstance(values, pa.ExtensionArray) else values


def strays(spec: PartitionSpec, schema: Schema, partition: Record, rows: pa.Table) -> int:
    """Return the number of rows that do not belong to a partition.

    Args:
        spec: the partition spec.
        schema: has the source columns of the spec.
        partition: the values of the partition, as manifests have them.
        rows: have the source columns, under the names and in the types of the schema.
    """
    wrong: Any = None
    for number, field in enumerate(spec.fields):
        if isinstance(field.transform, VoidTransform):
            continue
        values = transformed(field, schema, rows)
        # In the types in which manifests have them.
        if pa.types.is_date32(values.type):
            values = values.cast(pa.int32())
        elif pa.types.is_timestamp(values.type) or pa.types.is_time64(values.type):
            values = values.cast(pa.int64())
        stated = pa.array([_bytes_of(partition[number])], values.type)
        if partition[number] is None:
            differs = pc.is_valid(values)
        else:
            differs = pc.not_equal(_comparable(values), _comparable(stated)[0]).fill_null(True)
        wrong = differs if wrong is None else pc.or_(wrong, differs)
    return 0 if wrong is None else int(pc.sum(wrong).as_py() or 0)


def verify(metadata: TableMetadata, partition: Record, rows: pa.Table) -> None:
    """Check that rows belong to a partition of the current spec.

    Raises:
        WrongPartitionError: a row does not belong to it.
    """
    spec, schema = metadata.spec(), metadata.schema()
    wrong = strays(spec, schema, partition, rows)
    if wrong:
        raise WrongPartitionError(
            f"{wrong} of {rows.num_rows} rows do not belong to the partition"
            f" {spec.partition_to_path(partition, schema)}: nothing was committed"
        )


def _names(fields: Iterable[NestedField], field_id: int) -> list[str]:
    """Return the names that lead to a field; none, if it is not below these."""
    for field in fields:
        if field.field_id == field_id:
            return [field.name]
        if isinstance(field.field_type, StructType):
            deeper = _names(field.field_type.fields, field_id)
            if deeper:
                return [field.name, *deeper]
    return []


def _numbered(columns: list[pa.Array]) -> pa.Array:
    """Return a number for each row, which two rows share only if all their values are the same.

    Nothing is assumed of the order in which Arrow numbers or groups values.
    """
    groups = None
    for column in columns:
        coded = _comparable(column).dictionary_encode(null_encoding="encode")
        codes = coded.indices.cast(pa.int64())
        if groups is None:
            groups = codes
        else:
            mixed = pc.add(pc.multiply(groups, len(coded.dictionary)), codes)
            groups = mixed.dictionary_encode().indices.cast(pa.int64())
    return groups


def _comparable(column: pa.Array) -> pa.Array:
    """Return values that Arrow compares as Iceberg does."""
    if pa.types.is_float64(column.type):
        return _nan_is_nan(column).view(pa.int64())
    if pa.types.is_float32(column.type):
        return _nan_is_nan(column).view(pa.int32())
    return column


def _nan_is_nan(column: pa.Array) -> pa.Array:
    return pc.if_else(pc.is_nan(column), pa.scalar(float("nan"), column.type), column)


def _bytes_of(value: Any) -> Any:
    """Return a UUID, which is written to manifests as bytes and read as a UUID, as bytes."""
    return value.bytes if isinstance(value, uuid.UUID) else value
