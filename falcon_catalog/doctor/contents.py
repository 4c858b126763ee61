"""The files that a table's metadata names: manifest lists, manifests, data, deletes, statistics."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from falcon_catalog.catalog.scan_planning import iceberg
from falcon_catalog.doctor.findings import Finding
from falcon_catalog.errors import BadRequestError, CatalogError, NotFoundError
from falcon_catalog.fileio.local import LocalFileIO
from falcon_catalog.locations import local_path
from falcon_catalog.store.survey import Pointer

_MANIFEST_PATH, _MANIFEST_LENGTH = 500, 501
_STATUS = 0
_DELETED = 2
_FILE_PATH, _FILE_SIZE = 100, 104
_SHOWN = 3

JSON = dict[str, Any]
Sizes = dict[str, int | None]
"""Locations of files, and the bytes that each should have, where that is recorded."""


def examine(pointer: Pointer, metadata: JSON) -> Iterator[Finding]:
    """Check that every file of every snapshot is there and as long as recorded, manifests whole."""
    snapshots = metadata.get("snapshots", ())
    lists: Sizes = {s["manifest-list"]: None for s in snapshots if "manifest-list" in s}
    damaged: list[str] = []
    manifests = _each(lists, _manifests_of, damaged)
    manifests |= {manifest: None for s in snapshots for manifest in s.get("manifests", ())}
    data = _each(manifests, _files_of, damaged)
    statistics: Sizes = {
        file["statistics-path"]: file.get("file-size-in-bytes")
        for name in ("statistics", "partition-statistics")
        for file in metadata.get(name, ())
    }
    yield from (Finding("content-missing", str(pointer), what) for what in damaged)
    yield from _findings(pointer, "content-missing", {**lists, **manifests, **data, **statistics})


def missing(pointer: Pointer, check: str, locations: Iterable[str]) -> Iterator[Finding]:
    """Yield what is found if some of the files are not there; one finding for all."""
    yield from _findings(pointer, check, dict.fromkeys(locations))


@dataclass(slots=True)
class _Looked:
    """What was seen of files."""

    gone: list[str] = field(default_factory=list)
    resized: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    elsewhere: int = 0
    """Files that are not local."""


def _findings(pointer: Pointer, check: str, sizes: Mapping[str, int | None]) -> Iterator[Finding]:
    seen = _look(sizes)
    if seen.gone:
        verb = "is" if len(seen.gone) == 1 else "are"
        yield Finding(check, str(pointer), f"{_some(seen.gone)} {verb} not there")
    if seen.unreadable:
        yield Finding(check, str(pointer), _some(seen.unreadable))
    if seen.resized:
        yield Finding("content-truncated", str(pointer), _some(seen.resized))
    if seen.elsewhere:
        yield Finding("not-local", str(pointer), f"{seen.elsewhere} files are not local")


def _look(sizes: Mapping[str, int | None]) -> _Looked:
    seen = _Looked()
    for location, size in sizes.items():
        try:
            there = os.stat(local_path(location)).st_size  # noqa: PTH116
        except (FileNotFoundError, NotADirectoryError):
            seen.gone.append(location)
        except OSError as error:
            seen.unreadable.append(f"{location} cannot be read: {error.strerror}")
        except CatalogError:
            seen.elsewhere += 1
        else:
            if size is not None and there != size:
                seen.resized.append(f"{location} has {there} bytes instead of {size}")
    return seen


def _some(told: list[str]) -> str:
    more = f" and {len(told) - _SHOWN} more" if len(told) > _SHOWN else ""
    return f"{', '.join(told[:_SHOWN])}{more}"


def _each(locations: Iterable[str], read: Callable[[str], Sizes], damaged: list[str]) -> Sizes:
    """Return all that the files name, once each; note those that cannot be understood."""
    found: Sizes = {}
    for location in locations:
        try:
            found |= read(location)
        except NotFoundError:
            continue  # told of as missing
        except CatalogError as error:
            if not isinstance(error, BadRequestError) or _is_local(location):
                damaged.append(error.message)
    return found


def _manifests_of(location: str) -> Sizes:
    rows = iceberg.read_manifest_list(LocalFileIO().read(location), location)
    return {row[_MANIFEST_PATH]: row[_MANIFEST_LENGTH] for row in rows}


def _files_of(location: str) -> Sizes:
    entries = iceberg.read_manifest(LocalFileIO().read(location), location)
    living = (file for entry, file in entries.rows if entry[_STATUS] != _DELETED)
    return {file[_FILE_PATH]: file[_FILE_SIZE] for file in living}


def _is_local(location: str) -> bool:
    try:
        local_path(location)
    except CatalogError:
        return False
    return True
