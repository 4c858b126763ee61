"""Metadata files in memory: read once, then served and committed to many times.

A metadata file never changes, and each version of a table has a file of its own, so a cached
document is never stale.
"""

import logging
from dataclasses import dataclass
from typing import Literal, NamedTuple

import orjson

from falcon_catalog.catalog import metadata_files
from falcon_catalog.catalog.issued_credentials import NO_ACCESS, Access
from falcon_catalog.catalog.lru import LRU
from falcon_catalog.catalog.mount import WarehouseFiles
from falcon_catalog.errors import BadRequestError, InternalServerError, NotFoundError
from falcon_catalog.fileio.base import FileIO, no_such_file
from falcon_catalog.identifiers import TableIdentifier
from falcon_catalog.metadata import table, view
from falcon_catalog.metadata.document import JSON, Document
from falcon_catalog.store.tabulars import TabularRow

_log = logging.getLogger(__name__)

Snapshots = Literal["all", "refs"]
"""``refs``: only the snapshots that a branch or tag points at."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A table or view as a client loads it."""

    document: Document
    """The metadata, and its text."""
    metadata_location: str | None
    """None while the creation of a table is only staged."""
    access: Access = NO_ACCESS
    """What the client is told of access to the files."""

    @property
    def is_table(self) -> bool:
        """Whether it is a table, not a view."""
        return "table-uuid" in self.document.metadata


class Key(NamedTuple):
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

    def load(
        self,
        files: WarehouseFiles,
        row: TabularRow,
        identifier: TableIdentifier,
        snapshots: Snapshots = "all",
    ) -> Loaded:
        """Return the table or view that a row points at.

        Raises:
            NotFoundError: the metadata file is missing, even if it is cached: a process must not
                hide that from its clients. Decision 20 has the reason for this status.
            InternalServerError: it is damaged, or that of another table.
            ServiceUnavailableError: it cannot be read now.
        """
        key = Key(row.metadata_location, row.created_at, snapshots)
        document = self.get(key)
        if document is not None:
            if not files.is_still_there(row.metadata_location):
                raise _missing(row, identifier)
        else:
            if snapshots == "refs":
                full = self.load(files, row, identifier).document
                document = Document(table.filter_snapshots_to_refs(full.metadata))
            else:
                what = f"{row.kind} {identifier}"
                try:
                    document = read_document(files, row.metadata_location, what, row=row)
                except NotFoundError:
                    raise _missing(row, identifier) from None
            self.put(key, document)
        return Loaded(document, row.metadata_location)

    def advance(self, row: TabularRow, metadata_location: str, document: Document) -> None:
        """Replace the cached document of a row by that of its next state."""
        for snapshots in ("all", "refs"):
            self.forget(Key(row.metadata_location, row.created_at, snapshots))
        self.put(Key(metadata_location, row.created_at), document)


class TableFolders(LRU[Key, tuple[str, ...]]):
    """The folders of tables, validated: each signature needs them, and a scan thousands of those.

    ``load`` would look for the metadata file each time, which in an object store takes longer than
    all the rest.
    """

    def __init__(self, limit_bytes: int = 1 << 20) -> None:
        super().__init__(limit_bytes, lambda folders: 500 + sum(map(len, folders)))


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


def read_metadata(
    files: FileIO, metadata_location: str, what: str, *, row: TabularRow | None = None
) -> JSON:
    """Return metadata that the catalog wrote or accepted, with all fields that clients require.

    Args:
        files: where to read it.
        metadata_location: the metadata file.
        what: whose metadata it is, for the message.
        row: the row that points at it, whose uuid it must have.

    Raises:
        NotFoundError: there is no such file.
        InternalServerError: it is damaged, or of another table: the request is not at fault, and
            clients would read a 404 as "no such table".
    """
    try:
        metadata = metadata_files.read(files, metadata_location)
        complete = view.complete if "view-uuid" in metadata else table.complete
        metadata = complete(metadata)
        if row is not None:
            found = str(metadata.get(f"{row.kind}-uuid")).lower()
            if found != row.uuid:
                raise BadRequestError(f"its {row.kind}-uuid is {found}, not {row.uuid}")
    except BadRequestError as error:
        raise _damaged(what, metadata_location, error) from error
    return metadata


def read_document(
    files: FileIO, metadata_location: str, what: str, *, row: TabularRow | None = None
) -> Document:
    """Return metadata with its text; arguments and errors as ``read_metadata``."""
    metadata = read_metadata(files, metadata_location, what, row=row)
    try:
        return Document(metadata)
    except orjson.JSONEncodeError as error:
        raise _damaged(what, metadata_location, error) from error


def _missing(row: TabularRow, identifier: TableIdentifier) -> NotFoundError:
    error = NotFoundError(
        f"{no_such_file(row.metadata_location)}. This is the current metadata file of {row.kind}"
        f" {identifier}, which exists: falcon-catalog doctor names the repair"
    )
    _log.error("%s", error)
    return error


def _damaged(what: str, metadata_location: str, error: Exception) -> InternalServerError:
    return InternalServerError(f"Cannot load {what} from {metadata_location}: {error}")
