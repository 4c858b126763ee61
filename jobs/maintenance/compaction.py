"""Compaction: rewrite small files, and files with deleted rows, into fewer new ones."""

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

from jobs.lake.iceberg import attempts
from jobs.maintenance.deletes import DeleteFiles, positional
from jobs.maintenance.errors import LostRaceError, OutcomeUnknownError
from jobs.maintenance.files import discard
from jobs.maintenance.locations import normal
from jobs.maintenance.names import Name, identifier
from jobs.maintenance.planning import Group, Plan, groups, target
from jobs.maintenance.results import Result, Skipped, counted
from jobs.maintenance.rows import Rows, Writer, ranks, sort_order
from jobs.maintenance.snapshots import Draft, commit, kept, summarize
from jobs.maintenance.state import Reader, State, look, spell, unwritable

log = logging.getLogger(__name__)

_ROUNDS = 5
_RACES = 10
# How far a file may exceed its share of the group before it is closed: sizes are estimates.
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
    """The arguments of a rewrite, and what it has committed so far."""

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
    """The result of a rewrite: the state after it, the groups of its last round, what was left."""

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
    """Rewrite small files, and files with deleted rows, of a branch into fewer new ones.

    The rows do not change: commits have the operation ``replace``. Rows that other writers append
    meanwhile are kept. If they delete or overwrite rows of a group's files, the group is discarded
    and planned again. Groups are read, sorted and written within about ``plan.memory_bytes``.

    Raises:
        RefusedError: there is no such branch, or the sort order is invalid.
        LostRaceError: other writers committed first, in every one of many attempts.
        OutcomeUnknownError: a commit may have arrived.
    """
    plan = plan or Plan()
    job = Job(catalog, identifier(name), branch, plan, progress)
    first = look(catalog, job.name, branch, job.reader)
    title, before = spell(first.table), first.sizes()
    why = refusal(first)
    if why is not None:
        return Result("compact", title, before, before, skipped=(Skipped(title, why),))
    rewritten = rewrite(job, first, lambda state, deletes: groups(state, plan, deletes))
    work = rewritten.work
    files = counted(sum(len(group.files) for group in work), "file")
    notes = [f"{counted(len(work), 'group')} of {files} would be rewritten"]
    return Result(
        "compact",
        title,
        before,
        after=rewritten.state.sizes(),
        snapshots=tuple(job.snapshots),
        skipped=tuple(rewritten.skipped),
        notes=tuple(notes) if plan.dry_run else (),
        dry_run=plan.dry_run,
    )


def rewrite(job: Job, state: State, choose: Choose) -> Rewriting:
    """Rewrite the groups of files that ``choose`` returns for a state, beginning with this one.

    As ``compact``: safe beside other writers, in commits of operation ``replace``. ``choose`` is
    called again, with the new state, for groups that met a conflict.

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
    """Return why the files of a table cannot be rewritten; None if they can."""
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
    """Rewrite groups and commit them; return whether any met a conflict."""
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
    """Rank the rows by their sort columns, then read all files once per range that fits memory."""
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
    # Half of the memory: the rows of a range are held twice, unsorted and sorted.
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
    """Commit the groups that other writers did not touch; return the number of the others."""
    pending, conflicts, sure = list(rewritten), 0, True
    for _ in attempts(_RACES):
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
    """Return the files removed from ``base`` or with rows deleted since; None stands for all."""
    if unwritable(state.table) or state.metadata.table_uuid != base.metadata.table_uuid:
        return None
    touched = base.data.keys() - state.data.keys()
    fresh = [state.deletes[path] for path in state.deletes.keys() - base.deletes.keys()]
    if len(positional(fresh)) < len(fresh):
        # Equality deletes may apply to any row.
        return None
    # After a rollback the deleted rows are back, and the new files lack them.
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
    """Return the position delete files that apply to no file once some are removed."""
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
