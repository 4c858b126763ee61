"""Lossless reading and writing of Avro files: header, codec and unknown fields are kept.

Records are dicts keyed by Iceberg's field ids (``f100``). Logical types are not applied: a date
stays the stored number.
"""

import io
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from falcon_catalog.backup.prefix import EXTRA, RelocationError
from falcon_catalog.errors import BadRequestError
from falcon_catalog.metadata.json_fields import JSON

_HEADER = {
    "type": "record",
    "name": "header",
    "fields": [
        {"name": "magic", "type": {"type": "fixed", "name": "magic", "size": 4}},
        {"name": "meta", "type": {"type": "map", "values": "bytes"}},
        {"name": "sync", "type": {"type": "fixed", "name": "sync", "size": 16}},
    ],
}


@dataclass(frozen=True, slots=True)
class AvroFile:
    """The content of an Avro file. Its records may be modified in place."""

    header: JSON
    schema: Any
    """The writer's schema, reduced to what determines the encoding."""
    records: list[JSON]


def require() -> None:
    """Raise RelocationError unless fastavro is installed."""
    try:
        import fastavro  # noqa: F401, PLC0415
    except ImportError:
        raise RelocationError(f"Manifests are rewritten with fastavro: {EXTRA}") from None


def read(content: bytes, location: str) -> AvroFile:
    """Return the content of an Avro file.

    Raises:
        BadRequestError: it is not an Avro file, is damaged, or needs a codec that is not installed.
    """
    import fastavro  # noqa: PLC0415

    try:
        source = io.BytesIO(content)
        header: Any = fastavro.schemaless_reader(source, _HEADER, None)
        schema = _encoding(json.loads(header["meta"]["avro.schema"]), {}, itertools.count())
        # The reader takes a truncated block for the end of the file.
        if not content.endswith(header["sync"]):
            raise BadRequestError("it is cut short")
        plain = {**header["meta"], "avro.schema": json.dumps(schema).encode()}
        blocks = content[source.tell() :]
        records: Any = list(fastavro.reader(io.BytesIO(_head(header, plain) + blocks)))
    except MemoryError:
        raise
    except Exception as error:
        # A damaged file may raise anything in the reader.
        raise BadRequestError(f"Avro file {location} cannot be read: {error}") from error
    return AvroFile(header, schema, records)


def write(file: AvroFile) -> bytes:
    """Return the bytes of an Avro file, with the header and codec that it was read with."""
    import fastavro  # noqa: PLC0415

    meta = file.header["meta"]
    made = io.BytesIO()
    codec = meta.get("avro.codec", b"null").decode()
    fastavro.writer(made, file.schema, file.records, codec=codec, sync_marker=file.header["sync"])
    made.seek(0)
    fastavro.schemaless_reader(made, _HEADER, None)
    return _head(file.header, meta) + made.read()


def _head(header: JSON, meta: JSON) -> bytes:
    import fastavro  # noqa: PLC0415

    out = io.BytesIO()
    fastavro.schemaless_writer(out, _HEADER, {**header, "meta": meta})
    return out.getvalue()


def _encoding(schema: Any, named: dict[str, str], numbers: Iterator[int]) -> Any:
    """Return a schema for the same bytes, with fields named by their ids.

    Types get new names: some writers define a name twice, or use one that Avro forbids.
    """
    if isinstance(schema, str):
        return named.get(schema, schema)
    if isinstance(schema, list):
        return [_encoding(branch, named, numbers) for branch in schema]
    kind = schema["type"]
    if kind in ("array", "map"):
        inner = "items" if kind == "array" else "values"
        return {"type": kind, inner: _encoding(schema[inner], named, numbers)}
    if kind not in ("record", "fixed", "enum"):
        return _encoding(kind, named, numbers)
    name = f"t{next(numbers)}"
    named[schema["name"]] = name
    if space := schema.get("namespace"):
        named[f"{space}.{schema['name']}"] = name
    if kind != "record":
        size = {key: schema[key] for key in ("size", "symbols") if key in schema}
        return {"type": kind, "name": name, **size}
    fields = [
        {
            "name": f"f{field['field-id']}" if "field-id" in field else f"n{number}",
            "type": _encoding(field["type"], named, numbers),
        }
        for number, field in enumerate(schema["fields"])
    ]
    return {"type": kind, "name": name, "fields": fields}
