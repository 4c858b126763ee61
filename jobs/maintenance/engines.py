"""The engines of table maintenance: the built-in one, and Iceberg's procedures on Spark."""

from collections.abc import Callable, Iterable, Mapping

from pyiceberg.catalog import Catalog
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.typedef import Identifier

from jobs.maintenance import spark
from jobs.maintenance.compaction import compact
from jobs.maintenance.errors import RefusedError
from jobs.maintenance.expiry import expire_snapshots
from jobs.maintenance.manifests import rewrite_manifests
from jobs.maintenance.orphans import remove_orphans
from jobs.maintenance.results import Result
from jobs.spark.session import start

ENGINES = ("builtin", "spark")

Operation = Callable[..., Result]

_ON_SPARK: dict[Operation, Operation] = {
    compact: spark.compact,
    rewrite_manifests: spark.rewrite_manifests,
    expire_snapshots: spark.expire_snapshots,
    remove_orphans: spark.remove_orphans,
    spark.compute_stats: spark.compute_stats,
}
"""Our operations, and those that run Iceberg's procedures instead."""

_MAIN_ONLY = "the procedure works on the branch main"
UNKNOWN_TO_SPARK: Mapping[str, Mapping[str, str]] = {
    "compact": {
        "memory_bytes": "its memory is --spark-conf spark.executor.memory or spark.driver.memory",
        "groups_per_commit": "it commits all groups at once",
        "dry_run": "rewrite_data_files has no dry run; --engine builtin has one",
    },
    "rewrite-manifests": {
        "target_bytes": "set the table's property commit.manifest.target-size-bytes",
        "branch": _MAIN_ONLY,
        "dry_run": "rewrite_manifests has no dry run; --engine builtin has one",
    },
    "expire-snapshots": {"keep_files": "expire_snapshots deletes what only they reach"},
    "remove-orphans": {
        "allow_young": "remove_orphan_files refuses an age below 24h in any case",
    },
}
"""Options of commands that no procedure has, by parameter, with what to do instead."""


def start_spark(
    catalog: Catalog, tables: Iterable[Identifier], conf: Mapping[str, str]
) -> spark.Spark:
    """Start Spark on a catalog.

    Args:
        catalog: where the tables are.
        tables: their names; where they lie decides on the packages that Spark needs.
        conf: Spark's settings.

    Raises:
        RefusedError: the catalog is no REST catalog.
        SparkUnavailableError: pyspark or Java is missing.
    """
    if not isinstance(catalog, RestCatalog):
        raise RefusedError("--engine spark needs a REST catalog")
    locations = [catalog.load_table(name).location() for name in tables]
    return spark.Spark(start("jobs.maintenance", conf, catalog.properties, locations))


def procedure(operation: Operation) -> Operation:
    """Return an operation's counterpart on Spark.

    Raises:
        RefusedError: no procedure of Iceberg does this.
    """
    found = _ON_SPARK.get(operation)
    if found is None:
        why = {
            "old_metadata": "remove-orphans deletes such files, too",
            "check_partitions": "no procedure of Iceberg does this",
        }[operation.__name__]
        raise RefusedError(f"not with --engine spark: {why}")
    return found
