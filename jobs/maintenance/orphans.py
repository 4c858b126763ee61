"""Delete orphans: files in a table's folder that nothing refers to."""

import datetime as dt
import gzip
import json
import logging
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from urllib.parse import quote_plus

from pyiceberg.catalog import Catalog
from pyiceberg.table import Table

from jobs.maintenance import reach
from jobs.maintenance.errors import RefusedError
from jobs.maintenance.expiry import refuse_partial_history, refuse_without_gc
from jobs.maintenance.files import Found, delete, list_files, read
from jobs.maintenance.locations import MISREAD, identity, keys, normal, place, read_alike
from jobs.maintenance.names import Name, identifier
from jobs.maintenance.neighbours import TAKEN, OutsideFiles, neighbours, refuse_clash
from jobs.maintenance.results import Result, Size, Skipped, counted, tally
from jobs.maintenance.state import spell

log = logging.getLogger(__name__)

OLD_ENOUGH = dt.timedelta(days=3)
AGE_FLOOR = dt.timedelta(hours=24)

METADATA = re.compile(r"\.metadata\.json(\.gz)?$")
_KEPT_NAMES = {"version-hint.text"}
_HIDDEN = ("_", ".")
_GZIP = b"\x1f\x8b"

Progress = Callable[[str], None]


@dataclass(frozen=True)
class _Sweep:
    """What to look for: the files of one kind, of an age, and whether to delete them."""

    operation: str
    older_than: dt.timedelta
    metadata_only: bool
    dry_run: bool
    outside: OutsideFiles | None
    """Reads other tables' manifests; None if only locations are compared."""
    allow_young: bool
    progress: Progress


def remove_orphans(
    catalog: Catalog,
    name: Name,
    *,
    older_than: dt.timedelta = OLD_ENOUGH,
    dry_run: bool = True,
    allow_young: bool = False,
    locations_only: bool = False,
    outside: OutsideFiles | None = None,
    progress: Progress = log.info,
) -> Result:
    """Delete the files in a table's folder that nothing reaches.

    Files that a snapshot, the metadata log, statistics or the current metadata name are kept, and
    so are files with the name of such a file in another folder. The folder is listed first; the
    files that the table reaches are read afterwards, and again before anything is deleted. Files
    younger than ``older_than`` are kept, because a writer may be about to commit them. As in Java,
    paths with a segment that begins with ``_`` or ``.`` are ignored, unless the segment is of a
    partition field with such a name.

    Candidates are compared with every other table and view of the catalog: with their locations,
    and with the files that ``add_files`` lets them reach elsewhere.

    Args:
        catalog: where the table is.
        name: the table.
        older_than: age of files to delete.
        dry_run: only report what would be deleted.
        allow_young: allow an ``older_than`` below 24 hours; safe only without writers.
        locations_only: compare with the locations of other tables only, without reading their
            manifests; safe only if no table took files of this one with ``add_files``.
        outside: cache of other tables' manifests, to share between several tables.
        progress: called with lines of progress.

    Raises:
        UncheckedError: another table cannot be loaded, or its manifests cannot be read.
        RefusedError: the age is too low, ``gc.enabled`` is false, the folder cannot be listed or
            overlaps another table's, or the table was replaced meanwhile.
    """
    outside = None if locations_only else outside or OutsideFiles()
    sweep = _Sweep("remove-orphans", older_than, False, dry_run, outside, allow_young, progress)
    return _sweep(catalog, name, sweep)


def old_metadata(
    catalog: Catalog,
    name: Name,
    *,
    older_than: dt.timedelta = OLD_ENOUGH,
    dry_run: bool = True,
    allow_young: bool = False,
    progress: Progress = log.info,
) -> Result:
    """Delete metadata files that are no longer in the table's metadata log.

    The log keeps ``write.metadata.previous-versions-max`` of them. Arguments, safeguards and
    errors are those of ``remove_orphans``. Other tables' manifests are not read, because manifests
    do not name metadata files.
    """
    sweep = _Sweep("old-metadata", older_than, True, dry_run, None, allow_young, progress)
    return _sweep(catalog, name, sweep)


def _sweep(catalog: Catalog, name: Name, sweep: _Sweep) -> Result:
    if sweep.older_than < AGE_FLOOR and not sweep.allow_young:
        raise RefusedError(
            f"files younger than {AGE_FLOOR} may belong to writers at work: {sweep.older_than} is"
            " only allowed when asked for twice (--allow-young)"
        )
    refuse_partial_history(catalog)
    now = dt.datetime.now(dt.UTC)
    first = catalog.load_table(identifier(name))
    title = spell(first)
    refuse_without_gc(first, "files may not be deleted")
    listed = list_files(first.io, first.location())
    visible = _visible(listed, first)
    found = [file for file in visible if not sweep.metadata_only or METADATA.search(file.location)]
    sweep.progress(f"{title}: {len(found)} files in {first.location()}")
    table = load_again(catalog, first)
    before = now - sweep.older_than
    orphans, skipped = _unreached(found, reach.everything(table), before)
    if len(visible) < len(listed):
        why = "a segment of their paths begins with _ or .: they are another program's"
        skipped.append(Skipped(counted(len(listed) - len(visible), "file"), why))
    if orphans:
        orphans = _without_neighbours(catalog, table, sweep, orphans, skipped)
        refuse_tables_inside(table, visible)
    if orphans and not sweep.dry_run:
        # Again: a commit may have added a file to the table meanwhile.
        again = load_again(catalog, first)
        if again.metadata_location != table.metadata_location:
            orphans, more = _unreached(orphans, reach.everything(again), before)
            skipped += more
        gone, failed = delete(table.io, [file.location for file in orphans])
        orphans = [file for file in orphans if file.location in gone]
        skipped += failed
    left = set(found) if sweep.dry_run else set(found) - set(orphans)
    sweep.progress(f"{title}: {len(orphans)} files {'would be ' * sweep.dry_run}deleted")
    return Result(
        sweep.operation,
        title,
        before=file_sizes(found),
        after=file_sizes(left),
        deleted=file_sizes(orphans),
        skipped=tuple(skipped),
        dry_run=sweep.dry_run,
    )


