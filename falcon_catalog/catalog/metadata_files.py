"""Metadata files: JSON text, plain or gzipped as their name says."""

import zlib
from typing import Any

import orjson

from falcon_catalog.errors import BadRequestError, check_memory
from falcon_catalog.fileio.base import FileIO
from falcon_catalog.metadata.document import Document

# Reject decompression bombs.
_MAX_UNZIPPED_BYTES = 1 << 30


def read_text(files: FileIO, location: str) -> bytes:
    """Return a metadata file's JSON text.

    Raises:
        NotFoundError: there is no such file.
        BadRequestError: it is not what its name says.
    """
    content = files.read(location)
    # Java writes ….gz.metadata.json, older engines ….metadata.json.gz.
    return _unzip(content, location) if content[:2] == b"\x1f\x8b" else content


def read(files: FileIO, location: str) -> dict[str, Any]:
    """Return a metadata file's JSON object."""
    metadata = parse(read_text(files, location), f"Metadata file {location}")
    if not isinstance(metadata, dict):
        raise BadRequestError(f"Metadata file {location} is not a JSON object")
    return metadata


def parse(text: bytes, what: str) -> Any:
    """Return the value of a JSON text.

    Raises:
        BadRequestError: it is not JSON; the message begins with ``what``.
        ServiceUnavailableError: there is too little memory to parse it.
    """
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        check_memory(error)
        raise BadRequestError(f"{what} is not JSON: {error}") from error


def write(files: FileIO, location: str, document: Document) -> None:
    """Create a metadata file, durable before this returns."""
    zipped = location.endswith(".gz.metadata.json")
    files.write(location, *(document.gzip_pieces() if zipped else document.pieces()))


def _unzip(content: bytes, location: str) -> bytes:
    try:
        unzipper = zlib.decompressobj(wbits=31)
        text = unzipper.decompress(content, _MAX_UNZIPPED_BYTES + 1)
        while unzipper.eof and unzipper.unused_data and len(text) <= _MAX_UNZIPPED_BYTES:
            rest = unzipper.unused_data
            unzipper = zlib.decompressobj(wbits=31)
            text += unzipper.decompress(rest, _MAX_UNZIPPED_BYTES + 1 - len(text))
    except zlib.error as error:
        check_memory(error)
        raise BadRequestError(f"Metadata file {location} is not valid gzip: {error}") from error
    if len(text) > _MAX_UNZIPPED_BYTES:
        raise BadRequestError(f"Metadata file {location} is larger than {_MAX_UNZIPPED_BYTES} B")
    if not unzipper.eof:
        raise BadRequestError(f"Metadata file {location} is cut short")
    return text
