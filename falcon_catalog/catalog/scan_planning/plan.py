"""Plan a scan: from manifest lists over manifests to the files that may hold a match."""

from collections.abc import Iterator
from dataclasses import dataclass

from falcon_catalog.catalog.scan_planning import manifests, statistics
from falcon_catalog.catalog.scan_planning.bounds import Verdict
from falcon_catalog.catalog.scan_planning.deletes import DeleteIndex
from falcon_catalog.catalog.scan_planning.expressions import residual, verdict
from falcon_catalog.catalog.scan_planning.manifests import ContentFile, Manifest
from falcon_catalog.catalog.scan_planning.scan import Scan
from falcon_catalog.catalog.scan_planning.tasks import Task
from falcon_catalog.catalog.warehouse import Warehouse


@dataclass(frozen=True, slots=True)
class Plan:
    """A scan, and the manifests that it must open."""

    scan: Scan
    data: tuple[Manifest, ...]
    deletes: tuple[Manifest, ...]

    @property
    def size(self) -> int:
        """How many manifests are to be opened."""
        return len(self.data) + len(self.deletes)


def prepare(warehouse: Warehouse, scan: Scan) -> Plan:
    """Read the manifest lists of a scan, and leave out what cannot match.

    Raises:
        NotFoundError, ForbiddenError, BadRequestError: a manifest list cannot be read.
    """
    found: dict[str, Manifest] = {}
    for snapshot in scan.snapshots:
        for manifest in manifests.read_list(warehouse, snapshot, scan.specs):
            found.setdefault(manifest.path, manifest)
    data: list[Manifest] = []
    deletes: list[Manifest] = []
    appended = {snapshot["snapshot-id"] for snapshot in scan.snapshots}
    for manifest in found.values():
        if scan.is_incremental and (
            manifest.has_deletes or manifest.snapshot_id not in {*appended, None}
        ):
            continue
        known = statistics.of_manifest(manifest)
        if scan.filter is None or verdict(scan.filter, known) != Verdict.NEVER:
            (deletes if manifest.has_deletes else data).append(manifest)
    return Plan(scan, tuple(data), tuple(deletes) if data else ())


def tasks(warehouse: Warehouse, plan: Plan) -> Iterator[list[Task]]:
    """Yield the tasks of a plan, one list for each manifest that is opened.

    Raises:
        NotFoundError, ForbiddenError, BadRequestError: a manifest cannot be read.
    """
    deleted: list[ContentFile] = []
    for manifest in plan.deletes:
        deleted += manifests.read(warehouse, manifest)
        yield []
    index = DeleteIndex(deleted, plan.scan.types)
    for manifest in plan.data:
        yield [
            task
            for file in manifests.read(warehouse, manifest)
            if _is_wanted(plan.scan, file) and (task := _task(plan.scan, file, index)) is not None
        ]


def _is_wanted(scan: Scan, file: ContentFile) -> bool:
    if scan.is_incremental:
        appended = {snapshot["snapshot-id"] for snapshot in scan.snapshots}
        if not file.is_added or file.snapshot_id not in appended:
            return False
    if scan.filter is None:
        return True
    if file.raw[103] == 0:
        return False  # no rows, so that its counts say nothing
    return verdict(scan.filter, statistics.of_file(file)) != Verdict.NEVER


def _task(scan: Scan, file: ContentFile, index: DeleteIndex) -> Task | None:
    """Return the task of a file, or None when its partition cannot match."""
    left = None if scan.filter is None else residual(scan.filter, statistics.of_partition(file))
    return None if left is False else Task(file, index.of(file), left)
