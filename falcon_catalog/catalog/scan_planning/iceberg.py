"""PyIceberg's Avro reader and bucket hash.

The server starts without PyIceberg, so it is imported only here, in functions. Rows of manifest
lists and manifests are returned as dicts by Iceberg's field ids.
"""

import io
import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

from falcon_catalog.catalog.scan_planning.values import scale_of, with_unscaled
from falcon_catalog.errors import BadRequestError
from falcon_catalog.metadata.types import Type, base_name

_DATA_FILE = 2
_PARTITION = 102


@dataclass(frozen=True, slots=True)
class Entries:
    """A manifest: its Avro header, the ids of its partition fields, and its entries."""

    header: dict[str, str]
    partition_ids: tuple[int, ...]
    rows: list[tuple[dict[int, Any], dict[int, Any]]]
    """Each entry, and its data file, whose field 102 is a tuple in the order of partition_ids."""


def read_manifest_list(content: bytes, location: str) -> list[dict[int, Any]]:
    """Return the entries of a manifest list.

    Raises:
        BadRequestError: it is not a manifest list, or is truncated.
    """
    from pyiceberg.manifest import MANIFEST_LIST_FILE_SCHEMAS  # noqa: PLC0415

    # Counts are required in v2, but some writers omit them, and planning does not use them.
    wanted = {500, 501, 502, 503, 507, 515, 517, 520}
    fields = [f for f in MANIFEST_LIST_FILE_SCHEMAS[3].fields if f.field_id in wanted]
    ids = [field.field_id for field in fields]
    _, rows = _read(content, location, fields)
    return [dict(zip(ids, row, strict=True)) for row in rows]


def read_manifest(content: bytes, location: str) -> Entries:
    """Return the entries of a manifest.

    Raises:
        BadRequestError: it is not a manifest, or is truncated.
    """
    from pyiceberg.manifest import MANIFEST_ENTRY_SCHEMAS  # noqa: PLC0415

    fields = MANIFEST_ENTRY_SCHEMAS[3].fields
    ids = [field.field_id for field in fields]
    nested: Any = next(field.field_type for field in fields if field.field_id == _DATA_FILE)
    file_ids = [field.field_id for field in nested.fields]
    avro, rows = _read(content, location, fields)
    entries = []
    for row in rows:
        entry = dict(zip(ids, row, strict=True))
        file = dict(zip(file_ids, entry.pop(_DATA_FILE), strict=True))
        file[_PARTITION] = tuple(file[_PARTITION])
        entries.append((entry, file))
    data_file = avro.schema.find_field(_DATA_FILE).field_type
    partition = data_file.field(_PARTITION).field_type
    partition_ids = tuple(field.field_id for field in partition.fields)
    return Entries(dict(avro.header.meta), partition_ids, entries)


def bucket_function(kind: Type) -> Callable[[int, Any], int | None]:
    """Return the function from (number of buckets, value) to the value's bucket.

    It returns None for a value that the type cannot hold.
    """
    is_decimal = base_name(kind) == "decimal"

    def bucket(count: int, value: Any) -> int | None:
        if is_decimal:
            value = with_unscaled(kind, value, lambda unscaled: unscaled)  # in the type's scale
        elif isinstance(value, float):
            value = int(value) if value.is_integer() else None
        return None if value is None else _hasher(str(kind), count)(value)

    return bucket


@lru_cache(maxsize=64)
def _hasher(kind: str, count: int) -> Callable[[Any], int]:
    from pyiceberg import types  # noqa: PLC0415
    from pyiceberg.transforms import BucketTransform  # noqa: PLC0415

    sources: dict[str, Any] = {
        "int": types.LongType(),
        "long": types.LongType(),
        "date": types.DateType(),
        "time": types.TimeType(),
        "timestamp": types.TimestampType(),
        "timestamptz": types.TimestamptzType(),
        "timestamp_ns": types.TimestampNanoType(),
        "timestamptz_ns": types.TimestamptzNanoType(),
        "string": types.StringType(),
        "uuid": types.UUIDType(),
        "fixed": types.BinaryType(),
        "binary": types.BinaryType(),
        "decimal": types.DecimalType(38, scale_of(kind)),
    }
    hasher: Any = BucketTransform(count).transform(sources[base_name(kind)])
    return lambda value: int(hasher(value))


def _read(content: bytes, location: str, fields: Any) -> tuple[Any, list[Any]]:
    """Read an Avro file into one sequence per row, in the order of ``fields``."""
    from pyiceberg.avro.file import AvroFile  # noqa: PLC0415
    from pyiceberg.schema import Schema  # noqa: PLC0415

    _read_doubles_exactly()
    try:
        with AvroFile[Any](_in_memory(content, location), Schema(*fields)) as avro:
            # PyIceberg reads a truncated block as the end of the file: rows would be lost silently.
            if not content.endswith(avro.header.sync):
                raise BadRequestError(f"Avro file {location} is cut short")
            return avro, [_plain(row) for row in avro]
    except (BadRequestError, MemoryError):
        raise
    except Exception as error:
        # A damaged file may raise anything in the reader.
        raise BadRequestError(f"File {location} is no Iceberg manifest: {error!r}") from error


@cache
def _read_doubles_exactly() -> None:
    """Keep PyIceberg from rounding the doubles in manifests to single precision.

    Scans would skip files by rounded partition values. Fixed upstream by apache/iceberg-python pull
    request 3808, which is not in 0.12.0.
    """
    from pyiceberg.avro.reader import DoubleReader  # noqa: PLC0415

    def read(_: DoubleReader, decoder: Any) -> float:
        (value,) = struct.unpack("<d", decoder.read(8))
        return float(value)

    DoubleReader.read = read  # type: ignore[method-assign,assignment]


def _plain(row: Any) -> Any:
    """Convert PyIceberg's records to tuples, recursively."""
    if hasattr(row, "_data"):
        return tuple(_plain(value) for value in row._data)  # noqa: SLF001 - no other way to iterate
    if isinstance(row, list):
        return [_plain(value) for value in row]
    return row


def _in_memory(content: bytes, location: str) -> Any:
    from pyiceberg.io import InputFile  # noqa: PLC0415

    class Content(InputFile):
        """A file that was already read through the catalog's FileIO, which checks locations."""

        def __len__(self) -> int:
            return len(content)

        def exists(self) -> bool:
            return True

        def open(self, seekable: bool = True) -> Any:  # noqa: ARG002, FBT001, FBT002
            return io.BytesIO(content)

    return Content(location)
