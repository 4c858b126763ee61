"""One warehouse's catalog: what every verb works with."""

from dataclasses import dataclass

from falcon_catalog.catalog.planner import Planner
from falcon_catalog.fileio.base import FileIO
from falcon_catalog.store.database import Database


@dataclass(frozen=True, slots=True)
class Catalog:
    """The tables of one warehouse: where its rows, files and roots are."""

    database: Database
    files: FileIO
    warehouse_id: int
    name: str
    location: str
    """The root of default table locations, without a trailing slash."""
    allowed_locations: tuple[str, ...]
    """The folders in which tables may lie, ``location`` among them."""
    planner: Planner
    """Works on the plans of scans that were submitted."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table as a client loads it."""

    metadata: bytes
    """The metadata as JSON text."""
    metadata_location: str | None
    """None while a create is only staged."""
