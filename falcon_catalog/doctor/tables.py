"""Check the metadata file that a row points at, and the files that it names."""

import contextlib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from falcon_catalog.catalog import policy
from falcon_catalog.catalog.manifests import Sizes, Walk
from falcon_catalog.catalog.metadata_files import read
from falcon_catalog.doctor import metadata_files
from falcon_catalog.doctor.findings import Finding
from falcon_catalog.doctor.metadata_files import MetadataFile
from falcon_catalog.errors import (
    BadRequestError,
    CatalogError,
    ForbiddenError,
    NotFoundError,
    ServiceUnavailableError,
)
from falcon_catalog.fileio.base import FileIO
from falcon_catalog.locations import is_local, key_or_none, strip_slash
from falcon_catalog.metadata import clock
from falcon_catalog.metadata.json_fields import JSON
from falcon_catalog.store.survey import Pointer

_SHOWN = 3
_BATCH = 1000  # of files whose sizes are requested and kept at a time


@dataclass(frozen=True, slots=True)
class Ages:
    """Ages of files, as milliseconds since 1970-01-01 UTC."""

    settled: int
    """Files written before this time belong to no commit in progress."""
    orphaned: int
    """Files written before this time are orphans if nothing reaches them."""
    now: int


@dataclass(slots=True)
class Checked:
    """The result for one table or view."""

    findings: list[Finding] = field(default_factory=list)
    orphans: list[MetadataFile] = field(default_factory=list)
    reached: set[str] = field(default_factory=set)
    """Keys of the metadata files that it reaches."""
    paths: frozenset[str] = frozenset()
    """Keys of the folders outside of its location that its properties name."""


def check(files: FileIO, pointer: Pointer, ages: Ages, *, deep: bool, requests: int = 1) -> Checked:
    """Check one table or view, living or dropped.

    ``files`` are confined: metadata and manifests may name any file of the machine. An object store
    is asked for the sizes of so many files at the same time as ``requests`` says.
    """
    if pointer.purging:
        return Checked()
    # List before reading: files written in between are not considered.
    listed = metadata_files.of_table(files, pointer)
    metadata, trouble = load(files, pointer)
    if metadata is None:
        return Checked([trouble] if trouble else [])
    log = [entry["metadata-file"] for entry in metadata.get("metadata-log", ())]
    keys = {key_or_none(location) for location in (pointer.metadata_location, *log)}
    result = Checked(reached={location_key for location_key in keys if location_key is not None})
    with contextlib.suppress(CatalogError):  # a location that is none is a finding of its own
        result.paths = policy.paths_of(metadata)
    result.findings.extend(_check_metadata(files, pointer, metadata, ages.now))
    in_folder = {key_or_none(file.location) for file in listed}  # a look at each is not needed
    elsewhere = [location for location in log if key_or_none(location) not in in_folder]
    result.findings.extend(_missing(files, pointer, "history-missing", dict.fromkeys(elsewhere)))
    if deep:
        result.findings.extend(_check_content(files, pointer, metadata, requests))
    if pointer.place == "dropped":
        return result  # undrop and purge need its files
    unreached = [
        file
        for file in listed
        if key_or_none(file.location) not in result.reached and file.changed < ages.settled
    ]
    present = metadata_files.version_of(pointer.metadata_location)
    newer = sorted((file for file in unreached if file.version > present), reverse=True)
    result.findings.extend(_newest_intact(files, pointer, newer))
    result.orphans = [
        file
        for file in unreached
        if file.changed < ages.orphaned
        and (file.version <= present or metadata_files.content(files, file.location) is None)
    ]
    return result


def outside(files: FileIO, pointer: Pointer, roots: Iterable[str]) -> Iterator[Finding]:
    """Yield a finding for each location of a row that lies outside all ``roots``.

    Links are followed; ``roots`` are resolved keys. Tables that are being purged are included.
    """
    roots = tuple(roots)
    for what, location in (
        ("its location", pointer.location_key),
        ("its metadata file", pointer.metadata_location),
    ):
        own = key_or_none(location)
        leads_to = None if own is None else files.resolve(location)
        if leads_to is None or not leads_to.startswith(roots):
            leads = "" if leads_to == own else f", which is {strip_slash(str(leads_to))}"
            yield Finding("outside-locations", str(pointer), f"{what} is {location}{leads}")


def load(files: FileIO, pointer: Pointer) -> tuple[JSON | None, Finding | None]:
    """Return the metadata that a row points at, or the finding that explains why it is unusable."""
    kind, location = metadata_files.kind_of(pointer), pointer.metadata_location
    try:
        metadata = kind.validate(read(files, location))
    except NotFoundError:
        return None, _trouble(files, pointer, "metadata-missing", f"{location} does not exist")
    except BadRequestError as error:
        return None, _trouble(files, pointer, "metadata-damaged", f"{location}: {error}")
    except ServiceUnavailableError as error:
        return None, Finding("metadata-unreadable", str(pointer), error.message)
    except ForbiddenError:
        return None, None  # ``outside`` reports it
    if (uuid := kind.uuid_of(metadata)) != pointer.uuid:
        what = f"{location} is the metadata of {uuid}, the row is that of {pointer.uuid}"
        return None, _trouble(files, pointer, "foreign-metadata", what)
    return metadata, None


