"""Whether the rows of a table's data files belong to the partitions that the manifests say."""

import datetime as dt
import uuid
from decimal import Decimal
from typing import Any

import mmh3
import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.manifest import DataFile, DataFileContent
from pyiceberg.table import Table
from pyiceberg.types import FixedType, IcebergType

from tests.maintenance.histories.values import comparable
from tests.maintenance.lake import path_of

_EPOCH = dt.datetime(1970, 1, 1)  # noqa: DTZ001
# The values of these transforms are numbers, or of their source's type and never times.
_OWN_VALUES = ("bucket", "truncate", "year", "month", "hour")
_MICROSECOND = dt.timedelta(microseconds=1)


def misplaced(table: Table, snapshot_id: int | None = None) -> list[str]:
    """Describe every live row that lies in a file of another partition than its values say."""
    snapshot = (
        table.metadata.snapshot_by_id(snapshot_id) if snapshot_id else table.current_snapshot()
    )
    found: list[str] = []
    for manifest in snapshot.manifests(table.io) if snapshot else []:
        for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=True):
            if entry.data_file.content == DataFileContent.DATA:
                found += _misplaced(table, entry.data_file, manifest.partition_spec_id)
    return found


def _misplaced(table: Table, file: DataFile, spec_id: int) -> list[str]:
    rows = pq.read_table(path_of(file.file_path))
    found = []
    for position, field in enumerate(table.specs()[spec_id].fields):
        kind = _type(table, field.source_id)
        transform = str(field.transform)
        said = normal(kind, file.partition[position], transform)
        for value in _column(rows, field.source_id):
            wanted = partition_value(kind, value, transform)
            if wanted != said:
                found.append(
                    f"{file.file_path}: {transform} of {value!r} is {wanted!r}, not {said!r}"
                )
    return found


def _type(table: Table, field_id: int) -> IcebergType:
    for schema in [table.schema(), *table.schemas().values()]:
        if field_id in schema.field_ids:
            return schema.find_type(field_id)
    raise LookupError(field_id)


def _column(rows: pa.Table, field_id: int) -> list[Any]:
    """Return the values of a column, of one within a struct too."""
    wanted = str(field_id).encode()
    for field in rows.schema:
        if (field.metadata or {}).get(b"PARQUET:field_id") == wanted:
            return rows.column(field.name).to_pylist()
        if pa.types.is_struct(field.type):
            for inner in field.type:
                if (inner.metadata or {}).get(b"PARQUET:field_id") == wanted:
                    structs = rows.column(field.name).to_pylist()
                    return [None if struct is None else struct[inner.name] for struct in structs]
    return [None] * rows.num_rows


def partition_value(kind: IcebergType, value: Any, transform: str) -> Any:  # noqa: PLR0911
    """Apply a transform as the specification's appendix B says."""
    name, _, argument = transform.partition("[")
    if value is None or name == "void":
        return None
    if name == "identity":
        return normal(kind, value, transform)
    if name == "bucket":
        return (mmh3.hash(_hashed(kind, value)) & 0x7FFFFFFF) % int(argument[:-1])
    if name == "truncate":
        width = int(argument[:-1])
        if isinstance(value, str | bytes):
            return value[:width]
        if isinstance(value, Decimal):
            unscaled = _unscaled(value)
            return Decimal(f"{unscaled - unscaled % width}E{value.as_tuple().exponent}")
        return value - value % width
    if isinstance(value, dt.datetime):
        value = value.replace(tzinfo=None)
    if name == "year":
        return value.year - 1970
    if name == "month":
        return (value.year - 1970) * 12 + value.month - 1
    days = _days(value)
    return days if name == "day" else days * 24 + value.hour


def normal(kind: IcebergType, value: Any, transform: str) -> Any:
    """Return a partition's value as ``partition_value`` does: times are whole numbers."""
    if value is None or transform.partition("[")[0] in _OWN_VALUES:
        return value
    if isinstance(value, dt.datetime):
        return (value.replace(tzinfo=None) - _EPOCH) // _MICROSECOND
    if isinstance(value, dt.date):
        return _days(value)
    if isinstance(value, dt.time):
        return (dt.datetime.combine(_EPOCH, value) - _EPOCH) // _MICROSECOND
    if str(kind) in ("float", "double", "uuid"):
        return comparable(str(kind), value)
    return value


def _days(value: dt.date) -> int:
    return value.toordinal() - _EPOCH.toordinal()


def _unscaled(value: Decimal) -> int:
    sign, digits, _ = value.as_tuple()
    return (-1 if sign else 1) * int("".join(map(str, digits)))


def _hashed(kind: IcebergType, value: Any) -> bytes:
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, uuid.UUID):
        return value.bytes
    if isinstance(value, bytes) or isinstance(kind, FixedType):
        return bytes(value)
    if isinstance(value, Decimal):
        unscaled = _unscaled(value)
        length = (unscaled + (unscaled < 0)).bit_length() // 8 + 1
        return unscaled.to_bytes(length, "big", signed=True)
    number = value if isinstance(value, int) else normal(kind, value, "identity")
    return int(number).to_bytes(8, "little", signed=True)
