"""Metadata files in tables' folders, and folders that belong to no table."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from falcon_catalog.catalog import tabulars
from falcon_catalog.catalog.metadata_files import read
from falcon_catalog.errors import CatalogError
from falcon_catalog.fileio.base import Entry, FileIO, walk
from falcon_catalog.locations import ancestors, join, key, key_or_none, strip_slash
from falcon_catalog.store.survey import Pointer

_NAME = re.compile(r"(?:v?(?P<version>\d+)(?=[-.]))?.*\.metadata\.json(?:\.gz)?")
_MANIFEST_LIST = re.compile(r"snap-(?P<snapshot>\d+)-.*\.avro")
# A manifest list is written before the commit, by another machine's clock.
_CLOCKS_APART_MS = 60 * 1000
_OF_A_TABLE = {"metadata", "data"}

JSON = dict[str, Any]


@dataclass(frozen=True, slots=True, order=True)
class MetadataFile:
    """A file whose name is that of a metadata file."""

    version: int
    """The number that its name begins with, or -1."""
    location: str
    bytes: int
    changed: int
    """When it was written; milliseconds since 1970-01-01 UTC."""


def metadata_files(files: FileIO, pointer: Pointer) -> list[MetadataFile]:
    """Return the metadata files in a table's own folder, by version.

    Where metadata lies elsewhere, as ``write.metadata.path`` can have it, only the folder of the
    present file is listed, and only if it is inside the table's location.
    """
    folders = {f"{pointer.location_key}metadata"}
    present = key_or_none(pointer.metadata_location)
    if present is not None and present.startswith(pointer.location_key):
        folders.add(present.rsplit("/", 2)[0])
    return sorted(file for folder in folders for file in in_folder(files, folder))


def in_folder(files: FileIO, folder: str) -> Iterator[MetadataFile]:
    """Yield the metadata files in one folder; none if there is no such folder."""
    for entry in files.list(folder):
        if entry.kind == "file" and _NAME.fullmatch(entry.name):
            yield MetadataFile(version_of(entry.name), entry.location, entry.bytes, entry.changed)


def version_of(location: str) -> int:
    """Return the number that a metadata file's name begins with, or -1."""
    match = _NAME.fullmatch(location.rsplit("/", 1)[-1])
    return int(match["version"]) if match and match["version"] else -1


def content(files: FileIO, location: str) -> JSON | None:
    """Return the JSON object in a metadata file, whosever it is; None if it cannot be read."""
    try:
        return read(files, location)
    except CatalogError:
        return None


def read_own(files: FileIO, pointer: Pointer, location: str) -> JSON | None:
    """Return a metadata file's content if it is intact and this table's or view's."""
    kind = kind_of(pointer)
    try:
        metadata = kind.validate(read(files, location))
    except CatalogError:
        return None
    return metadata if kind.uuid_of(metadata) == pointer.uuid else None


def kind_of(pointer: Pointer) -> tabulars.Kind:
    """Return what a catalog knows of the kind of this one."""
    return tabulars.TABLE if pointer.kind == tabulars.TABLE.name else tabulars.VIEW


def snapshots_written(files: FileIO, pointer: Pointer, *, since: int) -> set[int]:
    """Return the ids of the snapshots whose manifest lists were written after a time."""
    return {
        int(match["snapshot"])
        for entry in files.list(f"{pointer.location_key}metadata")
        if (match := _MANIFEST_LIST.fullmatch(entry.name))
        and entry.changed >= since - _CLOCKS_APART_MS
    }


def unclaimed(
    files: FileIO, root: str, claimed: set[str]
) -> Iterator[tuple[Entry, list[MetadataFile]]]:
    """Yield folders of tables below ``root`` that no row claims, and their metadata files.

    Without metadata files it is one that holds no file at all, of a staged create that never came
    or of a purge; ``changed`` is when a folder in it was changed last. Only what has a folder
    ``metadata`` or ``data`` is taken for a table's. Never lists the folders of known tables.

    Args:
        files: lists them.
        root: of a warehouse.
        claimed: the location keys of known tables.
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
    """Return when a folder or one in it was changed last; None if there is any file."""
    newest = 0
    for each, _, others in walk(files, folder):
        if others:
            return None
        newest = max(newest, each.changed)
    return newest


def remove_empty_folder(files: FileIO, location: str) -> bool:
    """Remove a table's folder if there still is no file in it; return whether it is gone.

    ``metadata`` goes first: where a create has just put a file there, ``data`` stays, too.
    """
    metadata = join(location, "metadata")
    return files.remove_empty_folders(metadata) and files.remove_empty_folders(location)
