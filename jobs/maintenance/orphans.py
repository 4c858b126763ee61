"""Removing what lies in a table's folder and belongs to nothing."""

import datetime as dt
import logging
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchTableError, RESTError
from pyiceberg.table import Table, TableProperties

from jobs.maintenance import reach
from jobs.maintenance.errors import RefusedError
from jobs.maintenance.expiry import refuse_without_gc
from jobs.maintenance.listing import Found, list_files
from jobs.maintenance.locations import normal, overlap
from jobs.maintenance.results import Result, Size, Skipped, tally
from jobs.maintenance.state import spell

log = logging.getLogger(__name__)

OLD_ENOUGH = dt.timedelta(days=3)
AGE_FLOOR = dt.timedelta(hours=24)

_METADATA = re.compile(r"\.metadata\.json(\.gz)?$")
_KEPT_NAMES = {"version-hint.text"}

Say = Callable[[str], None]


@dataclass(frozen=True)
class _Sweep:
    """What to look for: the files of one kind, of an age, and whether to delete them."""

    operation: str
    older_than: dt.timedelta
    metadata_only: bool
    dry_run: bool


def remove_orphans(
    catalog: Catalog,
    name: str,
    *,
    older_than: dt.timedelta = OLD_ENOUGH,
    dry_run: bool = True,
    allow_young: bool = False,
    say: Say = log.info,
) -> Result:
    """Delete the files in a table's folder that nothing of the table reaches.

    Any file that a snapshot, the metadata log, statistics or the current metadata name is kept,
    and so is one that bears the name of such a file in another place. The folder is listed
    first; what the table reaches is looked up afterwards, and once more before anything is
    deleted. What is younger than ``older_than`` may belong to a writer at work.

    Args:
        catalog: where the table is.
        name: the table.
        older_than: age of files to delete.
        dry_run: only say what would be deleted.
        allow_young: allow an ``older_than`` below 24 hours; only when nobody writes.
        say: called with lines of progress.

    Raises:
        RefusedError: the age is too low, ``gc.enabled`` is false, the folder cannot be listed or
            overlaps another table's.
    """
    return _sweep(
        catalog,
        name,
        _Sweep("remove-orphans", older_than, False, dry_run),
        allow_young,
        say,
    )


def old_metadata(
    catalog: Catalog,
    name: str,
    *,
    older_than: dt.timedelta = OLD_ENOUGH,
    dry_run: bool = True,
    allow_young: bool = False,
    say: Say = log.info,
) -> Result:
    """Delete metadata files that are no longer in the table's metadata log.

    The log keeps ``write.metadata.previous-versions-max`` of them. Arguments, safeguards and
    errors are those of ``remove_orphans``.
    """
    return _sweep(
        catalog,
        name,
        _Sweep("old-metadata", older_than, True, dry_run),
        allow_young,
        say,
    )


def _sweep(catalog: Catalog, name: str, sweep: _Sweep, allow_young: bool, say: Say) -> Result:  # noqa: FBT001
    if sweep.older_than < AGE_FLOOR and not allow_young:
        raise RefusedError(
            f"files younger than {AGE_FLOOR} may belong to writers at work: {sweep.older_than} is"
            " only allowed when asked for twice (--allow-young)"
        )
    now = dt.datetime.now(dt.UTC)
    table = catalog.load_table(name)
    refuse_without_gc(table, "files may not be deleted")
    _refuse_shared_folders(catalog, table)
    found = [
        file
        for file in list_files(table.io, table.location())
        if not sweep.metadata_only or _METADATA.search(file.location)
    ]
    say(f"{name}: {len(found)} files in {table.location()}")
    table = catalog.load_table(name)
    orphans, skipped = _unreached(found, reach.everything(table), now - sweep.older_than)
    if orphans and not sweep.dry_run:
        # Once more: a commit may have made a file a part of the table meanwhile.
        again = catalog.load_table(name)
        if again.metadata.table_uuid != table.metadata.table_uuid:
            raise RefusedError(f"{name} was replaced by another table meanwhile")
        if again.metadata_location != table.metadata_location:
            _refuse_shared_folders(catalog, again)
            orphans, skipped = _unreached(orphans, reach.everything(again), now - sweep.older_than)
        orphans, failed = _delete(table, orphans)
        skipped += failed
    left = set(found) if sweep.dry_run else set(found) - set(orphans)
    say(f"{name}: {len(orphans)} files {'would be ' * sweep.dry_run}deleted")
    return Result(
        sweep.operation,
        spell(table),
        before=_sizes(found),
        after=_sizes(left),
        deleted=_sizes(orphans),
        skipped=tuple(skipped),
        dry_run=sweep.dry_run,
    )


def _unreached(
    found: Iterable[Found], needed: reach.Files, before: dt.datetime
) -> tuple[list[Found], list[Skipped]]:
    names = {path.rpartition("/")[2] for path in needed}
    orphans, young, namesakes = [], 0, 0
    for file in found:
        path = normal(file.location)
        name = path.rpartition("/")[2]
        if path in needed or name in _KEPT_NAMES:
            continue
        if name in names:
            # Names are unique: this is the same file, seen by another spelling of its place.
            namesakes += 1
        elif file.modified is None or file.modified >= before:
            young += 1
        else:
            orphans.append(file)
    skipped = []
    if young:
        skipped.append(Skipped(f"{young} unreferenced files", "too young: a writer may need them"))
    if namesakes:
        why = "they bear the names of files that the table has in another place"
        skipped.append(Skipped(f"{namesakes} unreferenced files", why))
    return orphans, skipped


def _refuse_shared_folders(catalog: Catalog, table: Table) -> None:
    """Refuse a folder in which another table of the namespace may keep files, as far as visible."""
    mine = table.location()
    for identifier in catalog.list_tables(table.name()[:-1]):
        if identifier == table.name():
            continue
        try:
            other = catalog.load_table(identifier)
        except (NoSuchTableError, RESTError):
            continue
        for place in _folders(other):
            if overlap(mine, place):
                raise RefusedError(
                    f"{spell(table)} lies in {mine}, which overlaps {place} of {spell(other)}:"
                    " nobody can tell whose files are whose"
                )


def _folders(table: Table) -> list[str]:
    properties = table.metadata.properties
    paths = (TableProperties.WRITE_DATA_PATH, TableProperties.WRITE_METADATA_PATH)
    return [table.location(), *(properties[name] for name in paths if properties.get(name))]


def _delete(table: Table, files: Iterable[Found]) -> tuple[list[Found], list[Skipped]]:
    gone, skipped = [], []
    for file in files:
        try:
            table.io.delete(file.location)
        except FileNotFoundError:
            continue
        except OSError as error:
            skipped.append(Skipped(file.location, f"could not be deleted: {error}"))
        else:
            gone.append(file)
    return gone, skipped


def _sizes(files: Iterable[Found]) -> dict[str, Size]:
    return tally(
        ("metadata files" if _METADATA.search(file.location) else "other files", file.bytes)
        for file in files
    )
