"""Planning of compaction: which files are rewritten together."""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from pyiceberg.manifest import DataFile, FileFormat, ManifestEntry
from pyiceberg.table import TableProperties
from pyiceberg.utils.bin_packing import ListPacker
from pyiceberg.utils.properties import property_as_int

from jobs.lake.partitions import exact
from jobs.maintenance.deletes import DeleteFiles, position_deletes, under_equality_deletes
from jobs.maintenance.errors import RefusedError
from jobs.maintenance.locations import normal
from jobs.maintenance.results import Skipped, counted
from jobs.maintenance.state import State

_LOOKBACK = 32
READABLE = {FileFormat.PARQUET, FileFormat.ORC}
"""The formats of data files that PyIceberg can read."""


@dataclass(frozen=True)
class Plan:
    """Which files to compact, and how.

    A data file is a candidate if it is smaller than ``small`` times the target size, larger
    than ``large`` times it, or has ``delete_files`` delete files or more, or ``delete_ratio`` of
    its rows deleted. Candidates of a partition are packed into groups of about the target size. A
    group is rewritten if it has ``min_input_files`` files, fills a new file, or has a file that is
    too large or has too many deletes. Files of older partition specs are packed together.
    """

    target_bytes: int | None = None
    """Size of new files; None: the table's ``write.target-file-size-bytes``, else 512 MiB."""
    min_input_files: int = 5
    small: float = 0.75
    large: float = 1.8
    delete_files: int = 5
    delete_ratio: float = 0.1
    rewrite_all: bool = False
    sort: str | None = None
    """``"station_id, observed_at desc nulls last"``; None: the table's sort order, if any."""
    memory_bytes: int = 512 << 20
    """Approximate limit of a group's rows in memory."""
    groups_per_commit: int = 100
    dry_run: bool = False

    def __post_init__(self) -> None:
        for name in ("target_bytes", "min_input_files", "delete_files", "groups_per_commit"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise RefusedError(f"{name} must be 1 or more, not {value}")
        if not 0 < self.small < self.large:
            raise RefusedError(f"small ({self.small}) must be between 0 and large ({self.large})")
        if not self.delete_ratio > 0:
            raise RefusedError(f"delete_ratio must be more than 0, not {self.delete_ratio}")


@dataclass(frozen=True)
class Group:
    """Data files to rewrite together, with their position delete files by data file."""

    files: tuple[ManifestEntry, ...]
    deletes: Mapping[str, tuple[DataFile, ...]]

    @property
    def bytes(self) -> int:
        """The size of the files."""
        return sum(entry.data_file.file_size_in_bytes for entry in self.files)


def target(state: State, plan: Plan) -> int:
    """Return the target size of new files, in bytes."""
    return (
        plan.target_bytes
        or property_as_int(
            state.metadata.properties,
            TableProperties.WRITE_TARGET_FILE_SIZE_BYTES,
            TableProperties.WRITE_TARGET_FILE_SIZE_BYTES_DEFAULT,
        )
        or TableProperties.WRITE_TARGET_FILE_SIZE_BYTES_DEFAULT
    )


def groups(
    state: State, plan: Plan, delete_files: DeleteFiles
) -> tuple[list[Group], list[Skipped]]:
    """Return the groups to rewrite, and the files that cannot be."""
    readable, deletes, skipped = readable_files(state, delete_files)
    by_partition: dict[Hashable, list[ManifestEntry]] = defaultdict(list)
    for path, entry in readable.items():
        file = entry.data_file
        if _is_candidate(file, deletes.get(path, ()), plan, target(state, plan)):
            is_current = file.spec_id == state.metadata.default_spec_id
            by_partition[exact(file.partition) if is_current else None].append(entry)
    found = []
    for entries in by_partition.values():
        packer: ListPacker[ManifestEntry] = ListPacker(target(state, plan), _LOOKBACK, False)
        in_order = sorted(entries, key=lambda entry: entry.sequence_number or 0)
        for packed in packer.pack(in_order, lambda entry: entry.data_file.file_size_in_bytes):
            group = group_of(packed, deletes)
            if _is_worth_it(group, plan, target(state, plan)):
                found.append(group)
    return found, skipped


def readable_files(
    state: State, delete_files: DeleteFiles
) -> tuple[dict[str, ManifestEntry], Mapping[str, Sequence[DataFile]], list[Skipped]]:
    """Return the data files whose live rows can be read, their position deletes, and the others.

    The first two by normal location; the others with the reason.
    """
    applied = position_deletes(state, delete_files)
    doubtful = applied.doubtful
    equality = under_equality_deletes(state)
    readable, formats = {}, set()
    for path, entry in state.data.items():
        if entry.data_file.file_format not in READABLE:
            formats.add(entry.data_file.file_format.value)
        elif path not in equality and path not in doubtful:
            readable[path] = entry
    skipped = [
        Skipped(f"data files in {name}", "PyIceberg cannot read this format")
        for name in sorted(formats)
    ]
    if equality:
        why = "equality deletes apply to them, which PyIceberg cannot read"
        skipped.append(Skipped(counted(len(equality), "data file"), why))
    if doubtful:
        why = "position deletes of another partition name them, which not all readers apply"
        skipped.append(Skipped(counted(len(doubtful), "data file"), why))
    return readable, applied.by_data_file, skipped


def _is_candidate(file: DataFile, deletes: Iterable[DataFile], plan: Plan, size: int) -> bool:
    small = file.file_size_in_bytes < plan.small * size
    large = file.file_size_in_bytes > plan.large * size
    return plan.rewrite_all or small or large or _is_riddled(file, tuple(deletes), plan)


def _is_riddled(file: DataFile, deletes: tuple[DataFile, ...], plan: Plan) -> bool:
    rows = sum(delete.record_count for delete in deletes)
    many = len(deletes) >= plan.delete_files
    return many or (bool(deletes) and rows >= plan.delete_ratio * file.record_count)


def _is_worth_it(group: Group, plan: Plan, size: int) -> bool:
    if plan.rewrite_all or len(group.files) >= plan.min_input_files:
        return len(group.files) > 1 or plan.rewrite_all
    fills_a_file = len(group.files) > 1 and group.bytes >= plan.small * size
    return fills_a_file or any(
        entry.data_file.file_size_in_bytes > plan.large * size
        or _is_riddled(entry.data_file, group.deletes.get(entry.data_file.file_path, ()), plan)
        for entry in group.files
    )


def group_of(entries: list[ManifestEntry], deletes: Mapping[str, Sequence[DataFile]]) -> Group:
    """Return a group of data files, with the deletes that apply to them."""
    paths = [entry.data_file.file_path for entry in entries]
    return Group(
        files=tuple(entries),
        deletes={path: tuple(deletes[normal(path)]) for path in paths if normal(path) in deletes},
    )
