"""Compaction: write small files, and files with deleted rows, together into new ones."""

import itertools
import logging
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.catalog import Catalog
from pyiceberg.manifest import DataFile, DataFileContent
from pyiceberg.schema import prune_columns
from pyiceberg.table import TableProperties
from pyiceberg.table.sorting import SortOrder
from pyiceberg.transforms import UnknownTransform
from pyiceberg.typedef import Identifier

from jobs.maintenance.deletes import DeleteFiles, positional
from jobs.maintenance.errors import LostRaceError, OutcomeUnknownError
from jobs.maintenance.locations import normal
from jobs.maintenance.names import Name, identifier
from jobs.maintenance.planning import Group, Plan, groups, target
from jobs.maintenance.publishing import discard
from jobs.maintenance.results import Result, Skipped
from jobs.maintenance.rows import Rows, Writer, ranks, sort_order
from jobs.maintenance.snapshots import Draft, commit, kept, summarize
from jobs.maintenance.state import Reader, State, look, spell, unwritable

log = logging.getLogger(__name__)

_ROUNDS = 5
_RACES = 10
# Room for rows that take more space than they did, before a file is ended early.
_SLACK = 1.3

Progress = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class _Rewritten:
    group: Group
    files: tuple[DataFile, ...]

    @property
    def inputs(self) -> set[str]:
        return {normal(entry.data_file.file_path) for entry in self.group.files}


@dataclass
class Job:
    """What one rewriting of files works with."""

    catalog: Catalog
    name: Identifier
    branch: str
    plan: Plan
    progress: Progress
    reader: Reader = field(default_factory=Reader)
    snapshots: list[int] = field(default_factory=list)
    conflicts: int = 0


Choose = Callable[[State, DeleteFiles], tuple[list[Group], list[Skipped]]]


@dataclass(frozen=True)
class Rewriting:
    """What came of it: the state after it, what was to be done at last, and what was left."""

    state: State
    work: Sequence[Group]
    skipped: Sequence[Skipped]


def compact(
    catalog: Catalog,
    name: Name,
    plan: Plan | None = None,
    *,
    branch: str = "main",
    progress: Progress = log.info,
) -> Result:
    """Write small files, and files with deleted rows, of a branch together into new ones.

    The rows stay what they are: each commit is of operation ``replace``. What other writers
    append meanwhile stays; a group of which they deleted or overwrote a file, or rows of one, is
    given up and planned again on what they left. Groups are read, written and, if need be,
    sorted within ``plan.memory_bytes`` or so.

    Raises:
        RefusedError: there is no such branch, or the sort order names no column.
        LostRaceError: other writers won every one of many races.
        OutcomeUnknownError: the catalog did not say whether a commit arrived.
    """
    plan = plan or Plan()
    job = Job(catalog, identifier(name), branch, plan, progress)
    first = look(catalog, job.name, branch, job.reader)
    why = refusal(first)
    if why is not None:
        sizes, skipped = first.sizes(), (Skipped(spell(first.table), why),)
        return Result("compact", spell(first.table), sizes, sizes, skipped=skipped)
    rewritten = rewrite(job, first, lambda state, deletes: groups(state, plan, deletes))
    work = rewritten.work
    notes = [f"{len(work)} groups of {sum(len(g.files) for g in work)} files would be rewritten"]
    return Result(
        "compact",
        spell(first.table),
        before=first.sizes(),
        after=rewritten.state.sizes(),
        snapshots=tuple(job.snapshots),
        skipped=tuple(rewritten.skipped),
        notes=tuple(notes) if plan.dry_run else (),
        dry_run=plan.dry_run,
    )


def rewrite(job: Job, state: State, choose: Choose) -> Rewriting:
    """Rewrite the groups of files that ``choose`` finds in a state, the first time in this one.

    As ``compact`` rewrites: safe beside other writers, in commits of operation ``replace``.

    Raises:
        LostRaceError, OutcomeUnknownError: as ``compact``.
    """
    for number in range(_ROUNDS):
        if number:
            state = look(job.catalog, job.name, job.branch, job.reader)
        delete_files = DeleteFiles(state.table.io)
        work, skipped = choose(state, delete_files)
        if job.plan.dry_run or not _round(job, state, work, delete_files):
            break
    else:
        why = "other writers kept changing their files; they are left for the next compaction"
        skipped = [*skipped, Skipped(f"{job.conflicts} groups", why)]
    if job.snapshots:
        state = look(job.catalog, job.name, job.branch, job.reader)
    return Rewriting(state, work, skipped)


def refusal(state: State) -> str | None:
    """Return why the files of a table cannot be rewritten, or None if they can."""
    why = unwritable(state.table)
    file_format = state.metadata.properties.get(TableProperties.WRITE_FILE_FORMAT, "parquet")
    if why is None and file_format != TableProperties.WRITE_FILE_FORMAT_DEFAULT:
        why = f"its write.format.default is {file_format}: only Parquet is written"
    transforms = [each.transform for each in state.metadata.spec().fields]
    unknown = [each for each in transforms if isinstance(each, UnknownTransform)]
    if why is None and unknown:
        why = f"it is partitioned by {unknown[0]!r}, which this version cannot compute"
    return why


