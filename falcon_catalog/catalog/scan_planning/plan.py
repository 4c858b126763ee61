"""The plan of a scan: from manifest lists and manifests to the files that may match."""

from collections.abc import Iterator
from dataclasses import dataclass

from falcon_catalog.catalog.scan_planning import manifests, statistics
from falcon_catalog.catalog.scan_planning.bounds import Match
from falcon_catalog.catalog.scan_planning.deletes import DeleteIndex
from falcon_catalog.catalog.scan_planning.expressions import evaluate, residual
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
        """The number of manifests to open."""
        return len(self.data) + len(self.deletes)


def prepare(warehouse: Warehouse, scan: Scan) -> Plan:
    """Read the manifest lists of a scan, and skip manifests that cannot match.

    Raises:
        NotFoundError, ForbiddenError, BadRequestError: a manifest list cannot be read.
    """
    found: dict[str, Manifest] = {}
    for snapshot in scan.snapshots:
        for manifest in manifests.read_list(warehouse, snapshot, scan.specs):
            found.setdefault(manifest.path, manifest)
    data: list[Manifest] = []
    deletes: list[Manifest] = []
    for manifest in found.values():
        if scan.is_incremental and (
            manifest.has_deletes or manifest.snapshot_id not in {*scan.snapshot_ids, None}
        ):
            continue
        bounds = statistics.of_manifest(manifest)
        if scan.filter is None or evaluate(scan.filter, bounds) != Match.NEVER:
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
        found = (_task(plan.scan, file, index) for file in manifests.read(warehouse, manifest))
        yield [task for task in found if task is not None]


def _task(scan: Scan, file: ContentFile, index: DeleteIndex) -> Task | None:
    """Return the task of a file, or None if the scan does not need it."""
    if scan.is_incremental and not (file.is_added and file.snapshot_id in scan.snapshot_ids):
        return None
    if scan.filter is None:
        return Task(file, index.of(file), None)
    # The counts of a file without rows mean nothing.
    if file.raw[103] == 0 or evaluate(scan.filter, statistics.of_file(file)) == Match.NEVER:
        return None
    left = residual(scan.filter, statistics.of_partition(file))
    return None if left is False else Task(file, index.of(file), left)
