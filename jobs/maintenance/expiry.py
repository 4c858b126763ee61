"""Expiring snapshots, and deleting the files that only they reached."""

import datetime as dt
import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from pyiceberg.catalog import Catalog
from pyiceberg.table import Table
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.refs import MAIN_BRANCH, SnapshotRef, SnapshotRefType
from pyiceberg.table.snapshots import ancestors_of
from pyiceberg.table.update import (
    AssertRefSnapshotId,
    RemoveSnapshotRefUpdate,
    RemoveSnapshotsUpdate,
    TableUpdate,
)
from pyiceberg.utils.properties import property_as_int

from jobs.maintenance import reach
from jobs.maintenance.errors import LostRaceError, RefusedError
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
    name: str,
    *,
    older_than: dt.timedelta | None = None,
    keep_last: int | None = None,
    keep_files: bool = False,
    dry_run: bool = False,
    say: Callable[[str], None] = log.info,
) -> Result:
    """Expire a table's old snapshots, then delete the files that only they reached.

    The head of every branch and the snapshot of every tag stay. Of a branch's history stay the
    newest ``keep_last`` snapshots and those younger than ``older_than``; a branch's own
    retention goes before both. Branches and tags but main go when they are older than their own
    ``max-ref-age-ms`` or the table's ``history.expire.max-ref-age-ms``.

    Args:
        catalog: where the table is.
        name: the table.
        older_than: age of snapshots to expire; ``history.expire.max-snapshot-age-ms``, else five
            days, if not given.
        keep_last: how many to keep of each branch; ``history.expire.min-snapshots-to-keep``, else
            one, if not given.
        keep_files: expire the snapshots, but leave all files where they are.
        dry_run: only say what would be done.
        say: called with lines of progress.

    Raises:
        RefusedError: the table's ``gc.enabled`` is false, or an argument makes no sense.
        LostRaceError: other writers won every one of many races.
        OutcomeUnknownError: the catalog did not say whether the commit arrived.
    """
    if keep_last is not None and keep_last < 1:
        raise RefusedError(f"keep_last must be 1 or more, not {keep_last}")
    for _ in range(_RACES):
        table = catalog.load_table(name)
        refuse_without_gc(table, "files may not be deleted")
        expiry = _choose(table.metadata, older_than, keep_last)
        before = _counts(table.metadata)
        if not expiry.snapshots and not expiry.refs:
            skip = Skipped(spell(table), "no snapshot is old enough and not needed")
            return Result(
                "expire-snapshots", spell(table), before, before, skipped=(skip,), dry_run=dry_run
            )
        only = _only_reached_by(table, expiry.snapshots)
        if dry_run:
            return Result(
                "expire-snapshots",
                spell(table),
                before,
                before,
                deleted={}
                if keep_files
                else tally(_without(table, expiry.snapshots, only).values()),
                notes=(_words(expiry),),
                dry_run=True,
            )
        say(f"{name}: {_words(expiry)}")
        try:
            metadata = _commit(catalog, table, expiry)
        except LostRaceError as error:
            say(f"{name}: {error}; looking again")
            continue
        deleted, skipped = ({}, []) if keep_files else _delete(catalog, name, only, say)
        return Result(
            "expire-snapshots",
            spell(table),
            before,
            _counts(metadata),
            deleted,
            skipped=tuple(skipped),
            notes=(_words(expiry),),
        )
    raise LostRaceError(f"{name}: lost {_RACES} races for a commit", sure=True)


def refuse_without_gc(table: Table, why: str) -> None:
    """Refuse to delete files of a table that forbids it.

    Raises:
        RefusedError: its ``gc.enabled`` is false.
    """
    if table.metadata.properties.get("gc.enabled", "true").lower() == "false":
        raise RefusedError(f"{spell(table)} has gc.enabled=false: {why}")


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
    refs = {
        name: ref
        for name, ref in metadata.refs.items()
        if name == MAIN_BRANCH or not _is_stale(metadata, ref, now, ref_age)
    }
    keep, known = set(), set()
    for ref in refs.values():
        if ref.snapshot_ref_type == SnapshotRefType.TAG:
            keep.add(ref.snapshot_id)
            continue
        count = ref.min_snapshots_to_keep or least or 1
        limit = now - (ref.max_snapshot_age_ms or age or 0)
        history = list(ancestors_of(metadata.snapshot_by_id(ref.snapshot_id), metadata))
        known |= {snapshot.snapshot_id for snapshot in history}
        for number, snapshot in enumerate(history):
            if number >= count and snapshot.timestamp_ms < limit:
                break
            keep.add(snapshot.snapshot_id)
    keep |= {
        snapshot.snapshot_id
        for snapshot in metadata.snapshots
        if snapshot.snapshot_id not in known and snapshot.timestamp_ms >= now - (age or 0)
    }
    gone = {snapshot.snapshot_id for snapshot in metadata.snapshots} - keep
    return _Expiry(frozenset(gone), frozenset(metadata.refs.keys() - refs.keys()))


def _is_stale(metadata: TableMetadata, ref: SnapshotRef, now: int, ref_age: int | None) -> bool:
    limit = ref.max_ref_age_ms or ref_age
    snapshot = metadata.snapshot_by_id(ref.snapshot_id)
    return snapshot is None or (limit is not None and now - snapshot.timestamp_ms > limit)


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


def _only_reached_by(table: Table, snapshots: Iterable[int]) -> reach.Files:
    """Give what some snapshots reach; what others reach, too, is taken out after the commit."""
    ids = set(snapshots)
    going = [snapshot for snapshot in table.metadata.snapshots if snapshot.snapshot_id in ids]
    return {
        **reach.of_snapshots(table.io, going),
        **reach.statistics(table.metadata, snapshots=ids),
    }


def _without(table: Table, snapshots: Iterable[int], files: reach.Files) -> reach.Files:
    ids = set(snapshots)
    staying = [snapshot for snapshot in table.metadata.snapshots if snapshot.snapshot_id not in ids]
    needed = {
        **reach.of_snapshots(table.io, staying),
        **reach.statistics(table.metadata, snapshots={s.snapshot_id for s in staying}),
    }
    return {path: file for path, file in files.items() if path not in needed}


def _delete(
    catalog: Catalog, name: str, files: reach.Files, say: Callable[[str], None]
) -> tuple[dict[str, Size], list[Skipped]]:
    """Delete what the table, looked at again, does not reach any more."""
    table = catalog.load_table(name)
    needed = reach.everything(table)
    gone, skipped = [], []
    for path, file in files.items():
        if path in needed:
            continue
        try:
            table.io.delete(path)
        except FileNotFoundError:
            continue
        except OSError as error:
            skipped.append(Skipped(path, f"could not be deleted: {error}"))
        else:
            gone.append(file)
    say(f"{name}: {len(gone)} files deleted")
    return tally(gone), skipped
