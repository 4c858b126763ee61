"""The files that a table's metadata names: manifest lists, manifests, data, deletes, statistics."""

import os
from collections.abc import Iterable, Iterator
from typing import Any

from falcon_catalog.care.findings import Finding
from falcon_catalog.catalog.planning import iceberg
from falcon_catalog.errors import BadRequestError, CatalogError, NotFoundError
from falcon_catalog.fileio.local import LocalFileIO
from falcon_catalog.locations import local_path
from falcon_catalog.store.survey import Pointer

_MANIFEST_PATH = 500
_STATUS = 0
_DELETED = 2
_FILE_PATH = 100
_SHOWN = 3

JSON = dict[str, Any]


def examine(pointer: Pointer, metadata: JSON) -> Iterator[Finding]:
    """Check that every file of every snapshot is there, and each manifest whole."""
    lists = [s["manifest-list"] for s in metadata.get("snapshots", ()) if "manifest-list" in s]
    damaged: list[str] = []
    manifests = _each(lists, _manifests_of, damaged)
    manifests |= {
        manifest: None for s in metadata.get("snapshots", ()) for manifest in s.get("manifests", ())
    }
    data = _each(manifests, _files_of, damaged)
    statistics = [
        file["statistics-path"]
        for name in ("statistics", "partition-statistics")
        for file in metadata.get(name, ())
    ]
    yield from (Finding("content-missing", str(pointer), what) for what in damaged)
    yield from missing(pointer, "content-missing", [*lists, *manifests, *data, *statistics])


def missing(pointer: Pointer, check: str, locations: Iterable[str]) -> Iterator[Finding]:
    """Yield what is found if some of the files are not there; one finding for all."""
    gone, elsewhere = [], 0
    for location in locations:
        try:
            if not os.path.exists(local_path(location)):  # noqa: PTH110
                gone.append(location)
        except CatalogError:
            elsewhere += 1
    if gone:
        more = f" and {len(gone) - _SHOWN} more" if len(gone) > _SHOWN else ""
        verb = "is" if len(gone) == 1 else "are"
        what = f"{', '.join(gone[:_SHOWN])}{more} {verb} not there"
        yield Finding(check, str(pointer), what)
    if elsewhere:
        yield Finding("not-local", str(pointer), f"{elsewhere} files are not local")


def _each(locations: Iterable[str], read: Any, damaged: list[str]) -> dict[str, None]:
    """Return all that the files name, once each; note those that cannot be understood."""
    found: dict[str, None] = {}
    for location in locations:
        try:
            found |= dict.fromkeys(read(location))
        except NotFoundError:
            continue  # told of as missing
        except BadRequestError as error:
            if _is_local(location):
                damaged.append(str(error))
    return found


def _manifests_of(location: str) -> list[str]:
    rows = iceberg.read_manifest_list(LocalFileIO().read(location), location)
    return [row[_MANIFEST_PATH] for row in rows]


def _files_of(location: str) -> list[str]:
    entries = iceberg.read_manifest(LocalFileIO().read(location), location)
    return [file[_FILE_PATH] for entry, file in entries.rows if entry[_STATUS] != _DELETED]


def _is_local(location: str) -> bool:
    try:
        local_path(location)
    except CatalogError:
        return False
    return True
