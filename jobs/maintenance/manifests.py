"""Rewrite manifests into fewer ones, sorted by partition."""

import logging
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace

from pyiceberg.catalog import Catalog
from pyiceberg.manifest import ManifestEntry, ManifestFile, ManifestWriter
from pyiceberg.table import TableProperties
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.utils.properties import property_as_int

from jobs.lake.iceberg import attempts
from jobs.maintenance.errors import LostRaceError
from jobs.maintenance.names import Name
from jobs.maintenance.results import Result, Size, Skipped, counted
from jobs.maintenance.snapshots import Draft, commit, summarize
from jobs.maintenance.state import Reader, State, is_deletes, look, spell, unwritable

log = logging.getLogger(__name__)

_RACES = 10


def rewrite_manifests(
    catalog: Catalog,
    name: Name,
    *,
    target_bytes: int | None = None,
    branch: str = "main",
    dry_run: bool = False,
    progress: Callable[[str], None] = log.info,
) -> Result:
    """Rewrite the manifests of a branch's data files into fewer ones, sorted by partition.

    Data files and the manifests of delete files are kept. Nothing is done if there would not be
    fewer manifests than before.

    Args:
        catalog: where the table is.
        name: the table.
        target_bytes: size of a manifest; the table's ``commit.manifest.target-size-bytes``, else
            8 MiB, if not given.
        branch: the branch to work on.
        dry_run: only report what would be done.
        progress: called with lines of progress.

    Raises:
        RefusedError: there is no such branch.
        LostRaceError: other writers committed first, in every one of many attempts.
        OutcomeUnknownError: the commit may have arrived.
    """
    reader = Reader()
    for _ in attempts(_RACES):
        state = look(catalog, name, branch, reader)
        title, before = spell(state.table), sizes(state.manifests)
        result = Result("rewrite-manifests", title, before, before, dry_run=dry_run)
        why, groups = _plan(state, reader, target_bytes)
        if why:
            return replace(result, skipped=(Skipped(title, why),))
        if dry_run:
            notes = (f"{counted(len(groups), 'manifest')} of data files would be written",)
            return replace(result, notes=notes)
        progress(f"{title}: writing {len(groups)} manifests")
        draft = Draft(state)
        manifests = [
            draft.manifest(spec_id, entries, ManifestWriter.existing) for spec_id, entries in groups
        ]
        manifests += [manifest for manifest in state.manifests if is_deletes(manifest)]
        counts = {
            "manifests-created": str(len(groups)),
            "manifests-replaced": str(sum(not is_deletes(m) for m in state.manifests)),
            "entries-processed": str(sum(len(entries) for _, entries in groups)),
        }
        snapshot = draft.snapshot(manifests, summarize(state, properties=counts))
        try:
            commit(catalog, draft, snapshot)
        except LostRaceError as error:
            progress(f"{title}: {error}; trying again")
            continue
        return replace(result, after=sizes(manifests), snapshots=(snapshot.snapshot_id,))
    raise LostRaceError(f"{title}: lost {_RACES} races for a commit", sure=True)


def manifest_bytes(metadata: TableMetadata) -> int:
    """Return the size of manifests that a table asks for, in bytes."""
    default = TableProperties.MANIFEST_TARGET_SIZE_BYTES_DEFAULT
    name = TableProperties.MANIFEST_TARGET_SIZE_BYTES
    return property_as_int(metadata.properties, name, default) or default


Groups = list[tuple[int, list[ManifestEntry]]]


def _plan(state: State, reader: Reader, target_bytes: int | None) -> tuple[str | None, Groups]:
    """Return each spec's entries by new manifest, sorted by partition; or the reason for none."""
    why = unwritable(state.table)
    if why:
        return why, []
    size = target_bytes or manifest_bytes(state.metadata)
    data = [manifest for manifest in state.manifests if not is_deletes(manifest)]
    by_spec: dict[int, list[ManifestEntry]] = defaultdict(list)
    lengths: dict[int, int] = defaultdict(int)
    for manifest in data:
        by_spec[manifest.partition_spec_id] += reader.live(state.table.io, manifest)
        lengths[manifest.partition_spec_id] += manifest.manifest_length
    groups: Groups = []
    for spec_id, entries in by_spec.items():
        count = max(1, -(-lengths[spec_id] // size))
        each = max(1, -(-len(entries) // count))
        entries.sort(key=_place)
        groups += [
            (spec_id, entries[start : start + each]) for start in range(0, len(entries), each)
        ]
    if len(groups) >= len(data):
        return f"its {counted(len(data), 'manifest')} of data files would not become fewer", []
    return None, groups


def _place(entry: ManifestEntry) -> tuple[tuple[bool, str, object], ...]:
    """Return a sort key: the partition's fields, nulls first, of any type."""
    partition = entry.data_file.partition
    values = [partition[number] for number in range(len(partition))]
    return tuple(
        (value is not None, type(value).__name__, 0 if value is None else value) for value in values
    )


def sizes(manifests: Sequence[ManifestFile]) -> dict[str, Size]:
    """Return the sizes of manifests by kind."""
    data = [m.manifest_length for m in manifests if not is_deletes(m)]
    deletes = [m.manifest_length for m in manifests if is_deletes(m)]
    return {
        "manifests of data files": Size(len(data), sum(data)),
        "manifests of delete files": Size(len(deletes), sum(deletes)),
    }