def load_again(catalog: Catalog, first: Table) -> Table:
    """Return the table loaded again; it must be the same one in the same folder."""
    table = catalog.load_table(first.name())
    if table.metadata.table_uuid != first.metadata.table_uuid:
        raise RefusedError(f"{spell(first)} is another table now: it was replaced meanwhile")
    if normal(table.location()) != normal(first.location()):
        raise RefusedError(f"{spell(first)} was moved from {first.location()} meanwhile")
    refuse_without_gc(table, "files may not be deleted")
    return table


def _visible(files: Iterable[Found], table: Table) -> list[Found]:
    """Return the files without hidden ones, by the convention of Hadoop."""
    partitions = tuple(
        f"{spelling}="
        for spec in table.metadata.partition_specs
        for field in spec.fields
        if field.name.startswith(_HIDDEN)
        for spelling in (field.name, quote_plus(field.name))
    )
    return [
        file
        for file in files
        if not any(
            segment.startswith(_HIDDEN) and not segment.startswith(partitions)
            for segment in file.path.split("/")
        )
    ]


def refuse_tables_inside(table: Table, files: Iterable[Found]) -> None:
    """Raise RefusedError if the folder contains another table's metadata.

    That table may be a dropped one, or one of another catalog.
    """
    newest: dict[str, Found] = {}
    for file in sorted(files, key=lambda file: file.path):
        if METADATA.search(file.path):
            newest[file.path.rpartition("/")[0]] = file
    own = [place(each.rpartition("/")[0]) for each in reach.metadata_files(table)]
    for folder, file in newest.items():
        if any(each.holds(file.location) for each in own):
            continue
        try:
            content = read(table.io, file.location)
            content = gzip.decompress(content) if content.startswith(_GZIP) else content
            uuid = json.loads(content).get("table-uuid")
        except Exception as error:  # noqa: BLE001 - whatever it is, the owner is unknown
            uuid = f"unreadable, {type(error).__name__}"
        if uuid != str(table.metadata.table_uuid):
            raise RefusedError(
                f"{spell(table)} lies in {table.location()}, and in its folder {folder or '.'} is"
                f" the metadata of another table ({file.location}, table-uuid {uuid}), which may"
                " be a dropped one or one of another catalog: nobody can tell whose files are whose"
            )


def _without_neighbours(
    catalog: Catalog,
    table: Table,
    sweep: _Sweep,
    orphans: list[Found],
    skipped: list[Skipped],
) -> list[Found]:
    """Return the orphans that no other table reaches; refuse folders shared with others."""
    folder, taken = place(table.location()), set[str]()
    for other in neighbours(catalog, table):
        refuse_clash(table, folder, other)
        if sweep.outside is not None:
            taken |= sweep.outside.of(other)
    left = [file for file in orphans if taken.isdisjoint(keys(file.location))]
    if len(left) < len(orphans):
        skipped.append(Skipped(counted(len(orphans) - len(left), "file"), TAKEN))
    return left


def _unreached(
    found: Iterable[Found], needed: reach.Files, before: dt.datetime
) -> tuple[list[Found], list[Skipped]]:
    names = {path.rpartition("/")[2] for path in needed}
    orphans, young, namesakes, misread = [], 0, 0, 0
    for file in found:
        path = normal(file.location)
        name = path.rpartition("/")[2]
        if path in needed or name in _KEPT_NAMES:
            continue
        if name in names:
            # Names are unique: this is the same file, under another spelling of its location.
            namesakes += 1
        elif file.modified is None or file.modified >= before:
            young += 1
        elif not read_alike(file.location):
            misread += 1
        else:
            orphans.append(file)
    if orphans:
        # By a link the file may have another name.
        known = {identity(path) for path in needed}
        linked = [file for file in orphans if identity(file.location) in known]
        namesakes += len(linked)
        orphans = [file for file in orphans if file not in linked] if linked else orphans
    skipped = [
        Skipped(f"{count} unreferenced files", why)
        for count, why in (
            (young, "too young: a writer may need them"),
            (
                namesakes,
                "they bear the names of files that the table has elsewhere, or are the same files",
            ),
            (misread, MISREAD),
        )
        if count
    ]
    return orphans, skipped


def file_sizes(files: Iterable[Found]) -> dict[str, Size]:
    """Return the sizes of files by kind."""
    return tally(
        ("metadata files" if METADATA.search(file.location) else "other files", file.bytes)
        for file in files
    )
