"""Expiring snapshots, and deleting the files that only they reached."""

import datetime as dt
import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

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

from jobs.maintenance import reach
from jobs.maintenance.errors import LostRaceError, RefusedError, UncheckedError
from jobs.maintenance.listing import delete
from jobs.maintenance.locations import MISREAD, keys, read_alike
from jobs.maintenance.names import Name, identifier
from jobs.maintenance.neighbours import (
    TAKEN,
    OutsideFiles,
    all_files,
    is_copy,
    neighbours,
    places,
)
from jobs.maintenance.publishing import publish
from jobs.maintenance.results import Result, Size, Skipped, tally
from jobs.maintenance.state import spell

log = logging.getLogger(__name__)

_RACES = 10
_FIVE_DAYS_MS = 5 * 24 * 60 * 60 * 1000


@dataclass(frozen=True)
class _Expiry:
    """The snapshots and refs that go."""

    snapshots: frozenset[int]
    refs: frozenset[str]


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

    The head of every branch and the snapshot of every tag stay. Of a branch's history stay the
    newest ``keep_last`` snapshots and those younger than ``older_than``; a branch's own
    retention goes before both. Branches and tags but main go when they are older than their own
    ``max-ref-age-ms`` or the table's ``history.expire.max-ref-age-ms``.

    Files are deleted only in the folders that the table writes to, and none that another table
    or view of the catalog reaches: ``add_files`` lets tables share files. What stays for that is
    counted in the result.

    Args:
        catalog: where the table is.
        name: the table.
        older_than: age of snapshots to expire; ``history.expire.max-snapshot-age-ms``, else five
            days, if not given.
        keep_last: how many to keep of each branch; ``history.expire.min-snapshots-to-keep``, else
            one, if not given.
        keep_files: expire the snapshots, but leave all files where they are.
        dry_run: only report what would be done.
        locations_only: compare with the locations of other tables only, and do not read their
            manifests; only when no table took files of this one with ``add_files``.
        outside: what is known of other tables' manifests, when several tables are expired.
        progress: called with lines of progress.

    Raises:
        UncheckedError: the catalog does not answer for another table, or its manifests cannot be
            read; nothing is expired, either.
        RefusedError: the table's ``gc.enabled`` is false, or an argument makes no sense.
        LostRaceError: other writers won every one of many races.
        OutcomeUnknownError: the catalog did not say whether the commit arrived.
    """
    if keep_last is not None and keep_last < 1:
        raise RefusedError(f"keep_last must be 1 or more, not {keep_last}")
    refuse_partial_history(catalog)
    others = _Others(catalog, None if locations_only else outside or OutsideFiles())
    read = reach.Read()
    for _ in range(_RACES):
        table = catalog.load_table(identifier(name))
        title = spell(table)
        refuse_without_gc(table, "files may not be deleted")
        expiry = _choose(table.metadata, older_than, keep_last)
        before = _counts(table.metadata)
        if not expiry.snapshots and not expiry.refs:
            skip = Skipped(title, "no snapshot is old enough and not needed")
            return Result(
                "expire-snapshots", title, before, before, skipped=(skip,), dry_run=dry_run
            )
        going, skipped = reach.Files(), list[Skipped]()
        if not keep_files:
            going = _only_reached_by(table, expiry.snapshots, read)
            # Before the commit, too: a refusal must come before there is anything to refuse.
            going, skipped = others.spare(table, going)
        if dry_run:
            return Result(
                "expire-snapshots",
                title,
                before,
                before,
                deleted=tally(going.values()),
                skipped=tuple(skipped),
                notes=(_words(expiry),),
                dry_run=True,
            )
        progress(f"{title}: {_words(expiry)}")
        try:
            metadata = _commit(catalog, table, expiry)
        except LostRaceError as error:
            progress(f"{title}: {error}; looking again")
            continue
        deleted: dict[str, Size] = {}
        if going:
            deleted, failed = _delete(catalog, table, going, others, read)
            skipped += failed
            progress(f"{title}: {sum(size.files for size in deleted.values())} files deleted")
        return Result(
            "expire-snapshots",
            title,
            before,
            _counts(metadata),
            deleted,
            skipped=tuple(skipped),
            notes=(_words(expiry),),
        )
    raise LostRaceError(f"{title}: lost {_RACES} races for a commit", sure=True)


def refuse_without_gc(table: Table, why: str) -> None:
    """Refuse to delete files of a table that forbids it.

    Raises:
        RefusedError: its ``gc.enabled`` is false.
    """
    if table.metadata.properties.get("gc.enabled", "true").lower() == "false":
        raise RefusedError(f"{spell(table)} has gc.enabled=false: {why}")


def refuse_partial_history(catalog: Catalog) -> None:
    """Refuse to delete files when the catalog is asked for a part of each table's history only.

    Raises:
        RefusedError: ``snapshot-loading-mode`` is refs.
    """
    mode = catalog.properties.get("snapshot-loading-mode", "all")
    if mode != "all":
        raise RefusedError(
            f"snapshot-loading-mode={mode} leaves out snapshots that no branch or tag is at:"
            " their files would pass for unreferenced; it must be all"
        )


def _words(expiry: _Expiry) -> str:
    refs = f" and the refs {', '.join(sorted(expiry.refs))}" if expiry.refs else ""
    return f"{len(expiry.snapshots)} snapshots expire{refs}"


def _counts(metadata: TableMetadata) -> dict[str, Size]:
    return {"snapshots": Size(len(metadata.snapshots), 0)}


def _choose(
    metadata: TableMetadata, older_than: dt.timedelta | None, keep_last: int | None
) -> _Expiry:
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
    return _Expiry(frozenset(gone), frozenset(metadata.refs.keys() - refs.keys()))


def _commit(catalog: Catalog, table: Table, expiry: _Expiry) -> TableMetadata:
    """Commit the expiry, if no ref has moved since it was chosen."""
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
    """Return what only some of a table's snapshots reach."""
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
    # Links may lead to one file by two paths.
    known = {key for path in needed for key in keys(path)}
    return {path: file for path, file in left.items() if known.isdisjoint(keys(path))}


