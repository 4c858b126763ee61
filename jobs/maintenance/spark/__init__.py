"""Maintenance by Iceberg's own procedures on Spark, for tables that outgrow one process.

The operations have the names, the results and the safeguards of those in ``jobs.maintenance``;
their first argument is a ``Spark``. They read no manifest in this process, except those that
protect other tables' files.
"""

from jobs.maintenance.spark.calls import Spark
from jobs.maintenance.spark.removing import expire_snapshots, remove_orphans
from jobs.maintenance.spark.rewriting import compact, compute_stats, rewrite_manifests

__all__ = [
    "Spark",
    "compact",
    "compute_stats",
    "expire_snapshots",
    "remove_orphans",
    "rewrite_manifests",
]
