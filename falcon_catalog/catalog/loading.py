"""The document of a table's or view's present state: from memory, or read from its file."""

from typing import Any

import orjson

from falcon_catalog.catalog import files
from falcon_catalog.catalog.base import Catalog
from falcon_catalog.catalog.documents import Key, Snapshots
from falcon_catalog.catalog.kinds import Kind
from falcon_catalog.errors import BadRequestError, NotFoundError
from falcon_catalog.fileio.base import no_such_file
from falcon_catalog.metadata.document import Document
from falcon_catalog.metadata.table import filter_snapshots_to_refs
from falcon_catalog.store.tabulars import TabularRow


def load(catalog: Catalog, row: TabularRow, kind: Kind, snapshots: Snapshots = "all") -> Document:
    """Return the document that a row points at; ``refs``: only the snapshots refs are at.

    Raises:
        NotFoundError: the metadata file is gone, or is not what its name says.
        ServiceUnavailableError: it cannot be read now.
    """
    key = key_of(row, snapshots)
    document = catalog.documents.get(key)
    if document is not None:
        # What each process remembers must not decide whether a broken table is told.
        if not catalog.files.exists(row.metadata_location):
            raise no_such_file(row.metadata_location)
    else:
        if snapshots == "refs":
            full = load(catalog, row, kind)
            document = Document(filter_snapshots_to_refs(full.metadata))
        else:
            # A registered file of another writer may leave out what DuckDB cannot do without.
            metadata = kind.complete(_read(catalog, row.metadata_location))
            document = document_of(metadata, row.metadata_location)
        catalog.documents.put(key, document)
    return document


def key_of(row: TabularRow, snapshots: Snapshots = "all") -> Key:
    """Return what the document that a row points at is remembered under."""
    return Key(row.metadata_location, row.created_at, snapshots)


def document_of(metadata: dict[str, Any], metadata_location: str) -> Document:
    """Return the document of metadata that was read from a file.

    Raises:
        BadRequestError: what somebody else put into it is nested too deep to be served.
    """
    try:
        return Document(metadata)
    except orjson.JSONEncodeError as error:
        raise BadRequestError(f"Metadata file {metadata_location}: {error}") from error


def _read(catalog: Catalog, metadata_location: str) -> dict[str, Any]:
    try:
        return files.read(catalog.files, metadata_location)
    except BadRequestError as error:
        # No client's request is bad because a file was damaged.
        raise NotFoundError(str(error)) from error


def replace(catalog: Catalog, row: TabularRow, metadata_location: str, new: Document) -> None:
    """Keep the document of a row's next state instead of that of its last one."""
    catalog.documents.forget(key_of(row), key_of(row, "refs"))
    catalog.documents.put(Key(metadata_location, row.created_at), new)
