"""One warehouse's catalog: what every verb works with."""

import threading
from dataclasses import dataclass, field

from falcon_catalog.catalog.documents import Documents
from falcon_catalog.catalog.mount import Mount
from falcon_catalog.catalog.planner import Planner
from falcon_catalog.catalog.planning.kept import Manifests
from falcon_catalog.catalog.turns import Turns
from falcon_catalog.fileio.base import FileIO
from falcon_catalog.metadata.document import Document
from falcon_catalog.store.database import Database


@dataclass(slots=True)
class PurgeCounts:
    """What purges came to since the start. One thread counts; may be read at any time."""

    failed: int = 0
    """Attempts that ran into trouble."""


@dataclass(frozen=True, slots=True)
class Catalog:
    """The tables and views of one warehouse: where its rows, files and roots are."""

    database: Database
    files: FileIO
    """While the warehouse is not there, no file is missing: WarehouseUnavailableError."""
    mount: Mount
    """Whether the warehouse is there."""
    warehouse_id: int
    name: str
    location: str
    """The root of default table locations, without a trailing slash."""
    allowed_locations: tuple[str, ...]
    """The folders in which they may lie, ``location`` among them."""
    planner: Planner
    """Works on the plans of scans that were submitted."""
    documents: Documents
    """Metadata files kept in memory, those of all warehouses of a server."""
    manifests: Manifests
    """Manifests kept in memory, those of all warehouses of a server."""
    turns: Turns
    """Keeps commits to one table from overtaking each other."""
    commits: "CommitCounts"
    """What commits came to, those of all warehouses of a server."""
    allow_overlap: bool = False
    """Whether one table may lie over another."""
    drop_retention_ms: int = 0
    """How long what was dropped can be undropped."""
    properties_bytes: int = 0
    """How many bytes of JSON the properties of one thing may be."""
    keep_reports: int = 0
    """How many metrics reports are kept."""
    purges: PurgeCounts = field(default_factory=PurgeCounts)
    """What purges came to, those of all warehouses of a server."""
    retry_key: "RetryKey | None" = None
    """The Idempotency-Key of the request that is served, if it has one."""

    def close(self) -> None:
        """Stop planning and close the database, which all warehouses of a server share."""
        self.planner.close()
        self.database.close()


class CommitCounts:
    """What commits came to since the start. May be read at any time."""

    def __init__(self) -> None:
        self.stored = 0
        """Commits of one table or of many."""
        self.conflicts = 0
        """Commits that were refused because of another."""
        self.retries = 0
        """Attempts that another commit overtook, and that were made again."""
        self._guard = threading.Lock()

    def add(self, *, stored: int = 0, conflicts: int = 0, retries: int = 0) -> None:
        """Count what one request came to."""
        with self._guard:
            self.stored += stored
            self.conflicts += conflicts
            self.retries += retries


@dataclass(slots=True)
class RetryKey:
    """The Idempotency-Key of one request, and whether its success is stored."""

    key: str
    request: str
    concluded: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """A table or view as a client loads it."""

    document: Document
    """The metadata, and its text."""
    metadata_location: str | None
    """None while the create of a table is only staged."""
