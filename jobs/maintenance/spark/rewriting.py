"""Rewrite data files and manifests, and compute statistics, by procedures on Spark."""

import logging
from collections import defaultdict
from dataclasses import replace
from typing import Any

from pyiceberg.catalog import Catalog
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.table.sorting import NullOrder, SortOrder

from jobs.maintenance import reach
from jobs.maintenance.errors import RefusedError
from jobs.maintenance.manifests import manifest_bytes, sizes
from jobs.maintenance.names import Name, identifier
from jobs.maintenance.planning import Plan
from jobs.maintenance.results import Result, Size, Skipped, spell_bytes
from jobs.maintenance.rows import sort_order
from jobs.maintenance.spark.calls import Progress, Spark, literal, options
from jobs.maintenance.state import head, is_deletes, spell

log = logging.getLogger(__name__)

NO_DRY_RUN = "{} on Spark has no dry run; that of --engine builtin shows what it would rewrite"

_EMPTY = "it has no snapshot yet"


def compact(
    spark: Spark,
    catalog: Catalog,
    name: Name,
    plan: Plan | None = None,
    *,
    branch: str = "main",
    progress: Progress = log.info,
) -> Result:
    """Run ``rewrite_data_files``, then ``rewrite_position_delete_files`` where deletes are left.

    All groups are committed at once: a conflict with another writer fails the operation and
    changes nothing. The memory is that of Spark's executors, not ``plan.memory_bytes``.

    Raises:
        RefusedError: there is no such branch, the sort order is invalid, or a dry run is requested.
        LostRaceError, OutcomeUnknownError, SparkError: as ``Spark.call``.
    """
    plan = plan or Plan()
    if plan.dry_run:
        raise RefusedError(NO_DRY_RUN.format("compact"))
    table = catalog.load_table(identifier(name))
    title, first = spell(table), head(table, branch)
    if first is None:
        return Result("compact", title, skipped=(Skipped(title, _EMPTY),))
    arguments = {"options": options(_rewrite_options(plan))}
    if branch != "main":
        arguments["branch"] = literal(branch)
    order = sort_order(plan.sort, table.schema()) if plan.sort else table.sort_order()
    if not order.is_unsorted:
        arguments["strategy"] = "'sort'"
        if plan.sort:
            arguments["sort_order"] = literal(_spell_order(order, table.schema()))
    before = _live_files(spark, table, first.snapshot_id)
    (row,) = spark.call(table.name(), "rewrite_data_files", progress, **arguments)
    size = spell_bytes(row.rewritten_bytes_count)
    words = f"{row.rewritten_data_files_count} data files ({size}) rewritten into"
    notes = [f"{words} {row.added_data_files_count}"]
    after, last = _again(spark, catalog, table, branch)
    if after["delete files"].files:
        if branch == "main":
            (row,) = spark.call(table.name(), "rewrite_position_delete_files", progress)
            notes.append(
                f"{row.rewritten_delete_files_count} position delete files rewritten into"
                f" {row.added_delete_files_count}"
            )
            after, last = _again(spark, catalog, table, branch)
        else:
            notes.append("rewrite_position_delete_files works on the branch main only")
    snapshots = _written(spark, table, last)
    return Result("compact", title, before, after, snapshots=snapshots, notes=tuple(notes))