def _trouble(files: FileIO, pointer: Pointer, check: str, what: str) -> Finding:
    if pointer.place == "dropped":
        return Finding("cannot-return", str(pointer), what, f"forget-drop={pointer.id}")
    own = metadata_files.of_table(files, pointer)
    intact = any(metadata_files.read_own(files, pointer, file.location) for file in own)
    return Finding(check, str(pointer), what, f"{'repoint' if intact else 'forget'}={pointer.id}")


def _check_metadata(
    files: FileIO, pointer: Pointer, metadata: JSON, now_ms: int
) -> Iterator[Finding]:
    if pointer.place == "living":
        try:
            metadata_files.kind_of(pointer).check_readable(metadata)
        except BadRequestError as error:
            yield Finding("unreadable-by-java", str(pointer), error.message)
    if pointer.place == "living" and key_or_none(metadata["location"]) != pointer.location_key:
        what = f"the row has {pointer.location_key}, the metadata {metadata['location']}"
        repair = f"repoint={pointer.id}@{pointer.metadata_location}"
        yield Finding("location-mismatch", str(pointer), what, repair)
    if pointer.place == "living" and pointer.kind == "table" and clock.is_ahead(metadata, now_ms):
        ahead_s = (clock.logged_ms(metadata["snapshot-log"]) - now_ms) // 1000
        what = f"its last snapshot is {ahead_s} s ahead of the clock"
        yield Finding("clock-ahead", str(pointer), what, f"clock={pointer.id}")
    current = metadata.get("current-snapshot-id")
    for snapshot in metadata.get("snapshots", ()):
        manifest_list = snapshot.get("manifest-list")
        if snapshot["snapshot-id"] == current and manifest_list is not None:
            yield from _missing(files, pointer, "snapshot-missing", {manifest_list: None})


def _check_content(
    files: FileIO, pointer: Pointer, metadata: JSON, requests: int
) -> Iterator[Finding]:
    """Yield findings about files of any snapshot that are missing, truncated or damaged."""
    damaged: list[str] = []

    def note(location: str, error: CatalogError) -> None:
        is_reported = isinstance(error, NotFoundError)  # as missing
        if not is_reported and key_or_none(location) is not None:
            damaged.append(error.message)

    walk = Walk(metadata, files.read, note)
    manifests = walk.manifests()
    data = {file.path: file.size for file in walk.files(manifests) if not file.is_deleted}
    statistics = {
        file["statistics-path"]: file.get("file-size-in-bytes")
        for name in ("statistics", "partition-statistics")
        for file in metadata.get(name, ())
    }
    yield from (Finding("content-missing", str(pointer), what) for what in damaged)
    sizes = {**dict.fromkeys(walk.lists), **manifests, **data, **statistics}
    yield from _missing(files, pointer, "content-missing", sizes, requests)


def _missing(
    files: FileIO, pointer: Pointer, check: str, sizes: Sizes, requests: int = 1
) -> Iterator[Finding]:
    """Yield findings about files that are missing or have another length, one of each kind."""
    gone: list[str] = []
    damaged: dict[str, list[str]] = {check: [], "content-truncated": []}
    elsewhere = 0
    found_sizes = _sizes(files, list(sizes), requests)
    for (location, size), found in zip(sizes.items(), found_sizes, strict=True):
        if isinstance(found, NotFoundError):
            gone.append(location)
        elif isinstance(found, BadRequestError):
            elsewhere += 1
        elif isinstance(found, CatalogError):
            damaged[check].append(found.message)
        elif size is not None and found != size:
            what = f"{location} has {found} bytes instead of {size}"
            damaged["content-truncated"].append(what)
    if gone:
        verb = "does" if len(gone) == 1 else "do"
        yield Finding(check, str(pointer), f"{_some(gone)} {verb} not exist")
    yield from (Finding(name, str(pointer), _some(all_)) for name, all_ in damaged.items() if all_)
    if elsewhere:
        yield Finding(
            "not-local", str(pointer), f"{elsewhere} files are in no storage of the settings"
        )


def _sizes(files: FileIO, locations: list[str], requests: int) -> Iterator[int | CatalogError]:
    """Yield the size of each file, or why it is unknown, in the order of the locations."""

    def size(location: str) -> int | CatalogError:
        try:
            return files.size(location)
        except CatalogError as error:
            return error

    if requests == 1 or all(map(is_local, locations)):
        yield from map(size, locations)
        return
    with ThreadPoolExecutor(requests) as pool:
        for start in range(0, len(locations), _BATCH):
            yield from pool.map(size, locations[start : start + _BATCH])


def _some(lines: list[str]) -> str:
    more = f" and {len(lines) - _SHOWN} more" if len(lines) > _SHOWN else ""
    return f"{', '.join(lines[:_SHOWN])}{more}"


def _newest_intact(files: FileIO, pointer: Pointer, newer: list[MetadataFile]) -> Iterator[Finding]:
    """Yield a finding about the newest intact file of those newer than the current one."""
    for file in newer:
        metadata = metadata_files.read_own(files, pointer, file.location)
        if metadata is not None:
            log = {entry["metadata-file"] for entry in metadata.get("metadata-log", ())}
            goes_on = "goes on" if pointer.metadata_location in log else "does not go on"
            present = pointer.metadata_location.rsplit("/", 1)[-1]
            what = f"{file.location} is newer than {present} and {goes_on} from it"
            repair = f"repoint={pointer.id}@{file.location}"
            yield Finding("newer-metadata", str(pointer), what, repair)
            return
