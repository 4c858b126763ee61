"""Metadata files kept in memory: read once, served and committed to many times.

A metadata file never changes, so neither does what is kept of it: each new version of a table
has a location of its own, and nothing here can be out of date.
"""

from dataclasses import dataclass
from typing import Literal

from falcon_catalog.catalog.recent import Recent
from falcon_catalog.metadata.document import Document

Snapshots = Literal["all", "refs"]


@dataclass(frozen=True, slots=True)
class Key:
    """Which file, in which shape.

    ``since`` is when the row that points at it was made: who removes a table may write another
    file to the same place and register that.
    """

    metadata_location: str
    since: int
    snapshots: Snapshots = "all"


class Documents(Recent[Key, Document]):
    """The documents used last; what they cost is an estimate that errs towards too much."""

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(limit_bytes, lambda document: document.cost)
