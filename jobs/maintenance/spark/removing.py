"""Expire snapshots and remove orphans by procedures on Spark, without touching other tables.

Iceberg's procedures know one table only. What protects the others is checked here first: as far as
it can be told from metadata, and otherwise the operation is refused.
"""

import datetime as dt
import logging
from collections.abc import Iterable
from dataclasses import replace

from pyiceberg.catalog import Catalog
from pyiceberg.table import Table

from jobs.maintenance import reach
from jobs.maintenance.errors import RefusedError
from jobs.maintenance.expiry import (
    NOTHING_EXPIRES,
    choose,
    counts,
    refuse_partial_history,
    refuse_without_gc,
)
from jobs.maintenance.files import Found, examine, list_files
from jobs.maintenance.locations import MISREAD, keys, local_path, place, read_alike
from jobs.maintenance.names import Name, identifier
from jobs.maintenance.neighbours import (
    TAKEN,
    Folders,
    OutsideFiles,
    neighbours,
    places,
    refuse_clash,
)
from jobs.maintenance.orphans import AGE_FLOOR, OLD_ENOUGH, file_sizes, refuse_tables_inside
from jobs.maintenance.results import Result, Size, Skipped
from jobs.maintenance.spark.calls import Progress, Spark, explained, literal
from jobs.maintenance.state import spell

log = logging.getLogger(__name__)

_BUILTIN = "use --engine builtin, which keeps them"
_VIEW = "falcon_maintenance_orphans"

# The counts of expire_snapshots, with our names for these kinds of files.
_DELETED = {
    "deleted_data_files_count": "data files",
    "deleted_position_delete_files_count": "delete files",
    "deleted_equality_delete_files_count": "delete files",
    "deleted_manifest_files_count": "manifests",
    "deleted_manifest_lists_count": "manifest lists",
    "deleted_statistics_files_count": "statistics files",
}


def expire_snapshots(
    spark: Spark,
    catalog: Catalog,
    name: Name,
    *,
    older_than: dt.timedelta | None = None,
    keep_last: int | None = None,
    dry_run: bool = False,
    locations_only: bool = False,
    outside: OutsideFiles | None = None,
    progress: Progress = log.info,
) -> Result:
    """Run ``expire_snapshots``, which deletes the files that only expired snapshots reach.

    It would delete files that another table has taken over with ``add_files``, and files outside of
    the table's folders. Unlike the built-in engine it cannot keep some of them, so that a table
    with such files is refused. A dry run counts the snapshots, and no files.

    Raises:
        UncheckedError: another table cannot be loaded, or its manifests cannot be read.
        RefusedError: as above, or the table's ``gc.enabled`` is false, or ``keep_last`` is below 1.
        LostRaceError, OutcomeUnknownError, SparkError: as ``Spark.call``.
    """
    if keep_last is not None and keep_last < 1:
        raise RefusedError(f"keep_last must be 1 or more, not {keep_last}")
    refuse_partial_history(catalog)
    now = dt.datetime.now(dt.UTC)
    table = catalog.load_table(identifier(name))
    title, before = spell(table), counts(table.metadata)
    refuse_without_gc(table, "files may not be deleted")
    expiry = choose(table.metadata, older_than, keep_last)
    result = Result("expire-snapshots", title, before, before, dry_run=dry_run)
    if not expiry.snapshots and not expiry.refs:
        return replace(result, skipped=(Skipped(title, NOTHING_EXPIRES),))
    _refuse_shared(catalog, table, None if locations_only else outside or OutsideFiles())
    _refuse_outside(spark, table)
    if dry_run:
        note = "the files that only they reach are not counted: Spark's procedure has no dry run"
        return replace(result, notes=(f"{expiry}; {note}",))
    progress(f"{title}: {expiry}")
    arguments = {"stream_results": "true"}
    if older_than is not None:
        arguments["older_than"] = _timestamp(now - older_than)
    if keep_last is not None:
        arguments["retain_last"] = str(keep_last)
    (row,) = spark.call(table.name(), "expire_snapshots", progress, **arguments)
    deleted: dict[str, Size] = {}
    for column, kind in _DELETED.items():
        if row[column]:
            deleted[kind] = deleted.get(kind, Size()) + Size(row[column], 0)
    last = catalog.load_table(table.name())
    notes = [str(expiry)]
    if deleted:
        notes.append("Spark does not report the bytes of the files that it deletes")
    return replace(result, after=counts(last.metadata), deleted=deleted, notes=tuple(notes))


