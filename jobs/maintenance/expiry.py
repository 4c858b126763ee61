"""Expire snapshots, and delete the files that only they reached."""

import datetime as dt
import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from pyiceberg.catalog import Catalog
from pyiceberg.table import Table
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.refs import MAIN_BRANCH, SnapshotRefType
from pyiceberg.table.snapshots import ancestors_of
from pyiceberg.table.update import (
    AssertRefSnapshotId,
    RemoveSnapshotRefUpdate,
    RemoveSnapshotsUpdate,
    TableUpdate,
)
from pyiceberg.utils.properties import property_as_int

from jobs.lake.iceberg import attempts
from jobs.maintenance import reach
from jobs.maintenance.errors import LostRaceError, RefusedError, UncheckedError
from jobs.maintenance.files import delete
from jobs.maintenance.locations import MISREAD, keys, read_alike
from jobs.maintenance.names import Name, identifier
from jobs.maintenance.neighbours import (
    TAKEN,
    Folders,
    OutsideFiles,
    all_files,
    is_copy,
    neighbours,
    places,
)
from jobs.maintenance.publishing import publish
from jobs.maintenance.results import Result, Size, Skipped, counted, tally
from jobs.maintenance.state import spell

log = logging.getLogger(__name__)

NOTHING_EXPIRES = "no snapshot is old enough and not needed"

_RACES = 10
_FIVE_DAYS_MS = 5 * 24 * 60 * 60 * 1000


@dataclass(frozen=True)
class Expiry:
    """The snapshots and refs to remove."""

    snapshots: frozenset[int]
    refs: frozenset[str]

    def __str__(self) -> str:
        refs = f" and the refs {', '.join(sorted(self.refs))}" if self.refs else ""
        count = len(self.snapshots)
        return f"{counted(count, 'snapshot')} {'expires' if count == 1 else 'expire'}{refs}"


def expire_snapshots(
    catalog: Catalog,
    name: Name,
    *,
    older_than: dt.timedelta | None = None,
    keep_last: int | None = None,
    keep_files: bool = False,
    dry_run: bool = False,
    locations_only: bool = False,
    outside: OutsideFiles | None = None,
    progress: Callable[[str], None] = log.info,
) -> Result:
    """Expire a table's old snapshots, then delete the files that only they reached.

    The head of every branch and the snapshot of every tag are kept. Of a branch's history the
    newest ``keep_last`` snapshots and those younger than ``older_than`` are kept; the branch's own
    retention takes precedence. Branches and tags other than main are removed when they are older
    than their own ``max-ref-age-ms`` or the table's ``history.expire.max-ref-age-ms``.

    Files are deleted only in the folders that the table writes to, and only if no other table or
    view of the catalog reaches them: ``add_files`` lets tables share files. The result counts the
    files kept for these reasons.

    Args:
        catalog: where the table is.
        name: the table.
        older_than: age of snapshots to expire; default ``history.expire.max-snapshot-age-ms``, or
            five days.
        keep_last: snapshots to keep of each branch; default
            ``history.expire.min-snapshots-to-keep``, or one.
        keep_files: expire the snapshots, but delete no files.
        dry_run: only report what would be done.
        locations_only: compare with the locations of other tables only, without reading their
            manifests; safe only if no table took files of this one with ``add_files``.
        outside: cache of other tables' manifests, to share between several tables.
        progress: called with lines of progress.

    Raises:
        UncheckedError: another table cannot be loaded, or its manifests cannot be read; nothing is
            expired.
        RefusedError: the table's ``gc.enabled`` is false, or ``keep_last`` is below 1.
        LostRaceError: other writers committed first, in every one of many attempts.
        OutcomeUnknownError: the commit may have arrived.
    """
    if keep_last is not None and keep_last < 1:
        raise RefusedError(f"keep_last must be 1 or more, not {keep_last}")
    refuse_partial_history(catalog)
    others = _Others(catalog, None if locations_only else outside or OutsideFiles())
    read = reach.Read()
    for _ in attempts(_RACES):
        table = catalog.load_table(identifier(name))
        title = spell(table)
        refuse_without_gc(table, "files may not be deleted")
        expiry = choose(table.metadata, older_than, keep_last)
        before = counts(table.metadata)
        result = Result("expire-snapshots", title, before, before, dry_run=dry_run)
        if not expiry.snapshots and not expiry.refs:
            skip = Skipped(title, NOTHING_EXPIRES)
            return replace(result, skipped=(skip,))
        words = str(expiry)
        result = replace(result, notes=(words,))
        going, skipped = reach.Files(), list[Skipped]()
        if not keep_files:
            going = _only_reached_by(table, expiry.snapshots, read)
            # Before the commit as well: a check that fails must prevent it.
            going, skipped = others.spare(table, going)
        if dry_run:
            return replace(result, deleted=tally(going.values()), skipped=tuple(skipped))
        progress(f"{title}: {words}")
        try:
            metadata = _commit(catalog, table, expiry)
        except LostRaceError as error:
            progress(f"{title}: {error}; trying again")
            continue
        deleted: dict[str, Size] = {}
        if going:
            deleted, failed = _delete(catalog, table, going, others, read)
            skipped += failed
            progress(f"{title}: {sum(size.files for size in deleted.values())} files deleted")
        after = counts(metadata)
        return replace(result, after=after, deleted=deleted, skipped=tuple(skipped))
    raise LostRaceError(f"{title}: lost {_RACES} races for a commit", sure=True)


