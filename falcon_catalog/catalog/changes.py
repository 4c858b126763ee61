"""What differs between two snapshots of a table: files, by comparing manifests, and settings."""

from collections.abc import Iterable
from dataclasses import dataclass

from falcon_catalog.catalog import contents
from falcon_catalog.catalog.call import Call
from falcon_catalog.catalog.contents import LiveFile
from falcon_catalog.catalog.metadata_cache import read_metadata
from falcon_catalog.catalog.policy import check_allowed
from falcon_catalog.catalog.scan_planning.manifests import Manifest
from falcon_catalog.errors import CatalogError
from falcon_catalog.metadata import history
from falcon_catalog.metadata.json_fields import JSON
from falcon_catalog.metadata.table import validate

_TRIED = 3


@dataclass(frozen=True, slots=True)
class Difference:
    """The manifests of two snapshots that only one of them has."""

    before: tuple[Manifest, ...]
    after: tuple[Manifest, ...]

    @property
    def bytes(self) -> int:
        """What must be read to compare the files."""
        return sum(manifest.length for manifest in (*self.before, *self.after))


@dataclass(frozen=True, slots=True)
class FileChanges:
    """The live files that only one of two snapshots has."""

    added: tuple[LiveFile, ...]
    removed: tuple[LiveFile, ...]
    is_complete: bool
    """False: there are too many manifests to compare, and no files are given."""


@dataclass(slots=True)
class PartitionChange:
    """What changed in a partition; deletes are delete files."""

    partition: str
    added_files: int = 0
    removed_files: int = 0
    added_rows: int = 0
    removed_rows: int = 0
    added_bytes: int = 0
    removed_bytes: int = 0
    added_deletes: int = 0
    removed_deletes: int = 0

    @property
    def bytes(self) -> int:
        """How much was written and removed."""
        return self.added_bytes + self.removed_bytes


def manifests(call: Call, metadata: JSON, before: JSON | None, after: JSON | None) -> Difference:
    """Return the manifests that only one of two snapshots has; None is an empty table.

    Raises:
        NotFoundError, ForbiddenError, BadRequestError: a manifest list cannot be read.
    """
    old = contents.manifests_of(call, metadata, before)
    new = contents.manifests_of(call, metadata, after)
    old_paths, new_paths = ({each.path for each in some} for some in (old, new))
    return Difference(
        tuple(each for each in old if each.path not in new_paths),
        tuple(each for each in new if each.path not in old_paths),
    )


def files(call: Call, metadata: JSON, difference: Difference) -> FileChanges:
    """Return the live files that only one of two snapshots has.

    A manifest that was rewritten has files of before, which are no change. The caller must hold
    ``select`` on the table.

    Raises:
        NotFoundError, ForbiddenError, BadRequestError: a manifest cannot be read.
    """
    old = contents.read(call, metadata, difference.before)
    new = contents.read(call, metadata, difference.after)
    if not (old.is_complete and new.is_complete):
        return FileChanges((), (), is_complete=False)
    old_files, new_files = ({file.identity for file in each.files} for each in (old, new))
    return FileChanges(
        tuple(file for file in new.files if file.identity not in old_files),
        tuple(file for file in old.files if file.identity not in new_files),
        is_complete=True,
    )


def by_partition(changes: FileChanges) -> list[PartitionChange]:
    """Return what changed in each partition, the largest change first."""
    found: dict[str, PartitionChange] = {}

    def of(file: LiveFile) -> PartitionChange:
        return found.setdefault(file.partition, PartitionChange(file.partition))

    for file in changes.added:
        change = of(file)
        change.added_bytes += file.bytes
        if file.kind == "data":
            change.added_files += 1
            change.added_rows += file.rows
        else:
            change.added_deletes += 1
    for file in changes.removed:
        change = of(file)
        change.removed_bytes += file.bytes
        if file.kind == "data":
            change.removed_files += 1
            change.removed_rows += file.rows
        else:
            change.removed_deletes += 1
    return sorted(found.values(), key=lambda each: (-each.bytes, each.partition))


def state_at(call: Call, metadata: JSON, snapshot: JSON) -> JSON | None:
    """Return the table's metadata when a snapshot was committed; None if it is no longer known.

    It is that of the first file in the metadata log that has the snapshot.
    """
    log = metadata.get("metadata-log") or ()
    since, snapshot_id = snapshot["timestamp-ms"], snapshot["snapshot-id"]
    later = [entry["metadata-file"] for entry in log if entry["timestamp-ms"] >= since]
    for location in later[:_TRIED]:
        try:
            check_allowed(call.warehouse, location)
            found = validate(read_metadata(call.warehouse.files, location, "an earlier state"))
        except CatalogError:
            # It was deleted, as write.metadata.delete-after-commit.enabled does, or is damaged.
            return None
        if found.get("table-uuid") != metadata["table-uuid"]:
            return None
        if _has(found["snapshots"], snapshot_id):
            return found
    return metadata if len(later) < _TRIED and _has(metadata["snapshots"], snapshot_id) else None


def between(metadata: JSON, before: JSON | None, after: JSON) -> list[JSON] | None:
    """Return the snapshots after one up to another, newest first; None if it is no ancestor."""
    found: list[JSON] = []
    for snapshot in history.ancestors(history.by_id(metadata), after["snapshot-id"]):
        if before is not None and snapshot["snapshot-id"] == before["snapshot-id"]:
            return found
        found.append(snapshot)
    return found if before is None else None


def _has(snapshots: Iterable[JSON], snapshot_id: int) -> bool:
    return any(each["snapshot-id"] == snapshot_id for each in snapshots)
