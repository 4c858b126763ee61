"""The metadata files in a table's own folder, and which of them nothing reaches."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from falcon_catalog.catalog import metadata_files as files
from falcon_catalog.catalog import tabulars as kinds
from falcon_catalog.durable_files import remove_empty
from falcon_catalog.errors import CatalogError
from falcon_catalog.fileio.local import LocalFileIO
from falcon_catalog.locations import ancestors, is_inside, local_path
from falcon_catalog.store.survey import Pointer

_NAME = re.compile(r"(?:v?(?P<version>\d+)(?=[-.]))?.*\.metadata\.json(?:\.gz)?")
_MANIFEST_LIST = re.compile(r"snap-(?P<snapshot>\d+)-.*\.avro")
# A manifest list is written before the commit, by another machine's clock.
_CLOCKS_APART_MS = 60 * 1000

JSON = dict[str, Any]
_OF_A_TABLE = {"metadata", "data"}


@dataclass(frozen=True, slots=True, order=True)
class MetadataFile:
    """A file that its name makes a metadata file."""

    version: int
    """The number that its name begins with, or -1."""
    path: str
    bytes: int
    changed: int
    """When it was written; milliseconds since 1970-01-01 UTC."""


def metadata_files(pointer: Pointer) -> list[MetadataFile]:
    """Return the metadata files in a table's own folder, by version.

    Where metadata lies elsewhere, as ``write.metadata.path`` can have it, only the folder of the
    present file is looked into, and only if it is inside the table's location.
    """
    folders = {f"{pointer.location_key}metadata"}
    try:
        if is_inside(pointer.metadata_location, pointer.location_key):
            folders.add(os.path.dirname(local_path(pointer.metadata_location)))  # noqa: PTH120
    except CatalogError:
        pass
    return sorted(file for folder in folders for file in in_folder(folder))


def in_folder(folder: str) -> Iterator[MetadataFile]:
    """Yield the metadata files in one folder; none if there is no such folder."""
    try:
        entries = list(os.scandir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return
    for entry in entries:
        match = _NAME.fullmatch(entry.name)
        try:
            if match is None or not entry.is_file(follow_symlinks=False):
                continue
            status = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            continue  # deleted since it was listed
        version = int(match["version"]) if match["version"] else -1
        yield MetadataFile(version, entry.path, status.st_size, status.st_mtime_ns // 1_000_000)


def version_of(location: str) -> int:
    """Return the number that a metadata file's name begins with, or -1."""
    match = _NAME.fullmatch(location.rsplit("/", 1)[-1])
    return int(match["version"]) if match and match["version"] else -1


def read_own(pointer: Pointer, location: str) -> JSON | None:
    """Return a metadata file's content if it is intact and this table's or view's."""
    kind = kind_of(pointer)
    try:
        metadata = kind.validate(files.read(LocalFileIO(), location))
    except (CatalogError, OSError):
        return None
    return metadata if kind.uuid_of(metadata) == pointer.uuid else None


def kind_of(pointer: Pointer) -> kinds.Kind:
    """Return what a catalog knows of the kind of this one."""
    return kinds.TABLE if pointer.kind == kinds.TABLE.name else kinds.VIEW


def snapshots_written(pointer: Pointer, *, since: int) -> set[int]:
    """Return the ids of the snapshots whose manifest lists were written after a time."""
    folder = Path(f"{pointer.location_key}metadata")
    found = set()
    for path in folder.iterdir() if folder.is_dir() else ():
        match = _MANIFEST_LIST.fullmatch(path.name)
        if match and path.stat().st_mtime_ns // 1_000_000 >= since - _CLOCKS_APART_MS:
            found.add(int(match["snapshot"]))
    return found


def unclaimed(root: str, claimed: set[str]) -> Iterator[tuple[str, list[MetadataFile]]]:
    """Yield the folders of tables below ``root`` whose location key is not among ``claimed``.

    Never looks into the folders of known tables, nor into data.
    """
    for folder, subfolders, _ in os.walk(root):
        key = folder.rstrip("/") + "/"
        if key in claimed:
            subfolders.clear()
            continue
        if "metadata" in subfolders and (found := list(in_folder(f"{key}metadata"))):
            subfolders[:] = [name for name in subfolders if name not in ("metadata", "data")]
            yield folder, found


@dataclass(frozen=True, slots=True)
class Skeleton:
    """A table's folder without any file: of a staged create that never came, or of a purge."""

    path: str
    changed: int
    """When a folder in it was changed last; milliseconds since 1970-01-01 UTC."""


def skeletons(root: str, claimed: set[str]) -> Iterator[Skeleton]:
    """Yield folders of tables below ``root`` that hold no file, and no known table's location.

    Only what has a folder ``metadata`` or ``data`` is taken for a table's. Never looks into the
    folders of known tables, nor into data that is there.
    """
    around = {above for key in claimed for above in ancestors(key)}
    for folder, subfolders, names in os.walk(root):
        key = folder.rstrip("/") + "/"
        if key in claimed:
            subfolders.clear()
        elif folder != root and key not in around and _OF_A_TABLE & set(subfolders):
            changed = None if names else _last_change(folder)
            if changed is not None:
                subfolders.clear()
                yield Skeleton(folder, changed)
            subfolders[:] = [name for name in subfolders if name not in _OF_A_TABLE]


def remove_skeleton(skeleton: Skeleton) -> bool:
    """Remove a table's folder if there still is no file in it; return whether it is gone.

    ``metadata`` goes first: where a create has just put a file there, ``data`` stays, too.
    """
    removed = Path(skeleton.path, "metadata")
    remove_empty(str(removed))
    if not removed.exists():
        remove_empty(skeleton.path)
    return not Path(skeleton.path).exists()


def _last_change(folder: str) -> int | None:
    """Return when a folder or one in it was changed last; None if there is any file."""
    newest = 0
    for inner, subfolders, names in os.walk(folder):
        if names or any(Path(inner, name).is_symlink() for name in subfolders):
            return None
        try:
            newest = max(newest, Path(inner).stat().st_mtime_ns // 1_000_000)
        except FileNotFoundError:
            return None  # somebody is at work in it
    return newest