def rewrite_manifests(
    spark: Spark, catalog: Catalog, name: Name, *, progress: Progress = log.info
) -> Result:
    """Run ``rewrite_manifests``, unless there would not be fewer manifests than before.

    The size of a manifest is the table's ``commit.manifest.target-size-bytes``.

    Raises:
        LostRaceError, OutcomeUnknownError, SparkError: as ``Spark.call``.
    """
    table = catalog.load_table(identifier(name))
    title, first = spell(table), table.current_snapshot()
    if first is None:
        return Result("rewrite-manifests", title, skipped=(Skipped(title, _EMPTY),))
    manifests = reach.manifests(table.io, first)
    result = Result("rewrite-manifests", title, before=sizes(manifests), after=sizes(manifests))
    lengths: dict[tuple[int, bool], int] = defaultdict(int)
    for manifest in manifests:
        lengths[manifest.partition_spec_id, is_deletes(manifest)] += manifest.manifest_length
    size = manifest_bytes(table.metadata)
    if len(manifests) <= sum(max(1, -(-length // size)) for length in lengths.values()):
        why = f"its {len(manifests)} manifests would not become fewer"
        return replace(result, skipped=(Skipped(title, why),))
    spark.call(table.name(), "rewrite_manifests", progress, use_caching="false")
    last = catalog.load_table(table.name())
    newest = last.current_snapshot()
    return replace(
        result,
        after=sizes(reach.manifests(last.io, newest) if newest else []),
        snapshots=_written(spark, table, last),
    )


def compute_stats(
    spark: Spark,
    catalog: Catalog,
    name: Name,
    *,
    columns: tuple[str, ...] = (),
    progress: Progress = log.info,
) -> Result:
    """Run ``compute_table_stats`` and, for a partitioned table, ``compute_partition_stats``.

    Args:
        spark: runs them.
        catalog: where the table is.
        name: the table.
        columns: columns to count distinct values of; all primitive ones if none is given.
        progress: called with lines of progress.

    Raises:
        RefusedError: there is no such column.
        LostRaceError, OutcomeUnknownError, SparkError: as ``Spark.call``.
    """
    table = catalog.load_table(identifier(name))
    title, before = spell(table), _statistics(table)
    known = table.schema().column_names
    for column in columns:
        if column not in known:
            raise RefusedError(f"{title} has no column {column!r}; it has {', '.join(known)}")
    if table.current_snapshot() is None:
        return Result("compute-stats", title, skipped=(Skipped(title, _EMPTY),))
    given = {"columns": f"array({', '.join(map(literal, columns))})"} if columns else {}
    spark.call(table.name(), "compute_table_stats", progress, **given)
    if not table.spec().is_unpartitioned():
        spark.call(table.name(), "compute_partition_stats", progress)
    after = catalog.load_table(table.name())
    changed = after.metadata_location != table.metadata_location
    return Result("compute-stats", title, before, _statistics(after), evolved=changed)


def _rewrite_options(plan: Plan) -> dict[str, object]:
    """Return the options of ``rewrite_data_files`` that have the meaning of a plan's."""
    size = plan.target_bytes
    return {
        "target-file-size-bytes": size,
        "min-file-size-bytes": size and int(plan.small * size),
        "max-file-size-bytes": size and int(plan.large * size),
        "min-input-files": plan.min_input_files,
        "delete-file-threshold": plan.delete_files,
        "delete-ratio-threshold": plan.delete_ratio,
        "rewrite-all": plan.rewrite_all,
        "remove-dangling-deletes": True,
    }


def _spell_order(order: SortOrder, schema: Schema) -> str:
    tops, words = {field.name for field in schema.fields}, []
    for field in order.fields:
        name = str(schema.find_column_name(field.source_id))
        levels = [name] if name in tops else name.split(".")
        column = ".".join(f"`{level.replace('`', '``')}`" for level in levels)
        nulls = "FIRST" if field.null_order == NullOrder.NULLS_FIRST else "LAST"
        words.append(f"{column} {field.direction.name} NULLS {nulls}")
    return ", ".join(words)


def _live_files(spark: Spark, table: Table, snapshot_id: int) -> dict[str, Size]:
    """Return the sizes of a snapshot's live files by kind, counted by Spark."""
    files = spark.metadata_table(table.name(), "files", snapshot_id)
    counted: list[Any] = (
        files.selectExpr("content = 0 AS data", "file_size_in_bytes AS length")
        .groupBy("data")
        .agg({"*": "count", "length": "sum"})
        .collect()
    )
    found = {row["data"]: Size(row["count(1)"], row["sum(length)"]) for row in counted}
    return {"data files": found.get(True, Size()), "delete files": found.get(False, Size())}


def _again(
    spark: Spark, catalog: Catalog, table: Table, branch: str
) -> tuple[dict[str, Size], Table]:
    last = catalog.load_table(table.name())
    newest = head(last, branch)
    nothing = {"data files": Size(), "delete files": Size()}
    return _live_files(spark, last, newest.snapshot_id) if newest else nothing, last


def _written(spark: Spark, before: Table, after: Table) -> tuple[int, ...]:
    """Return the snapshots that this session committed to a table since it was loaded."""
    known = {snapshot.snapshot_id for snapshot in before.metadata.snapshots}
    return tuple(
        snapshot.snapshot_id
        for snapshot in after.metadata.snapshots
        if snapshot.snapshot_id not in known
        and snapshot.summary is not None
        and spark.application in snapshot.summary.additional_properties.values()
    )


def _statistics(table: Table) -> dict[str, Size]:
    lengths = [length for _, length in reach.statistics(table.metadata).values()]
    return {"statistics files": Size(len(lengths), sum(lengths))}
