"""Repairs: each is asked for by name, sees for itself that it is needed, and is one transaction."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

from falcon_catalog.catalog import metadata_files as files
from falcon_catalog.doctor import metadata_files, storage, tables
from falcon_catalog.doctor.check import DAY_MS, Scope, Tell, examine
from falcon_catalog.doctor.findings import counted
from falcon_catalog.errors import CatalogError
from falcon_catalog.fileio.local import LocalFileIO
from falcon_catalog.locations import is_inside, key
from falcon_catalog.store import dropped, locks, read_only, survey, tabulars
from falcon_catalog.store.database import Database, StoreError, Transaction
from falcon_catalog.store.survey import Place, Pointer

EXPLAINED = {
    "repoint=ID": "point a table whose metadata file is lost, damaged or another table's at the "
    "newest intact one of its own before it",
    "repoint=ID@FILE": "point a table at this metadata file of its own",
    "forget=ID": "remove the row of a table or view none of whose metadata files is left",
    "forget-drop=ID": "remove a drop that can be neither undropped nor purged, its metadata being "
    "lost; files of the table that are still there stay",
    "expired": "delete rows that have expired",
    "orphans": "delete metadata files in tables' folders that nothing reaches, and that are older "
    "than --older-than days",
    "empty-folders": "remove folders of tables that no row knows and in which there is no file, "
    "and that are older than --older-than days",
}


# While the metadata of one cannot be read, nobody knows which files its log reaches.
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


class RepairError(StoreError):
    """A repair that is not to be done; the message says why. Nothing was changed."""


def repair(scope: Scope, name: str, tell: Tell) -> list[str]:
    """Do one repair; return a line for each thing that it did.

    Args:
        scope: what is repaired.
        name: as in EXPLAINED.
        tell: is told how far it got.

    Raises:
        RepairError: there is no such repair, or it is not needed, or would be a guess.
    """
    what, _, argument = name.partition("=")
    given = argument.partition("@")
    with_row: dict[str, Callable[[Scope, int, str], str]] = {
        "repoint": _repoint,
        "forget": _forget,
        "forget-drop": _forget_drop,
    }
    if what in with_row and given[0].isdecimal() and (what == "repoint" or not given[1]):
        return [with_row[what](scope, int(given[0]), given[2])]
    if name == "expired":
        return _delete_expired(scope)
    if name == "orphans":
        return _delete_orphans(scope, tell)
    if name == "empty-folders":
        return _remove_empty_folders(scope, tell)
    raise RepairError(f"no such repair: {name!r}; there are {', '.join(EXPLAINED)}")


@contextlib.contextmanager
def _writing(scope: Scope) -> Iterator[Transaction]:
    """Change the store in one transaction; a server may be running."""
    with read_only.look(scope.path):
        pass  # it is there, and of this version
    with (
        locks.shared(scope.path),
        contextlib.closing(Database(scope.path)) as database,
        database.write() as tx,
    ):
        yield tx


def _repoint(scope: Scope, row_id: int, location: str) -> str:
    with _writing(scope) as tx:
        pointer = _row(scope, tx, "living", row_id)
        new = _checked(pointer, location) if location else _predecessor(pointer)
        metadata = metadata_files.read_own(pointer, new)
        if metadata is None:
            raise RepairError(f"{new} is no intact metadata file of {pointer}")
        location_key = key(metadata["location"])
        other = tabulars.overlapping(tx, location_key, besides=row_id)
        if other and not scope.settings.warehouse.allow_overlap:
            raise RepairError(f"{metadata['location']} is in use by another table: {other}")
        tabulars.repoint(tx, row_id, new, location_key)
        lost = _lost_snapshots(pointer, metadata)
    return f"{pointer}: points at {new}, no longer at {pointer.metadata_location}; {lost}"


def _checked(pointer: Pointer, location: str) -> str:
    """Return a given metadata file's location; it must be in the table's own folder."""
    own = location == pointer.metadata_location or is_inside(location, pointer.location_key)
    if not own:
        raise RepairError(f"{location} is not in the folder of {pointer}: {pointer.location_key}")
    return location if location.startswith("file:") else f"file://{location}"


def _predecessor(pointer: Pointer) -> str:
    """Return the newest intact metadata file before the one that is lost, if it is certain."""
    _, trouble = tables.load(pointer)
    if trouble is None or trouble.check == "metadata-unreadable":
        raise RepairError(f"{pointer}: its metadata file is intact or cannot be judged")
    # Where the row points at another table's file, that file's number means nothing.
    foreign = trouble.check == "foreign-metadata"
    limit = None if foreign else metadata_files.version_of(pointer.metadata_location)
    intact: list[metadata_files.MetadataFile] = []
    for file in sorted(metadata_files.metadata_files(pointer), reverse=True):
        if intact and file.version < intact[0].version:
            break
        if limit is not None and file.version >= limit:
            continue
        if metadata_files.read_own(pointer, file.path) is not None:
            intact.append(file)
    if not intact:
        raise RepairError(f"{pointer}: no earlier metadata file is intact")
    if len(intact) > 1:
        ways = " or ".join(f"--repair repoint={pointer.id}@{file.path}" for file in intact)
        raise RepairError(f"{pointer}: {len(intact)} files may be the one before; choose: {ways}")
    return f"file://{intact[0].path}"


def _lost_snapshots(pointer: Pointer, metadata: metadata_files.JSON) -> str:
    """Tell which snapshots were written for the table, later than this metadata knows."""
    known = {snapshot["snapshot-id"] for snapshot in metadata.get("snapshots", ())}
    before, _ = tables.load(pointer)
    if before is not None:
        written = {snapshot["snapshot-id"] for snapshot in before.get("snapshots", ())}
    else:
        written = metadata_files.snapshots_written(
            pointer, since=metadata.get("last-updated-ms", 0)
        )
    lost = sorted(written - known)
    if not lost:
        return "no snapshot is lost"
    return f"lost, or never committed: snapshot {', '.join(map(str, lost))}"


def _forget(scope: Scope, row_id: int, _: str) -> str:
    with _writing(scope) as tx:
        pointer = _row(scope, tx, "living", row_id)
        _require_lost(pointer, "metadata-missing")
        if left := metadata_files.metadata_files(pointer):
            raise RepairError(f"{pointer}: metadata files are left: {left[-1].path}")
        tabulars.delete(tx, row_id)
    return f"{pointer}: its row is removed; it had {pointer.metadata_location}"


def _forget_drop(scope: Scope, row_id: int, _: str) -> str:
    with _writing(scope) as tx:
        pointer = _row(scope, tx, "dropped", row_id)
        _require_lost(pointer, "cannot-return")
        dropped.delete(tx, row_id)
    return f"{pointer}: forgotten; it had {pointer.metadata_location}"


def _row(scope: Scope, tx: Transaction, place: Place, row_id: int) -> Pointer:
    """Return a row that can be judged: its files are lost only where its warehouse is there."""
    pointer = survey.pointer(tx, place, row_id)
    if pointer is None:
        raise RepairError(f"there is no {place} table or view with the id {row_id}")
    for one in storage.missing(tx, scope.settings):
        if one.holds(pointer):
            raise RepairError(f"{pointer} cannot be judged: {one}")
    return pointer


def _require_lost(pointer: Pointer, check: str) -> None:
    _, trouble = tables.load(pointer)
    if trouble is None or trouble.check != check:
        raise RepairError(f"{pointer}: its metadata file is not lost")


def _delete_expired(scope: Scope) -> list[str]:
    with _writing(scope) as tx:
        deleted = survey.delete_expired(tx)
    return [f"{count} expired rows of {table} deleted" for table, count in deleted.items()]


def _delete_orphans(scope: Scope, tell: Tell) -> list[str]:
    """Delete orphans, table by table: nobody can commit while those of one are deleted."""
    if scope.older_than_ms < DAY_MS:
        raise RepairError("orphans must be a day old at least: a commit may be about to need them")
    report = examine(scope, tell)
    if any(finding.check in _HIDES_A_LOG for finding in report.findings):
        raise RepairError(
            "no orphan can be told for certain while metadata cannot be read; repair that first"
        )
    lines = []
    for pointer, found in report.orphans.items():
        with _writing(scope) as tx:
            if survey.pointer(tx, "living", pointer.id) != pointer:
                lines.append(f"{pointer}: changed meanwhile, nothing deleted")
                continue
            deleted = [file for file in found if not _is_anothers(pointer, file.path)]
            for file in deleted:
                Path(file.path).unlink(missing_ok=True)
        size = sum(file.bytes for file in deleted)
        lines.append(f"{pointer}: {counted(len(deleted), 'metadata file')} deleted, {size} bytes")
    return lines or ["there are no orphans to delete"]


def _remove_empty_folders(scope: Scope, tell: Tell) -> list[str]:
    """Remove folders without files; nobody can create a table in one while it is removed."""
    if scope.older_than_ms < DAY_MS:
        raise RepairError("they must be a day old at least: a client may be about to write there")
    removed, left = 0, []
    for skeleton in examine(scope, tell).skeletons:
        with _writing(scope) as tx:
            if tabulars.overlapping(tx, key(skeleton.path), besides=None) is None and (
                metadata_files.remove_skeleton(skeleton)
            ):
                removed += 1
            else:
                left.append(f"{skeleton.path}: in use by now, or not to be removed; it stays")
    return [f"{counted(removed, 'folder')} of tables removed, no file in any", *left]


def _is_anothers(pointer: Pointer, path: str) -> bool:
    try:
        metadata = files.read(LocalFileIO(), path)
    except CatalogError:
        return False
    return str(metadata.get(metadata_files.kind_of(pointer).uuid_key)).lower() != pointer.uuid