def refuse_without_gc(table: Table, why: str) -> None:
    """Raise RefusedError if the table's ``gc.enabled`` is false."""
    if table.metadata.properties.get("gc.enabled", "true").lower() == "false":
        raise RefusedError(f"{spell(table)} has gc.enabled=false: {why}")


def refuse_partial_history(catalog: Catalog) -> None:
    """Raise RefusedError if the catalog client loads only a part of each table's snapshots."""
    mode = catalog.properties.get("snapshot-loading-mode", "all")
    if mode != "all":
        raise RefusedError(
            f"snapshot-loading-mode={mode} leaves out snapshots that no branch or tag is at:"
            " their files would pass for unreferenced; it must be all"
        )


def counts(metadata: TableMetadata) -> dict[str, Size]:
    """Return the number of a table's snapshots."""
    return {"snapshots": Size(len(metadata.snapshots), 0)}


def choose(
    metadata: TableMetadata, older_than: dt.timedelta | None, keep_last: int | None
) -> Expiry:
    """Return what expires now, by the rules of ``expire_snapshots``."""
    now, properties = int(time.time() * 1000), metadata.properties
    age = (
        property_as_int(properties, "history.expire.max-snapshot-age-ms", _FIVE_DAYS_MS)
        if older_than is None
        else int(older_than.total_seconds() * 1000)
    )
    least = keep_last or property_as_int(properties, "history.expire.min-snapshots-to-keep", 1)
    ref_age = property_as_int(properties, "history.expire.max-ref-age-ms", None)
    refs = {}
    for name, ref in metadata.refs.items():
        limit = ref.max_ref_age_ms or ref_age
        at = metadata.snapshot_by_id(ref.snapshot_id)
        stale = at is None or (limit is not None and now - at.timestamp_ms > limit)
        if name == MAIN_BRANCH or not stale:
            refs[name] = ref
    keep, known = set(), set()
    for ref in refs.values():
        if ref.snapshot_ref_type == SnapshotRefType.TAG:
            keep.add(ref.snapshot_id)
            continue
        count = ref.min_snapshots_to_keep or least or 1
        since = now - (ref.max_snapshot_age_ms or age or 0)
        history = list(ancestors_of(metadata.snapshot_by_id(ref.snapshot_id), metadata))
        known |= {snapshot.snapshot_id for snapshot in history}
        for number, snapshot in enumerate(history):
            if number >= count and snapshot.timestamp_ms < since:
                break
            keep.add(snapshot.snapshot_id)
    keep |= {
        snapshot.snapshot_id
        for snapshot in metadata.snapshots
        if snapshot.snapshot_id not in known and snapshot.timestamp_ms >= now - (age or 0)
    }
    gone = {snapshot.snapshot_id for snapshot in metadata.snapshots} - keep
    return Expiry(frozenset(gone), frozenset(metadata.refs.keys() - refs.keys()))