def remove_orphans(
    spark: Spark,
    catalog: Catalog,
    name: Name,
    *,
    older_than: dt.timedelta = OLD_ENOUGH,
    dry_run: bool = True,
    locations_only: bool = False,
    outside: OutsideFiles | None = None,
    progress: Progress = log.info,
) -> Result:
    """Run ``remove_orphan_files``: first dry, then for those files that no other table reaches.

    Spark lists the folder and compares it with the table's files, both times. In between, the files
    that it found are compared here with every other table and view, as the built-in engine does.

    Raises:
        UncheckedError: another table cannot be loaded, or its manifests cannot be read.
        RefusedError: the age is below 24 hours, ``gc.enabled`` is false, or the folder overlaps
            another table's.
        LostRaceError, OutcomeUnknownError, SparkError: as ``Spark.call``.
    """
    if older_than < AGE_FLOOR:
        raise RefusedError(
            f"Spark removes no orphans younger than {AGE_FLOOR}, not even with --allow-young"
        )
    refuse_partial_history(catalog)
    before = dt.datetime.now(dt.UTC) - older_than
    table = catalog.load_table(identifier(name))
    title, folder = spell(table), place(table.location())
    refuse_without_gc(table, "files may not be deleted")
    arguments = {"older_than": _timestamp(before), "stream_results": "false"}
    if local_path(table.location()) is None:
        # By the table's own FileIO, which has the credentials of the catalog.
        arguments["prefix_listing"] = "true"
    rows = spark.call(table.name(), "remove_orphan_files", progress, **arguments, dry_run="true")
    listed = [row.orphan_file_location for row in rows]
    found = examine(table.io, table.location(), listed)
    skipped = _Left(len(listed) - len(found), "reached over links or mounts, or no longer there")
    orphans = found
    if orphans:
        taken: set[str] = set()
        for other in neighbours(catalog, table):
            refuse_clash(table, folder, other)
            if not locations_only:
                outside = outside or OutsideFiles()
                taken |= outside.of(other)
        refuse_tables_inside(table, _with_metadata(table, found))
        orphans = [file for file in found if taken.isdisjoint(keys(file.location))]
        skipped.add(len(found) - len(orphans), TAKEN)
        names = _names_in_use(spark, table, orphans)
        kept = [file for file in orphans if _name(file.location) not in names]
        skipped.add(
            len(orphans) - len(kept), "they bear the names of files that the table has elsewhere"
        )
        orphans = [file for file in kept if read_alike(file.location)]
        skipped.add(len(kept) - len(orphans), MISREAD)
        orphans = [file for file in orphans if file.modified is not None and file.modified < before]
    if orphans and not dry_run:
        with explained(f"{title}: list of orphans"):
            spark.session.createDataFrame(
                [(file.location, file.modified) for file in orphans],
                "file_path string, last_modified timestamp",
            ).createOrReplaceTempView(_VIEW)
        arguments.pop("prefix_listing", None)
        rows = spark.call(
            table.name(),
            "remove_orphan_files",
            progress,
            **arguments,
            file_list_view=literal(_VIEW),
        )
        gone = {key for row in rows for key in keys(row.orphan_file_location)}
        orphans = [file for file in orphans if not gone.isdisjoint(keys(file.location))]
    progress(f"{title}: {len(orphans)} files {'would be ' * dry_run}deleted")
    return Result(
        "remove-orphans",
        title,
        deleted=file_sizes(orphans),
        skipped=skipped.as_tuple(),
        dry_run=dry_run,
    )