def _round(job: Job, state: State, work: list[Group], delete_files: DeleteFiles) -> bool:
    """Rewrite groups and commit them; return whether some met a conflict."""
    conflicts = 0
    for done in itertools.count(0, job.plan.groups_per_commit):
        part = work[done : done + job.plan.groups_per_commit]
        if not part:
            break
        rewritten: list[_Rewritten] = []
        try:
            for number, group in enumerate(part, done + 1):
                job.progress(
                    f"{spell(state.table)}: group {number} of {len(work)}, {len(group.files)} files"
                )
                rewritten.append(_rewrite(job, state, group, delete_files))
        except BaseException:
            _discard(state, rewritten)
            raise
        conflicts += _replace(job, state, rewritten)
    job.conflicts = conflicts
    return bool(conflicts)


def _rewrite(job: Job, state: State, group: Group, delete_files: DeleteFiles) -> _Rewritten:
    """Write a group's live rows to new files."""
    schema, size = state.metadata.schema(), target(state, job.plan)
    order = sort_order(job.plan.sort, schema) if job.plan.sort else state.table.sort_order()
    is_tables_order = not job.plan.sort and not order.is_unsorted
    source = Rows(state, group, delete_files)
    writer = Writer(
        state,
        file_bytes=math.ceil(_SLACK * group.bytes / max(1, round(group.bytes / size))),
        memory_bytes=job.plan.memory_bytes,
        sort_order_id=order.order_id if is_tables_order else None,
    )
    try:
        if order.is_unsorted:
            for rows in source.read(schema):
                writer.write(rows)
        else:
            _write_sorted(source, order, writer, job.plan.memory_bytes)
        return _Rewritten(group, tuple(writer.close()))
    except BaseException:
        writer.abandon()
        discard(state.table.io, writer.paths)
        raise


def _write_sorted(source: Rows, order: SortOrder, writer: Writer, memory_bytes: int) -> None:
    """Rank all rows by their keys alone, then read as often as memory asks, a range a time."""
    schema = source.state.metadata.schema()
    sources = {field.source_id for field in order.fields}
    narrow = prune_columns(schema, sources, select_full_types=True)
    keys = list(source.read(narrow))
    if not keys:
        return
    ranked = ranks(keys, order, schema)
    del keys
    sample = next(source.read(schema))
    row_bytes = max(1, sample.nbytes // max(1, sample.num_rows))
    # Rows picked, and the same rows in order.
    at_once = max(1, memory_bytes // (2 * row_bytes))
    for start in range(0, len(ranked), at_once):
        offset, picked, places = 0, [], []
        for rows in source.read(schema):
            here = ranked.slice(offset, rows.num_rows)
            offset += rows.num_rows
            mask = pc.and_(pc.greater_equal(here, start), pc.less(here, start + at_once))
            picked.append(rows.filter(mask))
            places.append(here.filter(mask))
        indices = pc.sort_indices(pa.chunked_array(places))
        writer.write(pa.concat_tables(picked).take(indices))


def _replace(job: Job, base: State, rewritten: Sequence[_Rewritten]) -> int:
    """Commit rewritten groups, those that other writers did not touch; count the others."""
    pending, conflicts, sure = list(rewritten), 0, True
    for _ in range(_RACES):
        state = look(job.catalog, job.name, job.branch, job.reader)
        touched = _touched(base, state, DeleteFiles(state.table.io))
        lost = [group for group in pending if touched is None or group.inputs & touched]
        pending = [group for group in pending if group not in lost]
        conflicts += len(lost)
        if sure:
            _discard(base, lost)
        if not pending:
            return conflicts
        try:
            job.snapshots.append(_commit(job, state, pending))
        except OutcomeUnknownError:
            raise
        except LostRaceError as error:
            sure = sure and error.sure
            continue
        except Exception:
            if sure:
                _discard(base, pending)
            raise
        return conflicts
    if sure:
        _discard(base, pending)
    raise LostRaceError(f"{spell(base.table)}: lost {_RACES} races for a commit", sure=sure)


def _touched(base: State, state: State, delete_files: DeleteFiles) -> set[str] | None:
    """Return the files of a state that were since removed or had rows deleted; None for all."""
    if unwritable(state.table) or state.metadata.table_uuid != base.metadata.table_uuid:
        return None
    touched = base.data.keys() - state.data.keys()
    fresh = [state.deletes[path] for path in state.deletes.keys() - base.deletes.keys()]
    if len(positional(fresh)) < len(fresh):
        # Equality deletes may be about any of the rows.
        return None
    # A rollback takes deletes back: what was written without these rows would lose them.
    undone = [base.deletes[path] for path in base.deletes.keys() - state.deletes.keys()]
    for entry in [*fresh, *positional(undone)]:
        touched |= delete_files.referenced(entry.data_file, base.data.keys() | state.data.keys())
    return touched


def _commit(job: Job, state: State, rewritten: Sequence[_Rewritten]) -> int:
    removed = {path for group in rewritten for path in group.inputs}
    removed |= _dangling(state, removed)
    added = [file for group in rewritten for file in group.files]
    draft = Draft(state)
    manifests, gone = kept(draft, job.reader, removed)
    summary = summarize(state, added, [entry.data_file for entry in gone])
    snapshot = draft.snapshot([*draft.added(added), *manifests], summary)
    commit(job.catalog, draft, snapshot)
    return snapshot.snapshot_id


def _dangling(state: State, removed: set[str]) -> set[str]:
    """Find the position delete files all of whose data files are gone once some are removed."""
    files = DeleteFiles(state.table.io)
    return {
        path
        for path, entry in state.deletes.items()
        if entry.data_file.content == DataFileContent.POSITION_DELETES
        and not any(
            data in state.data and data not in removed
            for data in files.referenced(entry.data_file, state.data)
        )
    }


def _discard(state: State, rewritten: Iterable[_Rewritten]) -> None:
    discard(state.table.io, [file.file_path for group in rewritten for file in group.files])
