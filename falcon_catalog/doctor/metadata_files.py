"""Metadata files in tables' folders, and folders that belong to no table."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from falcon_catalog.catalog import tabulars
from falcon_catalog.catalog.metadata_files import read
from falcon_catalog.errors import CatalogError
from falcon_catalog.fileio.base import Entry, FileIO, walk
from falcon_catalog.locations import ancestors, join, key, key_or_none, strip_slash
from falcon_catalog.metadata.json_fields import JSON
from falcon_catalog.store.survey import Pointer

_NAME = re.compile(r"(?:v?(?P<version>\d+)(?=[-.]))?.*\.metadata\.json(?:\.gz)?")
_MANIFEST_LIST = re.compile(r"snap-(?P<snapshot>\d+)-.*\.avro")
# A manifest list is written before the commit, by another machine's clock.
_CLOCKS_APART_MS = 60 * 1000
_OF_A_TABLE = {"metadata", "data"}


@dataclass(frozen=True, slots=True, order=True)
class MetadataFile:
    """A file with the name of a metadata file."""

    version: int
    """The number at the start of its name, or -1."""
    location: str
    bytes: int
    changed: int
    """Time of the last change, in milliseconds since 1970-01-01 UTC."""


def of_table(files: FileIO, pointer: Pointer) -> list[MetadataFile]:
    """Return the metadata files in a table's own folder, by version.

    With ``write.metadata.path``, this is the folder of the current file, if that is inside the
    table's location.
    """
    folders = {f"{pointer.location_key}metadata"}
    current = key_or_none(pointer.metadata_location)
    if current is not None and current.startswith(pointer.location_key):
        folders.add(current.rsplit("/", 2)[0])
    return sorted(file for folder in folders for file in in_folder(files, folder))


def in_folder(files: FileIO, folder: str) -> Iterator[MetadataFile]:
    """Yield the metadata files in a folder; none if it does not exist."""
    for entry in files.list(folder):
        if entry.kind == "file" and _NAME.fullmatch(entry.name):
            yield MetadataFile(version_of(entry.name), entry.location, entry.bytes, entry.changed)


def version_of(location: str) -> int:
    """Return the number at the start of a metadata file's name, or -1."""
    match = _NAME.fullmatch(location.rsplit("/", 1)[-1])
    return int(match["version"]) if match and match["version"] else -1


def content(files: FileIO, location: str) -> JSON | None:
    """Return the JSON object in a metadata file of any table; None if it cannot be read."""
    try:
        return read(files, location)
    except CatalogError:
        return None


def read_own(files: FileIO, pointer: Pointer, location: str) -> JSON | None:
    """Return the content of a metadata file; None unless it is intact and belongs to the row."""
    kind = kind_of(pointer)
    try:
        metadata = kind.validate(read(files, location))
    except CatalogError:
        return None
    return metadata if kind.uuid_of(metadata) == pointer.uuid else None


def kind_of(pointer: Pointer) -> tabulars.Kind:
    """Return whether a row is a table or a view, as the catalog's ``Kind``."""
    return tabulars.TABLE if pointer.kind == tabulars.TABLE.name else tabulars.VIEW


def snapshots_written(files: FileIO, pointer: Pointer, *, since: int) -> set[int]:
    """Return the ids of the snapshots whose manifest lists were written after ``since`` (ms)."""
    return {
        int(match["snapshot"])
        for entry in files.list(f"{pointer.location_key}metadata")
        if (match := _MANIFEST_LIST.fullmatch(entry.name))
        and entry.changed >= since - _CLOCKS_APART_MS
    }


def unclaimed(
    files: FileIO, root: str, claimed: set[str]
) -> Iterator[tuple[Entry, list[MetadataFile]]]:
    """Yield the table folders in a warehouse that no row claims, with their metadata files.

    ``claimed`` are the location keys of known tables, whose folders are not listed. A folder
    counts as a table's if it contains a folder ``metadata`` or ``data``. One without metadata files
    is yielded only if it contains no file at all, as a staged create or a purge leaves it; its
    ``changed`` is the last change of any folder in it.
    """
    around = {above for location_key in claimed for above in ancestors(location_key)}
    top = Entry(strip_slash(key(root)), "folder", 0, 0)
    for folder, inner, others in walk(files, top):
        location_key = key(folder.location)
        if location_key in claimed:
            inner.clear()
        elif any(each.name in _OF_A_TABLE for each in inner):
            if found := list(in_folder(files, join(folder.location, "metadata"))):
                inner[:] = [each for each in inner if each.name not in _OF_A_TABLE]
                yield folder, found
            elif folder is not top and location_key not in around and not others:
                changed = _last_change(files, folder)
                if changed is not None:
                    inner.clear()
                    yield replace(folder, changed=changed), []


def _last_change(files: FileIO, folder: Entry) -> int | None:
    """Return the last change of a folder or one in it; None if any contains a file."""
    newest = 0
    for each, _, others in walk(files, folder):
        if others:
            return None
        newest = max(newest, each.changed)
    return newest


def remove_empty_folder(files: FileIO, location: str) -> bool:
    """Remove a table's folder if it still contains no file; return whether it was removed.

    ``metadata`` is removed first: if a create has just written a file there, ``data`` stays too.
    """
    metadata = join(location, "metadata")
    return files.remove_empty_folders(metadata) and files.remove_empty_folders(location)