class _Left:
    """What an operation left, by reason."""

    def __init__(self, count: int, why: str) -> None:
        self._skipped: list[Skipped] = []
        self.add(count, why)

    def add(self, count: int, why: str) -> None:
        """Add a number of files."""
        if count:
            self._skipped.append(Skipped(f"{count} unreferenced files", why))

    def as_tuple(self) -> tuple[Skipped, ...]:
        """Return all of it."""
        return tuple(self._skipped)


def _refuse_shared(catalog: Catalog, table: Table, outside: OutsideFiles | None) -> None:
    """Raise RefusedError if another table reaches files in this table's folders."""
    title, own = spell(table), places(table)
    for other in neighbours(catalog, table):
        if other.table is None:
            continue
        for folder in own:
            refuse_clash(table, folder, other)
        if outside is not None:
            shared = [
                location
                for location in outside.of(other)
                if not location.startswith("inode ") and any(f.holds(location) for f in own)
            ]
            if shared:
                raise RefusedError(
                    f"{other.title} reaches {len(shared)} files of {title}, such as {min(shared)}:"
                    f" Spark would delete those that expire; {_BUILTIN}"
                )


def _refuse_outside(spark: Spark, table: Table) -> None:
    """Raise RefusedError if a snapshot reaches files outside of the table's folders."""
    own, prefix = Folders(places(table)), f"{table.location().rstrip('/')}/"
    with explained(f"{spell(table)}: files outside of its folders"):
        columns = {"all_files": "file_path", "all_manifests": "path"}
        found = [
            (row.folder, row["count"])
            for kind, column in columns.items()
            for row in spark.metadata_table(table.name(), kind)
            .where(f"NOT startswith({column}, {literal(prefix)})")
            .selectExpr(f"regexp_replace({column}, '/[^/]*$', '/') AS folder")
            .groupBy("folder")
            .count()
            .collect()
        ]
    outside = [(folder, count) for folder, count in found if not own.contain(folder)]
    if outside:
        raise RefusedError(
            f"{sum(count for _, count in outside)} files of {spell(table)} lie outside of its"
            f" folders, such as in {outside[0][0]}: Spark would delete those that expire, although"
            f" another table may use them; {_BUILTIN}"
        )


def _with_metadata(table: Table, orphans: Iterable[Found]) -> list[Found]:
    """Return orphans, and the metadata files beside and above them, however young."""
    root, found = table.location().rstrip("/"), {file.path: file for file in orphans}
    folders: set[str] = set()
    for path in list(found):
        levels = path.split("/")[:-1]
        folders |= {"/".join(levels[:count]) for count in range(1, len(levels) + 1)}
    for folder in sorted(folders):
        for below in (folder, f"{folder}/metadata"):
            for file in list_files(table.io, f"{root}/{below}", recursive=False):
                path = f"{below}/{file.path}"
                found.setdefault(path, replace(file, path=path))
    return list(found.values())


def _names_in_use(spark: Spark, table: Table, orphans: list[Found]) -> set[str]:
    """Return those of the orphans' names that a file of the table has, wherever it lies."""
    if not orphans:
        return set()
    metadata = {
        **reach.metadata_files(table),
        **reach.statistics(table.metadata),
        **{snapshot.manifest_list: ("", 0) for snapshot in table.metadata.snapshots},
    }
    names = {_name(file.location) for file in orphans}
    with explained(f"{spell(table)}: names of its files"):
        wanted = spark.session.createDataFrame([(name,) for name in sorted(names)], "name string")
        used = {
            row.name
            for kind, column in (("all_files", "file_path"), ("all_manifests", "path"))
            for row in spark.metadata_table(table.name(), kind)
            .selectExpr(f"regexp_replace({column}, '^.*/', '') AS name")
            .join(wanted, "name", "left_semi")
            .distinct()
            .collect()
        }
    return used | (names & {_name(location) for location in metadata})


def _name(location: str) -> str:
    return location.rpartition("/")[2]


def _timestamp(moment: dt.datetime) -> str:
    return f"TIMESTAMP '{moment.astimezone(dt.UTC):%Y-%m-%d %H:%M:%S.%f}+00:00'"
