"""The walk from a table's metadata over manifest lists and manifests to files.

Scan planning, purges and the doctor share it. ``read`` returns the content of a location; since
clients write these locations, it must check which may be opened. Numbers are the field ids of the
table specification, "Manifests".
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from falcon_catalog.catalog.scan_planning import iceberg
from falcon_catalog.catalog.scan_planning.iceberg import Entries
from falcon_catalog.errors import BadRequestError, CatalogError, ForbiddenError, NotFoundError

MANIFEST_PATH, MANIFEST_LENGTH = 500, 501
STATUS, DATA_FILE = 0, 2
DELETED = 2  # a status
CONTENT, FILE_PATH, FILE_FORMAT, FILE_SIZE = 134, 100, 101, 104
COLUMN_SIZES, LOWER_BOUNDS, UPPER_BOUNDS, SPLIT_OFFSETS, REFERENCED = 108, 125, 128, 132, 143
POSITION_DELETES = 1  # a content

_log = logging.getLogger(__name__)

JSON = Mapping[str, Any]
Read = Callable[[str], bytes]
Sizes = dict[str, int | None]
"""Recorded sizes of files in bytes, by location; None if unknown."""


def manifests_of(snapshot: JSON, read: Read) -> list[dict[int, Any]]:
    """Return the entries of a snapshot's manifest list, by field id.

    Snapshots of format version 1 may list the paths of manifests themselves; such entries consist
    of path and length, which is None.

    Raises:
        BadRequestError: it is not a manifest list, or is truncated.
    """
    location = snapshot.get("manifest-list")
    if location is None:
        paths = snapshot.get("manifests") or ()
        return [{MANIFEST_PATH: path, MANIFEST_LENGTH: None} for path in paths]
    return iceberg.read_manifest_list(read(location), location)


def entries_of(path: str, length: int | None, read: Read) -> Entries:
    """Return the entries of a manifest.

    Raises:
        BadRequestError: it is not a manifest, or is shorter than ``length``.
    """
    content = read(path)
    if length is not None and len(content) < length:  # the reader accepts an end between blocks
        raise BadRequestError(f"Manifest {path} is cut short: {len(content)} of {length} bytes")
    return iceberg.read_manifest(content, path)


class NamedFile(NamedTuple):
    """A data or delete file that a manifest names."""

    path: str
    size: int
    is_deleted: bool
    """Whether the snapshot that wrote the manifest deleted it."""


@dataclass(slots=True)
class Walk:
    """The manifest lists, manifests and files of all snapshots of one table."""

    metadata: JSON
    read: Read
    trouble: Callable[[str, CatalogError], None]
    """Called with each manifest list or manifest that cannot be read; the walk continues unless it
    raises."""

    @property
    def lists(self) -> list[str]:
        """The locations of the manifest lists."""
        snapshots = self.metadata.get("snapshots", ())
        named = (snapshot.get("manifest-list") for snapshot in snapshots)
        return [location for location in named if location is not None]

    def manifests(self) -> Sizes:
        """Return the manifests that the manifest lists name."""
        found: Sizes = {}
        for snapshot in self.metadata.get("snapshots", ()):
            try:
                rows = manifests_of(snapshot, self.read)
            except CatalogError as error:
                self.trouble(snapshot["manifest-list"], error)
                continue
            found |= {row[MANIFEST_PATH]: row[MANIFEST_LENGTH] for row in rows}
        return found

    def files(self, manifests: Sizes) -> Iterator[NamedFile]:
        """Yield the files that manifests name, a file as often as it is named."""
        for path in manifests:
            try:
                rows = entries_of(path, None, self.read).rows
            except CatalogError as error:
                self.trouble(path, error)
                continue
            for entry, file in rows:
                yield NamedFile(file[FILE_PATH], file[FILE_SIZE], entry[STATUS] == DELETED)


def reachable_files(metadata: JSON, read: Read) -> Iterator[Iterable[str]]:
    """Yield all files that metadata refers to, in groups: each before the files that name its own.

    So a deletion that was interrupted can be repeated if it ends one group before the next. With
    ``gc.enabled=false`` data files belong to another owner and are left out.
    """
    walk = Walk(metadata, read, _log_trouble)
    manifests = walk.manifests()
    if str(metadata.get("properties", {}).get("gc.enabled", "true")).lower() != "false":
        yield _distinct(file.path for file in walk.files(manifests))
    yield manifests
    yield walk.lists
    yield [
        *(
            entry["statistics-path"]
            for statistics in ("statistics", "partition-statistics")
            for entry in metadata.get(statistics, ())
        ),
        *(entry["metadata-file"] for entry in metadata.get("metadata-log", ())),
    ]


def _distinct(paths: Iterable[str]) -> Iterator[str]:
    seen: set[str] = set()
    for path in paths:
        if path not in seen:
            seen.add(path)
            yield path


def _log_trouble(location: str, error: CatalogError) -> None:
    """Log a missing, damaged or foreign file; raise other errors, which may be temporary."""
    if not isinstance(error, NotFoundError | BadRequestError | ForbiddenError):
        raise error
    _log.warning("cannot read %s: %s", location, error)
