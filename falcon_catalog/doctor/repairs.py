"""Repairs: each is requested by name, verifies that it is needed, and is one transaction."""

import contextlib
from collections.abc import Callable, Iterator

from falcon_catalog.catalog import events, policy
from falcon_catalog.catalog.events import Event
from falcon_catalog.catalog.metadata_files import write
from falcon_catalog.doctor import metadata_files, storage
from falcon_catalog.doctor.check import DAY_MS, Progress, Scope, check
from falcon_catalog.doctor.findings import counted
from falcon_catalog.doctor.metadata_files import MetadataFile
from falcon_catalog.doctor.tables import load
from falcon_catalog.locations import is_inside, is_local, key, with_scheme
from falcon_catalog.metadata import clock
from falcon_catalog.metadata.document import Document
from falcon_catalog.metadata.json_fields import JSON
from falcon_catalog.store import (
    dropped,
    grants,
    in_use,
    open_database,
    orphans,
    paths,
    reading,
    reservations,
    survey,
    tabulars,
)
from falcon_catalog.store.database import StoreError, Transaction, now_ms
from falcon_catalog.store.survey import Place, Pointer

EXPLAINED = {
    "repoint=ID": "point a table whose metadata file is lost, damaged or another table's at the "
    "newest intact one of its own before it",
    "repoint=ID@FILE": "point a table at this metadata file of its own",
    "clock=ID": "set the times in a table's metadata that are ahead of the clock to now",
    "forget=ID": "remove the row of a table or view none of whose metadata files is left",
    "forget-drop=ID": "remove a drop that can be neither undropped nor purged, its metadata being "
    "lost; files of the table that are still there stay",
    "release=ID": "let others create tables in a folder that is kept for a staged one",
    "expired": "delete rows that have expired",
    "orphans": "delete metadata files in tables' folders that nothing reaches, and that are older "
    "than --older-than days",
    "empty-folders": "remove folders of tables that no row knows and in which there is no file, "
    "and that are older than --older-than days",
}


# Findings that make orphans uncertain: unreadable metadata may list any file in its log.
_HIDES_A_LOG = {
    "warehouse-missing",
    "warehouse-foreign",
    "metadata-missing",
    "metadata-damaged",
    "metadata-unreadable",
    "foreign-metadata",
    "cannot-return",
    "too-busy",
    "database-damaged",
}


# For each repair that removes a row: where the row is, and the finding that it requires.
_LOST: dict[str, tuple[Place, str]] = {
    "forget": ("living", "metadata-missing"),
    "forget-drop": ("dropped", "cannot-return"),
}


class RepairError(StoreError):
    """A repair was refused. Nothing was changed."""


def repair(scope: Scope, name: str, progress: Progress) -> list[str]:
    """Do one repair, named as in EXPLAINED; return a line for each change.

    Raises:
        RepairError: the name is unknown, or the repair is unnecessary or would be a guess.
    """
    what, _, argument = name.partition("=")
    row_id, at, location = argument.partition("@")
    if row_id.isdecimal() and what == "repoint":
        return [_repoint(scope, int(row_id), location)]
    if row_id.isdecimal() and not at and what == "clock":
        return [_set_clock_back(scope, int(row_id))]
    if row_id.isdecimal() and not at and what == "release":
        return [_release(scope, int(row_id))]
    if row_id.isdecimal() and not at and what in _LOST:
        return [_forget(scope, int(row_id), what)]
    without_row: dict[str, Callable[[Scope, Progress], list[str]]] = {
        "expired": _delete_expired,
        "orphans": _delete_orphans,
        "empty-folders": _remove_empty_folders,
    }
    if name in without_row:
        return without_row[name](scope, progress)
    raise RepairError(f"no such repair: {name!r}; there are {', '.join(EXPLAINED)}")


@contextlib.contextmanager
def _writing(scope: Scope) -> Iterator[Transaction]:
    """Change the store in one transaction; a server may be running."""
    store = scope.settings.store
    with reading(store):
        pass  # raises unless it exists with the current schema
    with (
        in_use(store),
        contextlib.closing(open_database(store)) as database,
        database.write() as tx,
    ):
        yield tx


@contextlib.contextmanager
def _changing(scope: Scope, pointer: Pointer) -> Iterator[Transaction]:
    """Change the store in one transaction, if a row is still as it was when files were read.

    Nothing is read in the transaction: a server must not wait for a storage.
    """
    with _writing(scope) as tx:
        if survey.pointer(tx, pointer.place, pointer.id) != pointer:
            raise RepairError(f"{pointer}: changed meanwhile, nothing was changed; repair it again")
        yield tx


