"""Maintenance of Iceberg tables in any REST catalog, safe beside running writers.

Each operation is a plain function of a catalog and a table's name that returns a ``Result``;
``python -m jobs.maintenance --help`` is the same on the command line.
"""

from jobs.maintenance.compaction import compact
from jobs.maintenance.errors import OutcomeUnknownError, RefusedError, UncheckedError
from jobs.maintenance.expiry import expire_snapshots
from jobs.maintenance.manifests import rewrite_manifests
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
    "compact",
    "expire_snapshots",
    "old_metadata",
    "remove_orphans",
    "rewrite_manifests",
]
