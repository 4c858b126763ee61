"""Check what one row points at: its metadata file, and what that names."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from falcon_catalog.catalog import metadata_files as files
from falcon_catalog.doctor import contents, metadata_files
from falcon_catalog.doctor.findings import Finding
from falcon_catalog.doctor.metadata_files import MetadataFile
from falcon_catalog.errors import (
    BadRequestError,
    CatalogError,
    NotFoundError,
    ServiceUnavailableError,
)
from falcon_catalog.fileio.local import LocalFileIO
from falcon_catalog.locations import is_inside, key, local_path
from falcon_catalog.store.survey import Pointer

JSON = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Ages:
    """What is too young to be judged; milliseconds since 1970-01-01 UTC."""

    settled: int
    """Files written before are no part of a commit that is under way."""
    orphaned: int
    """Files written before are orphans if nothing reaches them."""


@dataclass(slots=True)
class Examined:
    """What was found of one table or view."""

    findings: list[Finding] = field(default_factory=list)
    orphans: list[MetadataFile] = field(default_factory=list)
    reached: set[str] = field(default_factory=set)
    """Paths of the metadata files that it reaches."""


def examine(pointer: Pointer, ages: Ages, *, deep: bool) -> Examined:
    """Check one table or view, living or dropped."""
    if pointer.purging:
        return Examined()
    # Listed before it is read: what is written in between is not seen at all.
    listed = metadata_files.metadata_files(pointer)
    metadata, trouble = load(pointer)
    if metadata is None or trouble is not None:
        return Examined([trouble] if trouble else [])
    result = Examined(reached=set(_reached(pointer, metadata)))
    result.findings.extend(_findings(pointer, metadata, deep=deep))
    if pointer.place == "dropped":
        return result  # its folder stays as it is until it comes back or is let go of
    unreached = [f for f in listed if f.path not in result.reached and f.changed < ages.settled]
    present = metadata_files.version_of(pointer.metadata_location)
    if newer := _newer(pointer, [f for f in unreached if f.version > present]):
        result.findings.append(newer)
    result.orphans = [
        file
        for file in unreached
        if file.changed < ages.orphaned and (file.version <= present or not _is_metadata(file.path))
    ]
    return result


def outside(pointer: Pointer, roots: Iterable[str]) -> Iterator[Finding]:
    """Yield what is found if a row leads out of all ``roots``, also by a link.

    Args:
        pointer: the row; that its files are being deleted is no excuse.
        roots: resolved paths.
    """
    for what, location in (
        ("its location", pointer.location_key),
        ("its metadata file", pointer.metadata_location),
    ):
        path = resolved(location)
        if path is None or not any(is_inside(path, root) for root in roots):
            leads = "" if path is None or path == local_path(location) else f", which is {path}"
            yield Finding("outside-locations", str(pointer), f"{what} is {location}{leads}")


def resolved(location: str) -> str | None:
    """Return the path that a location leads to, links followed; None if it is not local."""
    try:
        return os.path.realpath(local_path(location))
    except CatalogError:
        return None


def load(pointer: Pointer) -> tuple[JSON | None, Finding | None]:
    """Return the metadata that a row points at, or what keeps it from being the row's."""
    kind, location = metadata_files.kind_of(pointer), pointer.metadata_location
    try:
        metadata = kind.validate(files.read(LocalFileIO(), location))
    except NotFoundError:
        return None, _trouble(pointer, "metadata-missing", f"{location} is not there")
    except BadRequestError as error:
        return None, _trouble(pointer, "metadata-damaged", f"{location}: {error}")
    except ServiceUnavailableError as error:
        return None, Finding("metadata-unreadable", str(pointer), error.message)
    if (uuid := kind.uuid_of(metadata)) != pointer.uuid:
        what = f"{location} is the metadata of {uuid}, the row is that of {pointer.uuid}"
        return None, _trouble(pointer, "foreign-metadata", what)
    return metadata, None


def _trouble(pointer: Pointer, check: str, what: str) -> Finding:
    if pointer.place == "dropped":
        return Finding("cannot-return", str(pointer), what, f"forget-drop={pointer.id}")
    intact = any(
        metadata_files.read_own(pointer, f.path) for f in metadata_files.metadata_files(pointer)
    )
    return Finding(check, str(pointer), what, f"{'repoint' if intact else 'forget'}={pointer.id}")


def _findings(pointer: Pointer, metadata: JSON, *, deep: bool) -> Iterator[Finding]:
    if pointer.place == "living" and _key(metadata["location"]) != pointer.location_key:
        what = f"the row has {pointer.location_key}, the metadata {metadata['location']}"
        repair = f"repoint={pointer.id}@{pointer.metadata_location}"
        yield Finding("location-mismatch", str(pointer), what, repair)
    current = metadata.get("current-snapshot-id")
    for snapshot in metadata.get("snapshots", ()):
        manifest_list = snapshot.get("manifest-list")
        if snapshot["snapshot-id"] == current and manifest_list is not None:
            yield from contents.missing(pointer, "snapshot-missing", [manifest_list])
    log = [entry["metadata-file"] for entry in metadata.get("metadata-log", ())]
    yield from contents.missing(pointer, "history-missing", log)
    if deep:
        yield from contents.examine(pointer, metadata)


def _key(location: str) -> str | None:
    """Return a location in its comparable form; None for one that no table can have here."""
    try:
        return key(location)
    except CatalogError:
        return None


def _reached(pointer: Pointer, metadata: JSON) -> Iterator[str]:
    log = (entry["metadata-file"] for entry in metadata.get("metadata-log", ()))
    for location in (pointer.metadata_location, *log):
        try:
            yield local_path(location)
        except CatalogError:
            continue


def _newer(pointer: Pointer, found: list[MetadataFile]) -> Finding | None:
    """Tell of the newest intact file that is newer than the one in force."""
    for file in sorted(found, reverse=True):
        metadata = metadata_files.read_own(pointer, file.path)
        if metadata is not None:
            log = {entry["metadata-file"] for entry in metadata.get("metadata-log", ())}
            goes_on = pointer.metadata_location in log
            what = (
                f"{file.path} is newer than {os.path.basename(pointer.metadata_location)}"  # noqa: PTH119
                f" and {'goes on from it' if goes_on else 'does not go on from it'}"
            )
            return Finding(
                "newer-metadata", str(pointer), what, f"repoint={pointer.id}@{file.path}"
            )
    return None


def _is_metadata(path: str) -> bool:
    try:
        files.read(LocalFileIO(), path)
    except CatalogError:
        return False
    return True