def _repoint(scope: Scope, row_id: int, location: str) -> str:
    pointer = _row(scope, "living", row_id)
    if not (
        location in ("", pointer.metadata_location) or is_inside(location, pointer.location_key)
    ):
        own = pointer.location_key
        raise RepairError(f"{location} is not in the folder of {pointer}: {own}")
    new = with_scheme(location) if location else _predecessor(scope, pointer)
    metadata = metadata_files.read_own(scope.files, pointer, new)
    if metadata is None:
        raise RepairError(f"{new} is no intact metadata file of {pointer}")
    location_key = key(metadata["location"])
    lost = _lost_snapshots(scope, pointer, metadata)
    with _changing(scope, pointer) as tx:
        other = tabulars.overlapping(tx, location_key, besides=row_id, kind=pointer.kind)
        if other and not scope.settings.warehouse.allow_overlap:
            raise RepairError(
                f"{metadata['location']} is in use by another {pointer.kind}: {other}"
            )
        tabulars.repoint(tx, row_id, new, location_key)
        paths.replace(tx, grants.Entity("tabular", row_id), policy.paths_of(metadata))
        if not orphans.forget(tx, new):
            raise RepairError(f"{new}, which a failed commit left behind, is being deleted")
        _record(tx, "repoint", pointer, new)
    return f"{pointer}: points at {new}, no longer at {pointer.metadata_location}; {lost}"


def _set_clock_back(scope: Scope, row_id: int) -> str:
    """Write metadata without times of the future, and point the table at it."""
    pointer, now = _row(scope, "living", row_id), now_ms()
    metadata, trouble = load(scope.files, pointer)
    if metadata is None or pointer.kind != "table":
        what = trouble.what if trouble else "it is a view"
        raise RepairError(f"{pointer}: the repair is for tables that can be read: {what}")
    if not clock.is_ahead(metadata, now):
        raise RepairError(f"{pointer}: no snapshot of main is ahead of the clock")
    repaired = clock.set_back(metadata, pointer.metadata_location, now)
    new = policy.new_metadata_location(repaired, pointer.metadata_location)
    write(scope.files, new, Document(repaired))
    with _changing(scope, pointer) as tx:
        tabulars.repoint(tx, row_id, new, pointer.location_key)
        _record(tx, "setClockBack", pointer, new)
    return f"{pointer}: times that were ahead are {now} ms since 1970 in {new}"


def _predecessor(scope: Scope, pointer: Pointer) -> str:
    """Return the newest intact metadata file before the lost one; raise RepairError if unsure."""
    _, trouble = load(scope.files, pointer)
    if trouble is None or trouble.check == "metadata-unreadable":
        raise RepairError(f"{pointer}: its metadata file is intact or unreadable")
    # The version of another table's file says nothing about this table.
    foreign = trouble.check == "foreign-metadata"
    limit = None if foreign else metadata_files.version_of(pointer.metadata_location)
    intact: list[MetadataFile] = []
    for file in sorted(metadata_files.of_table(scope.files, pointer), reverse=True):
        if intact and file.version < intact[0].version:
            break
        if limit is not None and file.version >= limit:
            continue
        if metadata_files.read_own(scope.files, pointer, file.location) is not None:
            intact.append(file)
    if not intact:
        raise RepairError(f"{pointer}: no earlier metadata file is intact")
    if len(intact) > 1:
        choices = " or ".join(f"--repair repoint={pointer.id}@{file.location}" for file in intact)
        raise RepairError(
            f"{pointer}: {len(intact)} files may be the one before; choose: {choices}"
        )
    return with_scheme(intact[0].location)


def _lost_snapshots(scope: Scope, pointer: Pointer, metadata: JSON) -> str:
    """Return a message about snapshots that were written for the table and are not in metadata."""
    known = {snapshot["snapshot-id"] for snapshot in metadata.get("snapshots", ())}
    before, _ = load(scope.files, pointer)
    if before is not None:
        written = {snapshot["snapshot-id"] for snapshot in before.get("snapshots", ())}
    else:
        since = metadata.get("last-updated-ms", 0)
        written = metadata_files.snapshots_written(scope.files, pointer, since=since)
    lost = sorted(written - known)
    if not lost:
        return "no snapshot is lost"
    return f"lost, or never committed: snapshot {', '.join(map(str, lost))}"


