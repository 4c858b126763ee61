"""Metadata files in memory: read once, then served and committed to many times.

A metadata file never changes, and each version of a table has a file of its own, so a cached
document is never stale.
"""

from dataclasses import dataclass
from typing import Literal

import orjson

from falcon_catalog.catalog import metadata_files
from falcon_catalog.catalog.lru import LRU
from falcon_catalog.errors import BadRequestError, NotFoundError
from falcon_catalog.fileio.base import FileIO, no_such_file
from falcon_catalog.identifiers import TableIdentifier
from falcon_catalog.metadata.document import JSON, Document
from falcon_catalog.metadata.table import filter_snapshots_to_refs, with_defaults
from falcon_catalog.store.tabulars import TabularRow

Snapshots = Literal["all", "refs"]
"""``refs``: only the snapshots that a branch or tag points at."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A table or view as a client loads it."""

    document: Document
    """The metadata, and its text."""
    metadata_location: str | None
    """None while the creation of a table is only staged."""


@dataclass(frozen=True, slots=True)
class Key:
    """Which file, in which form.

    ``since`` is when the row that points at it was created: after a table was removed, another
    file may be written to the same location and registered.
    """

    metadata_location: str
    since: int
    snapshots: Snapshots = "all"


class MetadataCache(LRU[Key, Document]):
    """The documents used last; their cost is an estimate that errs on the high side."""

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(limit_bytes, lambda document: document.cost)

    def holds(self, row: TabularRow, snapshots: Snapshots) -> bool:
        """Return whether ``load`` would read no file."""
        return Key(row.metadata_location, row.created_at, snapshots) in self

    def load(self, files: FileIO, row: TabularRow, snapshots: Snapshots = "all") -> Loaded:
        """Return the table or view that a row points at.

        Raises:
            NotFoundError: the metadata file is missing or damaged, even if it is cached: a
                process must not hide that from its clients.
            ServiceUnavailableError: it cannot be read now.
        """
        key = Key(row.metadata_location, row.created_at, snapshots)
        document = self.get(key)
        if document is not None:
            if not files.exists(row.metadata_location):
                raise no_such_file(row.metadata_location)
        else:
            if snapshots == "refs":
                full = self.load(files, row).document
                document = Document(filter_snapshots_to_refs(full.metadata))
            else:
                metadata = _read(files, row.metadata_location)
                # A registered file may omit fields that DuckDB requires.
                metadata = with_defaults(metadata) if row.kind == "table" else metadata
                document = to_document(metadata, row.metadata_location)
            self.put(key, document)
        return Loaded(document, row.metadata_location)

    def advance(self, row: TabularRow, metadata_location: str, document: Document) -> None:
        """Replace the cached document of a row by that of its next state."""
        for snapshots in ("all", "refs"):
            self.forget(Key(row.metadata_location, row.created_at, snapshots))
        self.put(Key(metadata_location, row.created_at), document)


class LastCommits(LRU[tuple[int, TableIdentifier], TabularRow | None]):
    """Rows of tables and views, by warehouse and name, as this process's last commits left them.

    The next commit to one begins with its row instead of reading it: the swap finds out whether
    that was the newest, which it is as long as nobody else commits to the table. Where somebody
    does, the row is None, and is read each time. It saves a statement of a commit and 8 of its 36
    system calls (``make bench``, goal 10); eight writers make 1.08 times the commits.
    """

    def __init__(self, limit_bytes: int = 1 << 20) -> None:
        super().__init__(limit_bytes, lambda row: 1000 + len(row.metadata_location if row else ""))

    def record(self, warehouse_id: int, identifier: TableIdentifier, row: TabularRow) -> None:
        """Remember the row that a commit left, unless others commit to the table, too."""
        key = warehouse_id, identifier
        if key not in self or self.get(key) is not None:
            self.put(key, row)


def to_document(metadata: JSON, metadata_location: str) -> Document:
    """Return the document of metadata that was read from a file.

    Raises:
        BadRequestError: it is nested too deep to be served.
    """
    try:
        return Document(metadata)
    except orjson.JSONEncodeError as error:
        raise BadRequestError(f"Metadata file {metadata_location}: {error}") from error


def _read(files: FileIO, metadata_location: str) -> JSON:
    try:
        return metadata_files.read(files, metadata_location)
    except BadRequestError as error:
        # A damaged file does not make the client's request a bad one.
        raise NotFoundError(str(error)) from error
