"""Data files with rows that do not belong to the partition that their manifest states.

A reader that filters by a partition column skips such rows, and one that takes the values of
identity columns from the partition reads wrong values. Only reading the files reveals them.
"""

import logging
from collections.abc import Callable

import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.manifest import ManifestEntry
from pyiceberg.schema import prune_columns
from pyiceberg.transforms import UnknownTransform

from jobs.lake.partitions import strays
from jobs.maintenance.compaction import Job, refusal, rewrite
from jobs.maintenance.deletes import DeleteFiles
from jobs.maintenance.names import Name, identifier
from jobs.maintenance.planning import READABLE, Group, Plan, group_of, readable_files
from jobs.maintenance.results import Result, Skipped, counted
from jobs.maintenance.rows import Rows
from jobs.maintenance.state import State, look, schema_of, size, spell

log = logging.getLogger(__name__)

_EVERY = 100


def check_partitions(
    catalog: Catalog,
    name: Name,
    *,
    repair: bool = False,
    branch: str = "main",
    memory_bytes: int = Plan.memory_bytes,
    progress: Callable[[str], None] = log.info,
) -> Result:
    """Find data files with rows of another partition than their manifest states.

    The partition columns of each partitioned data file of a branch are read and compared under the
    file's own partition spec. Deleted rows count as well. A column that a file lacks, because its
    writer stored the value in the partition only, cannot differ.

    Args:
        catalog: where the table is.
        name: the table.
        repair: rewrite the files that are found, as ``compact`` does, into the right partitions of
            the current spec.
        branch: the branch to work on. Older snapshots are not changed.
        memory_bytes: approximate limit of a file's rows in memory.
        progress: called with lines of progress.

    Raises:
        RefusedError: there is no such branch.
        LostRaceError, OutcomeUnknownError: as ``compact``.
    """
    job = Job(catalog, identifier(name), branch, Plan(memory_bytes=memory_bytes), progress)
    first = look(catalog, job.name, branch, job.reader)
    check = _Check(progress, spell(first.table))
    found = check.misplaced(first)
    before = {**first.sizes(), "misplaced data files": size(found.values())}
    skipped = [*check.skipped]
    last, left = first, found
    if repair and found:
        why = refusal(first)
        if why is not None:
            skipped.append(Skipped(counted(len(found), "misplaced data file"), why))
        else:
            rewritten = rewrite(job, first, check.groups)
            last, left = rewritten.state, check.misplaced(rewritten.state)
            skipped += rewritten.skipped
    return Result(
        "check-partitions",
        spell(first.table),
        before=before,
        after={**last.sizes(), "misplaced data files": size(left.values())},
        snapshots=tuple(job.snapshots),
        skipped=tuple(skipped),
        found=tuple(
            f"{entry.data_file.file_path}: {check.rows[path]} of {entry.data_file.record_count}"
            " rows belong to other partitions"
            for path, entry in left.items()
        )
        + tuple(
            f"{path}: cannot be read: {why}"
            for path, why in check.broken.items()
            if path in last.data
        ),
    )


class _Check:
    """Reads each data file once, because data files are immutable."""

    def __init__(self, progress: Callable[[str], None], name: str) -> None:
        self._progress = progress
        self._name = name
        self.rows: dict[str, int] = {}
        """The number of misplaced rows, by normal location of the file."""
        self.broken: dict[str, str] = {}
        """Why a file could not be read, by normal location."""
        self.skipped: list[Skipped] = []

    def misplaced(self, state: State) -> dict[str, ManifestEntry]:
        """Return the live data files with misplaced rows, by normal location."""
        fresh = [path for path in state.data if path not in self.rows]
        unread: dict[str, int] = {}
        for number, path in enumerate(fresh, 1):
            why = _unreadable(state, state.data[path])
            if why is None:
                try:
                    self.rows[path] = _count(state, state.data[path])
                except (OSError, pa.ArrowException) as error:
                    self.rows[path], self.broken[path] = 0, str(error)
            else:
                unread[why] = unread.get(why, 0) + 1
            if number % _EVERY == 0 or number == len(fresh):
                self._progress(f"{self._name}: {number} of {len(fresh)} data files checked")
        if unread:
            self.skipped = [Skipped(f"{count} data files", why) for why, count in unread.items()]
        return {path: entry for path, entry in state.data.items() if self.rows.get(path)}

    def groups(self, state: State, delete_files: DeleteFiles) -> tuple[list[Group], list[Skipped]]:
        """Return a group for each misplaced file, and the files that cannot be read."""
        readable, deletes, skipped = readable_files(state, delete_files)
        found = self.misplaced(state)
        groups = [group_of([e], deletes) for path, e in found.items() if path in readable]
        blocked = found.keys() - readable.keys()
        return groups, skipped if blocked else []


def _unreadable(state: State, entry: ManifestEntry) -> str | None:
    spec = state.metadata.specs()[entry.data_file.spec_id]
    if any(isinstance(field.transform, UnknownTransform) for field in spec.fields):
        return "their partition transform is not known"
    if not {field.source_id for field in spec.fields} <= set(
        schema_of(state.metadata, spec).field_ids
    ):
        return "no schema of the table has all columns that they are partitioned by"
    if spec.fields and entry.data_file.file_format not in READABLE:
        return f"PyIceberg cannot read {entry.data_file.file_format.value}"
    return None


def _count(state: State, entry: ManifestEntry) -> int:
    """Return the number of rows of a file that belong to another partition."""
    file, metadata = entry.data_file, state.metadata
    spec = metadata.specs()[file.spec_id]
    if spec.is_unpartitioned():
        return 0
    schema = schema_of(metadata, spec)
    narrow = prune_columns(schema, {field.source_id for field in spec.fields})
    source = Rows(state, group_of([entry], {}), DeleteFiles(state.table.io))
    return sum(strays(spec, schema, file.partition, rows) for rows in source.read(narrow))
