"""Rewriting of position deletes and deletion vectors, which contain paths of data files."""

import io
import struct
from dataclasses import dataclass, field
from typing import Any

import orjson

from falcon_catalog.backup import avro
from falcon_catalog.backup.prefix import EXTRA, Move, RelocationError
from falcon_catalog.errors import BadRequestError

PATH_ID = 2147483546
PATH_IDS = frozenset({PATH_ID, 2147483646})
"""Ids of the column of position deletes with the data file's path. DuckDB 1.5 writes its bounds
under the id of the column ``_file``."""
_POSITION_ID = 2147483545
_ORDER = (PATH_ID, _POSITION_ID)
_MAGIC = b"PFA1"
_COMPRESSED = 1
_TAIL = struct.Struct("<II4s")  # length of the footer's payload, flags, magic

Position = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Rewritten:
    """A delete file with new paths, and its fields in the manifest."""

    content: bytes
    bounds: tuple[bytes, bytes] | None = None
    """The lowest and the highest path; None for a vector, or a file without rows."""
    column_sizes: dict[int, int] = field(default_factory=dict)
    split_offsets: list[int] | None = None


def rewrite(content: bytes, file_format: str, location: str, move: Move) -> Rewritten | None:
    """Return a delete file with moved paths; None if no path changes.

    Raises:
        BadRequestError: the file is damaged, or in an unknown format.
        RelocationError: pyarrow is not installed.
    """
    kind = file_format.upper()
    if kind == "PUFFIN":
        return _rewrite_puffin(content, location, move)
    if kind == "PARQUET":
        return _rewrite_parquet(content, location, move)
    if kind == "AVRO":
        return _rewrite_avro(content, location, move)
    raise BadRequestError(f"{location}: position deletes in {file_format} cannot be rewritten")


def positions(content: bytes, file_format: str, location: str) -> list[Position]:
    """Return the data files and positions in a delete file; the position of a vector is 0.

    Raises:
        BadRequestError: the file is damaged.
    """
    kind = file_format.upper()
    if kind == "PUFFIN":
        blobs = _footer(content, location)[1]["blobs"]
        return [(path, 0) for blob in blobs if (path := _referenced(blob)) is not None]
    if kind == "AVRO":
        rows = avro.read(content, location).records
        return [(row[f"f{PATH_ID}"], row[f"f{_POSITION_ID}"]) for row in rows]
    table = _read_parquet(content, location)[1]
    columns = (table.column(_index(table.schema, one, location)) for one in (PATH_ID, _POSITION_ID))
    return list(zip(*(column.to_pylist() for column in columns), strict=True))


def _rewrite_puffin(content: bytes, location: str, move: Move) -> Rewritten | None:
    """Replace the footer. Blobs keep their offsets, which manifests contain."""
    start, footer = _footer(content, location)
    changed = False
    for blob in footer["blobs"]:
        path = _referenced(blob)
        if path is not None and move.changes(path):
            blob["properties"]["referenced-data-file"] = move(path)
            changed = True
    if not changed:
        return None
    payload = orjson.dumps(footer)
    tail = _TAIL.pack(len(payload), 0, _MAGIC)
    return Rewritten(content[:start] + _MAGIC + payload + tail)


