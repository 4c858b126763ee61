"""One warehouse's catalog: what every verb works with."""

from dataclasses import dataclass

from falcon_catalog.catalog.planner import Planner
from falcon_catalog.fileio.base import FileIO
from falcon_catalog.store.database import Database
from falcon_catalog.telemetry.meters import Meters


@dataclass(frozen=True, slots=True)
class Catalog:
    """The tables and views of one warehouse: where its rows, files and roots are."""

    database: Database
    files: FileIO
    warehouse_id: int
    name: str
    location: str
    """The root of default table locations, without a trailing slash."""
    allowed_locations: tuple[str, ...]
    """The folders in which they may lie, ``location`` among them."""
    planner: Planner
    """Works on the plans of scans that were submitted."""
    meters: Meters
    """Counts what is done."""
    allow_overlap: bool = False
    """Whether one table may lie over another."""
    drop_retention_ms: int = 0
    """How long what was dropped can be undropped."""
    keep_reports: int = 0
    """How many metrics reports are kept."""
    retry_key: "RetryKey | None" = None
    """The Idempotency-Key of the request that is served, if it has one."""

    def close(self) -> None:
        """Stop planning and close the database, which all warehouses of a server share."""
        self.planner.close()
        self.database.close()


@dataclass(slots=True)
class RetryKey:
    """The Idempotency-Key of one request, and whether its success is stored."""

    key: str
    request: str
    concluded: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """A table or view as a client loads it."""

    metadata: bytes
    """The metadata as JSON text."""
    metadata_location: str | None
    """None while the create of a table is only staged."""
