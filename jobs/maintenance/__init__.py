"""Maintenance of Iceberg tables in any REST catalog, safe beside running writers.

Each operation is a function of a catalog and a table's name that returns a ``Result``; for the
command line see ``python -m jobs.maintenance --help``.
"""

from jobs.maintenance.compaction import compact
from jobs.maintenance.errors import OutcomeUnknownError, RefusedError, UncheckedError
from jobs.maintenance.expiry import expire_snapshots
from jobs.maintenance.manifests import rewrite_manifests
from jobs.maintenance.misplaced import check_partitions
from jobs.maintenance.orphans import old_metadata, remove_orphans
from jobs.maintenance.planning import Plan
from jobs.maintenance.results import Result, Size, Skipped

__all__ = [
    "OutcomeUnknownError",
    "Plan",
    "RefusedError",
    "Result",
    "Size",
    "Skipped",
    "UncheckedError",
    "check_partitions",
    "compact",
    "expire_snapshots",
    "old_metadata",
    "remove_orphans",
    "rewrite_manifests",
]