def _footer(content: bytes, location: str) -> tuple[int, Any]:
    """Return the offset of a Puffin file's footer, and its JSON."""
    try:
        length, flags, magic = _TAIL.unpack(content[-_TAIL.size :])
        start = len(content) - _TAIL.size - length - len(_MAGIC)
        if not magic == content[:4] == content[start : start + 4] == _MAGIC or start < len(_MAGIC):
            raise BadRequestError(f"{location} is no Puffin file, or is cut short")
        if flags & _COMPRESSED:
            raise BadRequestError(f"{location}: its footer is compressed, which is not supported")
        footer = orjson.loads(content[start + 4 : -_TAIL.size])
        if not isinstance(footer["blobs"], list):
            raise BadRequestError(f"{location}: its footer has no list of blobs")
    except (struct.error, orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise BadRequestError(f"{location} is no Puffin file: {error!r}") from error
    return start, footer


def _referenced(blob: Any) -> str | None:
    path = blob.get("properties", {}).get("referenced-data-file")
    return None if path is None else str(path)


def _rewrite_parquet(content: bytes, location: str, move: Move) -> Rewritten | None:
    source, table = _read_parquet(content, location)
    import pyarrow as pa  # noqa: PLC0415
    from pyarrow import compute, parquet  # noqa: PLC0415

    index = _index(table.schema, PATH_ID, location)
    column = table.schema.field(index)
    chunks, moved = [], dict[str, str]()
    for chunk in table.column(index).chunks:
        distinct = chunk.dictionary_encode()
        paths = distinct.dictionary.to_pylist()
        moved |= {path: move(path) for path in paths}
        chunks.append(pa.array([moved[path] for path in paths], column.type).take(distinct.indices))
    if all(path == new for path, new in moved.items()):
        return None
    table = table.set_column(index, column, pa.chunked_array(chunks, column.type))
    # Readers rely on the order, which changes if only some paths do.
    names = [table.schema.names[_index(table.schema, one, location)] for one in _ORDER]
    # Not Table.sort_by: its threads now and then abort a process that ends soon after.
    order = compute.sort_indices(table, sort_keys=[(name, "ascending") for name in names])
    codec = source.metadata.row_group(0).column(index).compression.lower()
    codec = "none" if codec == "uncompressed" else codec
    about = source.metadata.metadata or {}
    out = io.BytesIO()
    with parquet.ParquetWriter(out, table.schema, compression=codec, store_schema=False) as writer:
        writer.write_table(table.take(order))
        writer.add_key_value_metadata(
            {key: value for key, value in about.items() if key != b"ARROW:schema"}
        )
    made = out.getvalue()
    file = parquet.ParquetFile(pa.BufferReader(made)).metadata
    groups = [file.row_group(number) for number in range(file.num_row_groups)]
    sizes = {
        one: sum(
            group.column(number).total_compressed_size
            for group in groups
            for number in range(group.num_columns)
            if group.column(number).path_in_schema == name
        )
        for one, name in zip(_ORDER, names, strict=True)
    }
    offsets = [
        group.column(0).dictionary_page_offset or group.column(0).data_page_offset
        for group in groups
    ]
    bounds = (min(moved.values()).encode(), max(moved.values()).encode())
    return Rewritten(made, bounds, sizes, offsets)


def _read_parquet(content: bytes, location: str) -> tuple[Any, Any]:
    try:
        import pyarrow as pa  # noqa: PLC0415
        from pyarrow import parquet  # noqa: PLC0415
    except ImportError:
        raise RelocationError(
            f"{location} holds position deletes, which are rewritten with pyarrow: {EXTRA}"
        ) from None
    try:
        file = parquet.ParquetFile(pa.BufferReader(content))
        return file, file.read()
    except (pa.ArrowException, OSError) as error:
        raise BadRequestError(f"{location} cannot be read as Parquet: {error}") from error


def _index(schema: Any, field_id: int, location: str) -> int:
    """Return the index of a column by its field id, or by its name if it has no id."""
    name = {PATH_ID: "file_path", _POSITION_ID: "pos"}[field_id]
    for number, one in enumerate(schema):
        given = (one.metadata or {}).get(b"PARQUET:field_id")
        ids = PATH_IDS if field_id == PATH_ID else {field_id}
        if int(given) in ids if given else one.name == name:
            return number
    raise BadRequestError(f"{location} holds no position deletes: it has no column {name}")


def _rewrite_avro(content: bytes, location: str, move: Move) -> Rewritten | None:
    file = avro.read(content, location)
    name, position = (f"f{one}" for one in _ORDER)
    if any(name not in row or position not in row for row in file.records):
        raise BadRequestError(f"{location} holds no position deletes: it has no column file_path")
    paths = [row[name] for row in file.records]
    moved = [move(path) for path in paths]
    if moved == paths:
        return None
    for row, path in zip(file.records, moved, strict=True):
        row[name] = path
    file.records.sort(key=lambda row: (row[name].encode(), row[position]))
    return Rewritten(avro.write(file), (min(moved).encode(), max(moved).encode()))
