"""The pipeline's own maintenance: ``luigi --module jobs Maintenance --date 2013-07-02``."""

import datetime as dt
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchNamespaceError, NoSuchTableError
from pyiceberg.typedef import Identifier

from jobs import config
from jobs.lake import iceberg, runs
from jobs.lake.tables import ALERTS, OBSERVATIONS
from jobs.maintenance import (
    Plan,
    RefusedError,
    Result,
    Size,
    Skipped,
    UncheckedError,
    compact,
    expire_snapshots,
    old_metadata,
    remove_orphans,
    rewrite_manifests,
    spark,
)
from jobs.maintenance.engines import start_spark
from jobs.maintenance.errors import OutgrownError
from jobs.maintenance.limits import Limits, limited
from jobs.maintenance.names import parse, spell
from jobs.maintenance.neighbours import OutsideFiles
from jobs.maintenance.results import as_json, as_table, spell_bytes
from jobs.targets import write, write_json
from jobs.tasks.base import DayTask, InRanges, log
from jobs.tasks.load import connect, partitioned
from jobs.tasks.pruning import prune

Operation = Callable[..., Result]


class MaintenanceError(Exception):
    """Operations failed; the message names tables and reasons. The others succeeded."""


class Maintenance(InRanges, DayTask):
    """Maintain every table of the pipeline, once a day.

    Partitions become those of ``[weather] partition_by``, small files and deleted rows are
    compacted, manifests rewritten, old snapshots expired, old metadata and orphans removed, as the
    [maintenance] settings say, by the built-in engine or on Spark. A table that fails does not keep
    the others from their turn; the next try does what is left. Raw files and checkpoints in
    data_dir are pruned by ``raw_days``.
    """

    file = "maintenance.json"

    def run(self) -> None:
        """Run every operation on every table, then write the result.

        Raises:
            MaintenanceError: some operations failed.
        """
        started, catalog = dt.datetime.now(dt.UTC), connect()
        results: list[Result] = []
        failures: list[str] = []
        names = list(_tables(catalog))
        with _operations(catalog, names) as operations:
            for done, name in enumerate(names):
                self.progress(
                    f"table {done + 1} of {len(names)}: {spell(name)}", 100 * done / len(names)
                )
                for word, operation in operations.items():
                    try:
                        results.append(operation(catalog, name, progress=log.debug))
                    except NoSuchTableError:
                        break
                    except (UncheckedError, OutgrownError) as error:
                        failures.append(f"{word} {spell(name)}: {error}")
                    except RefusedError as error:
                        why = Skipped(spell(name), str(error))
                        results.append(Result(word, spell(name), skipped=(why,)))
                    except Exception as error:  # noqa: BLE001 - reported at the end, with the others
                        failures.append(f"{word} {spell(name)}: {type(error).__name__}: {error}")
        pruned = prune(Path(self.data_dir), config.settings().maintenance.raw_days)
        message = "; ".join(failures) or (
            f"{_sum_up(results)}; data_dir: {pruned.removed} raw files removed,"
            f" {pruned.compressed} checkpoints compressed ({spell_bytes(pruned.freed)} freed)"
        )
        runs.record(
            catalog,
            run_id=f"Maintenance/{self.date}/{started.isoformat()}",
            task="Maintenance",
            period=str(self.period),
            status="failed" if failures else "success",
            started_at=started,
            finished_at=dt.datetime.now(dt.UTC),
            message=message,
            details={
                "results": [as_json(result) for result in results if result.changed],
                "failures": failures,
            },
        )
        if failures:
            raise MaintenanceError(message)
        changed = [result for result in results if result.changed]
        write(self.path().with_suffix(".txt"), f"{as_table(changed)}\n".encode())
        write_json(
            self.path(),
            {
                "date": self.date.isoformat(),
                "message": message,
                "tables": sorted({result.table for result in results}),
                "results": [as_json(result) for result in changed],
                "warnings": sorted({f"{r.table}: {w}" for r in results for w in r.warnings}),
                "skipped": {
                    f"{result.operation} {skip.what}": skip.why
                    for result in results
                    for skip in result.skipped
                    if result.operation == "compact" or not result.before
                },
                "seconds": round((dt.datetime.now(dt.UTC) - started).total_seconds(), 3),
            },
        )
        self.progress(message, 100)


@contextmanager
def _operations(catalog: Catalog, names: list[Identifier]) -> Iterator[dict[str, Operation]]:
    """Yield the operations with the [maintenance] settings, in the order they help one another."""
    settings = config.settings().maintenance
    plan = Plan(
        target_bytes=settings.target_mb << 20,
        min_input_files=settings.min_input_files,
        memory_bytes=settings.memory_mb << 20,
    )
    age = dt.timedelta(days=settings.orphan_days)
    outside = OutsideFiles()
    expire: dict[str, Any] = {
        "older_than": dt.timedelta(days=settings.snapshot_days),
        "keep_last": settings.keep_snapshots,
        "outside": outside,
    }
    orphans: dict[str, Any] = {"older_than": age, "dry_run": settings.keep_orphans}
    if settings.engine == "spark":
        engine = start_spark(catalog, names, config.settings().spark.settings())
        try:
            yield {
                "repartition": repartition,
                "compact": partial(spark.compact, engine, plan=plan),
                "rewrite-manifests": partial(spark.rewrite_manifests, engine),
                "expire-snapshots": partial(spark.expire_snapshots, engine, **expire),
                "remove-orphans": partial(spark.remove_orphans, engine, outside=outside, **orphans),
            }
        finally:
            engine.session.stop()
        return
    limits = Limits(settings.warn_files, settings.max_files)
    builtin: dict[str, Operation] = {
        "compact": partial(compact, plan=plan),
        "rewrite-manifests": rewrite_manifests,
        "expire-snapshots": partial(expire_snapshots, **expire),
        "old-metadata": partial(old_metadata, **orphans),
        "remove-orphans": partial(remove_orphans, outside=outside, **orphans),
    }
    yield {
        "repartition": repartition,
        **{word: limited(operation, limits, log.warning) for word, operation in builtin.items()},
    }


def repartition(catalog: Catalog, name: Identifier, *, progress: Callable[[str], None]) -> Result:
    """Partition a table of the pipeline's as ``[weather] partition_by`` says; others stay."""
    result = Result("repartition", spell(name))
    for definition in (OBSERVATIONS, ALERTS):
        if definition.name == spell(name):
            changed = iceberg.repartition(catalog, partitioned(definition))
            if changed:
                progress(f"{spell(name)}: {changed}")
                return replace(result, notes=(changed,), evolved=True)
    return result


def _tables(catalog: Catalog) -> Iterator[Identifier]:
    """Return the tables of those of the pipeline's namespaces that exist."""
    for namespace in config.settings().maintenance.namespaces:
        try:
            yield from sorted(catalog.list_tables(parse(namespace)))
        except NoSuchNamespaceError:
            continue


def _sum_up(results: list[Result]) -> str:
    tables = {result.table for result in results}
    changed = {result.table for result in results if result.changed}
    deleted = Size()
    for result in results:
        if not result.dry_run:
            deleted = sum(result.deleted.values(), deleted)
    return (
        f"{len(changed)} of {len(tables)} tables changed,"
        f" {deleted.files} files deleted ({spell_bytes(deleted.bytes)})"
    )
