"""Rewriting manifests: few of them, each about neighbouring partitions."""

import logging
from collections import defaultdict
from collections.abc import Callable

from pyiceberg.catalog import Catalog
from pyiceberg.manifest import ManifestEntry, ManifestFile
from pyiceberg.table import TableProperties
from pyiceberg.utils.properties import property_as_int

from jobs.maintenance.errors import LostRaceError
from jobs.maintenance.names import Name
from jobs.maintenance.results import Result, Size, Skipped
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
    """Write the manifests of a branch's data files anew: few, and sorted by partition.

    Data files and the manifests of delete files stay as they are. Nothing is done when there
    would not be fewer manifests than before.

    Args:
        catalog: where the table is.
        name: the table.
        target_bytes: size of a manifest; the table's ``commit.manifest.target-size-bytes``, else
            8 MB, if not given.
        branch: the branch to work on.
        dry_run: only report what would be done.
        progress: called with lines of progress.

    Raises:
        RefusedError: there is no such branch.
        LostRaceError: other writers won every one of many races.
        OutcomeUnknownError: the catalog did not say whether the commit arrived.
    """
    reader = Reader()
    for _ in range(_RACES):
        state = look(catalog, name, branch, reader)
        before = _sizes(state.manifests)
        why, groups = _plan(state, reader, target_bytes)
        if why or dry_run:
            skipped = (Skipped(spell(state.table), why),) if why else ()
            notes = () if why else (f"{len(groups)} manifests of data files would be written",)
            return Result(
                "rewrite-manifests",
                spell(state.table),
                before,
                before,
                skipped=skipped,
                notes=notes,
                dry_run=dry_run,
            )
        progress(f"{spell(state.table)}: writing {len(groups)} manifests")
        draft = Draft(state)
        manifests = [draft.existing(spec_id, entries, deletes=False) for spec_id, entries in groups]
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
            progress(f"{spell(state.table)}: {error}; looking again")
            continue
        return Result(
            "rewrite-manifests",
            spell(state.table),
            before,
            _sizes(tuple(manifests)),
            snapshots=(snapshot.snapshot_id,),
        )
    raise LostRaceError(f"{spell(state.table)}: lost {_RACES} races for a commit", sure=True)


Groups = list[tuple[int, list[ManifestEntry]]]


def _plan(state: State, reader: Reader, target_bytes: int | None) -> tuple[str | None, Groups]:
    """Cut each spec's entries, sorted by partition, into manifests; or return why not."""
    why = unwritable(state.table)
    if why:
        return why, []
    size = target_bytes or property_as_int(
        state.metadata.properties,
        TableProperties.MANIFEST_TARGET_SIZE_BYTES,
        TableProperties.MANIFEST_TARGET_SIZE_BYTES_DEFAULT,
    )
    data = [manifest for manifest in state.manifests if not is_deletes(manifest)]
    by_spec: dict[int, list[ManifestEntry]] = defaultdict(list)
    lengths: dict[int, int] = defaultdict(int)
    for manifest in data:
        by_spec[manifest.partition_spec_id] += reader.live(state.table.io, manifest)
        lengths[manifest.partition_spec_id] += manifest.manifest_length
    groups: Groups = []
    for spec_id, entries in by_spec.items():
        count = max(1, -(-lengths[spec_id] // (size or 1)))
        each = max(1, -(-len(entries) // count))
        entries.sort(key=_place)
        groups += [
            (spec_id, entries[start : start + each]) for start in range(0, len(entries), each)
        ]
    if len(groups) >= len(data):
        return f"its {len(data)} manifests of data files would not become fewer", []
    return None, groups


def _place(entry: ManifestEntry) -> tuple[tuple[bool, str, object], ...]:
    """Order partitions field by field, nulls first, whatever their types."""
    partition = entry.data_file.partition
    values = [partition[number] for number in range(len(partition))]
    return tuple(
        (value is not None, type(value).__name__, 0 if value is None else value) for value in values
    )


def _sizes(manifests: tuple[ManifestFile, ...]) -> dict[str, Size]:
    data = [m.manifest_length for m in manifests if not is_deletes(m)]
    deletes = [m.manifest_length for m in manifests if is_deletes(m)]
    return {
        "manifests of data files": Size(len(data), sum(data)),
        "manifests of delete files": Size(len(deletes), sum(deletes)),
    }