def _commit(catalog: Catalog, table: Table, expiry: Expiry) -> TableMetadata:
    """Commit the expiry, provided that no ref has moved."""
    updates: list[TableUpdate] = [
        RemoveSnapshotRefUpdate.model_validate({"ref-name": ref}) for ref in sorted(expiry.refs)
    ]
    if expiry.snapshots:
        updates.append(
            RemoveSnapshotsUpdate.model_validate({"snapshot-ids": sorted(expiry.snapshots)})
        )
    return publish(
        catalog,
        table,
        [
            AssertRefSnapshotId.model_validate({"ref": name, "snapshot-id": ref.snapshot_id})
            for name, ref in table.metadata.refs.items()
        ],
        updates,
        lambda metadata: (
            expiry.snapshots.isdisjoint(s.snapshot_id for s in metadata.snapshots)
            and expiry.refs.isdisjoint(metadata.refs)
        ),
    )


def _only_reached_by(table: Table, snapshots: Iterable[int], read: reach.Read) -> reach.Files:
    """Return the files that only these snapshots of a table reach."""
    ids = set(snapshots)
    going = [snapshot for snapshot in table.metadata.snapshots if snapshot.snapshot_id in ids]
    staying = [snapshot for snapshot in table.metadata.snapshots if snapshot.snapshot_id not in ids]
    files = {
        **reach.of_snapshots(table.io, going, read),
        **reach.statistics(table.metadata, snapshots=ids),
    }
    needed = {
        **reach.of_snapshots(table.io, staying, read),
        **reach.statistics(table.metadata, snapshots={s.snapshot_id for s in staying}),
        **reach.metadata_files(table),
    }
    return _unneeded(files, needed)


def _unneeded(files: reach.Files, needed: reach.Files) -> reach.Files:
    left = {path: file for path, file in files.items() if path not in needed}
    if not left:
        return left
    # By links a file may have two paths.
    known = {key for path in needed for key in keys(path)}
    return {path: file for path, file in left.items() if known.isdisjoint(keys(path))}


@dataclass(frozen=True)
class _Others:
    """Protects files of other tables from deletion."""

    catalog: Catalog
    outside: OutsideFiles | None

    def spare(self, table: Table, files: reach.Files) -> tuple[reach.Files, list[Skipped]]:
        """Return the files in the table's folders that no other table reaches, and the rest.

        Raises:
            UncheckedError: another table, or a manifest of it, cannot be read.
        """
        own = Folders(places(table))
        readable = {path: file for path, file in files.items() if read_alike(path)}
        inside = {path: file for path, file in readable.items() if own.contain(path)}
        taken = self._taken(table, inside) if inside else set()
        left = {path: file for path, file in inside.items() if taken.isdisjoint(keys(path))}
        outside = "outside of the table's folders: another table may use them"
        counts = {
            MISREAD: len(files) - len(readable),
            outside: len(readable) - len(inside),
            TAKEN: len(inside) - len(left),
        }
        return left, [Skipped(f"{count} files", why) for why, count in counts.items() if count]

    def _taken(self, table: Table, files: reach.Files) -> set[str]:
        """Return the keys of files that other tables reach in this one's folders."""
        own, taken = places(table), set[str]()
        # Only add_files makes tables share files, and it takes over no metadata.
        shareable = any(kind in {"data files", "delete files"} for kind, _ in files.values())
        for other in neighbours(self.catalog, table):
            if other.table is None:
                continue
            near = is_copy(table, other) or any(
                mine.clashes(theirs) for mine in own for theirs in other.places
            )
            if near:
                taken |= all_files(other)
            elif self.outside is not None and shareable:
                taken |= self.outside.of(other)
        return taken


def _delete(
    catalog: Catalog, expired: Table, files: reach.Files, others: _Others, read: reach.Read
) -> tuple[dict[str, Size], list[Skipped]]:
    """Delete the files that neither the table, loaded again, nor any other table reaches."""
    try:
        table = catalog.load_table(expired.name())
        if table.metadata.table_uuid != expired.metadata.table_uuid:
            raise UncheckedError(f"{spell(expired)} is another table now")
        refuse_without_gc(table, "it was set meanwhile")
        files, skipped = others.spare(table, _unneeded(files, reach.everything(table, read)))
    except Exception as error:  # noqa: BLE001 - the snapshots are expired, whatever it is
        why = (
            f"the snapshots are expired, but no file was deleted: {type(error).__name__}: {error};"
            " unreferenced files are removed by the next orphan removal"
        )
        return {}, [Skipped(counted(len(files), "file"), why)]
    gone, failed = delete(table.io, files)
    return tally(files[path] for path in gone), skipped + failed