@dataclass(frozen=True)
class _Others:
    """Keeps files from deletion that may be other tables'."""

    catalog: Catalog
    outside: OutsideFiles | None

    def spare(self, table: Table, files: reach.Files) -> tuple[reach.Files, list[Skipped]]:
        """Take out the files that are not in the table's folders, and those that others reach.

        Raises:
            UncheckedError: the catalog or a store does not tell what others reach.
        """
        own = places(table)
        folders: dict[str, bool] = {}
        inside, misread = reach.Files(), 0
        for path, file in files.items():
            folder = path.rpartition("/")[0]
            if folder not in folders:
                folders[folder] = any(place.holds(folder) for place in own)
            if not read_alike(path):
                misread += 1
            elif folders[folder]:
                inside[path] = file
        counts = {
            MISREAD: misread,
            "outside of the table's folders: another table may use them": len(files)
            - len(inside)
            - misread,
        }
        if inside:
            taken = self._taken(table, inside)
            left = {path: file for path, file in inside.items() if taken.isdisjoint(keys(path))}
            counts[TAKEN] = len(inside) - len(left)
            inside = left
        return inside, [Skipped(f"{count} files", why) for why, count in counts.items() if count]

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
    """Delete what the table, looked at again, does not reach any more, nor any other table."""
    try:
        table = catalog.load_table(expired.name())
        if table.metadata.table_uuid != expired.metadata.table_uuid:
            raise UncheckedError(f"{spell(expired)} is another table now")
        refuse_without_gc(table, "it was set meanwhile")
        files, skipped = others.spare(table, _unneeded(files, reach.everything(table, read)))
    except Exception as error:  # noqa: BLE001 - the snapshots are expired, whatever it is
        why = (
            f"the snapshots are expired, but no file was deleted: {type(error).__name__}: {error};"
            " what nothing reaches goes with the next orphan removal"
        )
        return {}, [Skipped(f"{len(files)} files", why)]
    gone, failed = delete(table.io, files)
    return tally(files[path] for path in gone), skipped + failed