def _forget(scope: Scope, row_id: int, name: str) -> str:
    """Remove the row of a living or dropped table whose metadata is lost."""
    place, check_name = _LOST[name]
    pointer = _row(scope, place, row_id)
    _, trouble = load(scope.files, pointer)
    if trouble is None or trouble.check != check_name:
        raise RepairError(f"{pointer}: its metadata file is not lost")
    if place == "dropped":
        with _changing(scope, pointer) as tx:
            dropped.delete(tx, row_id)
            _record(tx, "forget", pointer)
        return f"{pointer}: forgotten; it had {pointer.metadata_location}"
    if left := metadata_files.of_table(scope.files, pointer):
        raise RepairError(f"{pointer}: metadata files are left: {left[-1].location}")
    with _changing(scope, pointer) as tx:
        tabulars.delete(tx, row_id)
        _record(tx, "forget", pointer)
    return f"{pointer}: its row is removed; it had {pointer.metadata_location}"


def _record(tx: Transaction, operation: str, pointer: Pointer, after: str | None = None) -> None:
    event = Event(operation, pointer.kind, pointer.identifier, uuid=pointer.uuid, after=after)
    event.before, event.detail = pointer.metadata_location, {"place": pointer.place}
    events.record(tx, events.local(pointer.warehouse), event)


def _row(scope: Scope, place: Place, row_id: int) -> Pointer:
    """Return a row; raise RepairError if it does not exist or its warehouse is unavailable."""
    with reading(scope.settings.store) as tx:
        pointer = survey.pointer(tx, place, row_id)
        if pointer is None:
            raise RepairError(f"there is no {place} table or view with the id {row_id}")
        for one in storage.missing(scope.files, tx, scope.settings):
            if one.holds(pointer):
                raise RepairError(f"{pointer} cannot be repaired: {one}")
    return pointer


def _release(scope: Scope, reservation_id: int) -> str:
    with _writing(scope) as tx:
        kept = {each.id: each for each in reservations.running(tx)}.get(reservation_id)
        if kept is None:
            raise RepairError(
                f"there is no reservation {reservation_id}: it has ended, or the number is wrong"
            )
        reservations.delete(tx, kept.id)
    return f"{kept.location_key} is no longer reserved"


def _delete_expired(scope: Scope, _: Progress) -> list[str]:
    with _writing(scope) as tx:
        deleted = survey.delete_expired(tx)
    return [f"{count} expired rows of {table} deleted" for table, count in deleted.items()]


def _delete_orphans(scope: Scope, progress: Progress) -> list[str]:
    """Delete orphans, table by table.

    On a local file system each in a transaction that keeps out commits. In an object store no
    commit waits for that: none can need a file that nothing reached when it was a day old.
    """
    if scope.older_than_ms < DAY_MS:
        raise RepairError("orphans must be a day old at least: a commit may be about to need them")
    report = check(scope, progress)
    if any(finding.check in _HIDES_A_LOG for finding in report.findings):
        raise RepairError(
            "orphans cannot be identified while metadata cannot be read; repair that first"
        )
    lines = []
    for pointer, found in report.orphans.items():
        is_quick = is_local(pointer.location_key)
        with _writing(scope) if is_quick else reading(scope.settings.store) as tx:
            if survey.pointer(tx, "living", pointer.id) != pointer:
                lines.append(f"{pointer}: changed meanwhile, nothing deleted")
                continue
            uuid_key, ours = metadata_files.kind_of(pointer).uuid_key, []
            files = scope.files.within(scope.roots(tx))
            for file in found:
                metadata = metadata_files.content(files, file.location)
                if metadata is None or str(metadata.get(uuid_key)).lower() == pointer.uuid:
                    ours.append(file)
            failed = files.delete_all([file.location for file in ours])
        deleted = [file.bytes for file in ours if file.location not in failed]
        what = f"{counted(len(deleted), 'metadata file')} deleted, {sum(deleted)} bytes"
        lines.append(f"{pointer}: {what}")
        lines += [f"{location} stays: {error.message}" for location, error in failed.items()]
    return lines or ["there are no orphans to delete"]


def _remove_empty_folders(scope: Scope, progress: Progress) -> list[str]:
    """Remove folders without files, each in a transaction that keeps out creates."""
    if scope.older_than_ms < DAY_MS:
        raise RepairError("they must be a day old at least: a client may be about to write there")
    removed, left = 0, []
    for empty in check(scope, progress).empty_folders:
        with _writing(scope) as tx:
            place = key(empty.location)
            if (
                tabulars.overlapping(tx, place, besides=None) is None
                and not reservations.overlapping(tx, place)
                and metadata_files.remove_empty_folder(
                    scope.files.within(scope.roots(tx)), empty.location
                )
            ):
                removed += 1
            else:
                left.append(f"{empty.location}: in use by now, or not to be removed; it stays")
    return [f"{counted(removed, 'folder')} of tables removed, no file in any", *left]
