"""Maintain tables of any Iceberg REST catalog from the command line."""

import datetime as dt
import functools
import json
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import click
from click.core import ParameterSource
from pyiceberg.catalog import Catalog, load_catalog
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.exceptions import NoSuchNamespaceError, NoSuchTableError, RESTError
from pyiceberg.typedef import Identifier
from requests import RequestException

from jobs.lake.credentials import RenewingCatalog
from jobs.maintenance.compaction import compact
from jobs.maintenance.engines import ENGINES, UNKNOWN_TO_SPARK, Operation, procedure, start_spark
from jobs.maintenance.errors import (
    LostRaceError,
    OutcomeUnknownError,
    RefusedError,
    SparkError,
)
from jobs.maintenance.expiry import expire_snapshots
from jobs.maintenance.limits import Limits, limited
from jobs.maintenance.manifests import rewrite_manifests
from jobs.maintenance.misplaced import check_partitions
from jobs.maintenance.names import parse_pattern, spell
from jobs.maintenance.neighbours import OutsideFiles
from jobs.maintenance.orphans import old_metadata, remove_orphans
from jobs.maintenance.planning import Plan
from jobs.maintenance.results import as_json, as_table
from jobs.maintenance.spark import compute_stats
from jobs.spark.session import SparkUnavailableError

_FAILURES = (
    LostRaceError,
    NoSuchTableError,
    OutcomeUnknownError,
    RefusedError,
    RESTError,
    RequestException,
    SparkError,
)


_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_FACTORS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def age(text: str) -> dt.timedelta:
    """Return a duration given as 90m, 36h, 5d or 2w."""
    match = re.fullmatch(r"(\d+)\s*([smhdw])", text.strip().lower())
    if match is None:
        raise click.BadParameter(f"{text!r}: give a number and s, m, h, d or w, such as 5d")
    return dt.timedelta(**{_UNITS[match[2]]: int(match[1])})


def size(text: str) -> int:
    """Return the bytes of 64M, 512MB or 1GiB; each unit is 1024 of the one before."""
    match = re.fullmatch(r"(\d+)\s*([KMG]?)(I?B)?", text.strip().upper())
    if match is None or not int(match[1]):
        raise click.BadParameter(f"{text!r}: give a number and K, M or G, such as 512M")
    return int(match[1]) * _FACTORS[match[2]]


@dataclass(frozen=True)
class _Session:
    """The options that all commands share."""

    properties: Mapping[str, str]
    catalog_name: str | None
    as_json: bool
    quiet: bool
    engine: str
    spark_conf: Mapping[str, str]
    limits: Limits

    def connect(self) -> Catalog:
        if not self.catalog_name:
            return RenewingCatalog("maintenance", **self.properties)
        known = load_catalog(self.catalog_name, **self.properties)
        if isinstance(known, RestCatalog):
            return RenewingCatalog(self.catalog_name, **known.properties)
        return known

    def prepare(
        self, catalog: Catalog, tables: list[Identifier], operation: Operation
    ) -> Operation:
        """Return an operation as the chosen engine runs it."""
        if self.engine == "spark":
            self.progress("Spark starts")
            engine = start_spark(catalog, tables, self.spark_conf)
            return functools.partial(procedure(operation), engine)
        return limited(operation, self.limits, self.progress)

    def progress(self, message: str) -> None:
        if not self.quiet:
            click.echo(message, err=True)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--catalog-uri", metavar="URL", help="The REST catalog.  [http://127.0.0.1:8181]")
@click.option("--warehouse", metavar="NAME", help="Its warehouse.")
@click.option("--token", metavar="TEXT", envvar="CATALOG_TOKEN", help="A bearer token.")
@click.option(
    "--credential",
    metavar="ID:SECRET",
    envvar="CATALOG_CREDENTIAL",
    help="OAuth2 client credentials.",
)
@click.option("-p", "--property", "extra", multiple=True, metavar="KEY=VALUE", help="Any property.")
@click.option(
    "--catalog", "catalog_name", metavar="NAME", help="A catalog that PyIceberg knows by name."
)
@click.option(
    "--engine",
    type=click.Choice(ENGINES),
    default=ENGINES[0],
    show_default=True,
    help="spark runs Iceberg's own procedures, for tables that outgrow one process.",
)
@click.option(
    "--spark-conf",
    multiple=True,
    metavar="NAME=VALUE",
    help="A setting of Spark, such as spark.master=local[4].",
)
@click.option(
    "--warn-files",
    type=click.IntRange(min=0),
    default=Limits.warn_files,
    show_default=True,
    help="Live files above which the built-in engine warns; 0: never.",
)
@click.option(
    "--max-files",
    type=click.IntRange(min=0),
    default=Limits.max_files,
    show_default=True,
    help="Live files above which the built-in engine refuses a table; 0: never.",
)
@click.option("--json", "json_", is_flag=True, help="Print results as JSON, not as a table.")
@click.option("--quiet", is_flag=True, help="No lines of progress.")
@click.pass_context
def main(
    context: click.Context,
    /,
    *,
    extra: tuple[str, ...],
    catalog_name: str | None,
    json_: bool,
    quiet: bool,
    engine: str,
    spark_conf: tuple[str, ...],
    warn_files: int,
    max_files: int,
    catalog_uri: str | None,
    **given: str | None,
) -> None:
    """Maintain Iceberg tables of any REST catalog, safely beside running writers.

    TABLES are names such as weather.observations; weather.* is every table of that namespace,
    not of those in it. A level with a dot in it is written in double quotes, as in ns."a.b":
    with single quotes around the name, or the shell takes the double ones away.

    \b
    Regular maintenance, in this order:
      compact             small files and deleted rows -> few full files
      rewrite-manifests   many manifests -> few, sorted by partition
      expire-snapshots    delete old snapshots and the files only they reached
      old-metadata        delete metadata files no longer in the log  (--delete)
      remove-orphans      delete the files that failed writers left   (--delete)

    \b
    For query planners, with --engine spark:
      compute-stats       numbers of distinct values, statistics by partition

    \b
    To find and repair damage:
      check-partitions    data files whose rows belong to other partitions  (--repair)

    \b
    For example:
      python -m jobs.maintenance --catalog-uri http://127.0.0.1:8181 compact weather.observations
      python -m jobs.maintenance --catalog prod expire-snapshots --older-than 7d 'sales.*'
      python -m jobs.maintenance remove-orphans 'weather.*'           (dry run)
      python -m jobs.maintenance --engine spark --spark-conf spark.driver.memory=8g compact ns.big

    The catalog is --catalog-uri, or a name of ~/.pyiceberg.yaml (--catalog). Exit status: 0 done,
    1 an operation failed or a check found something, 2 wrong usage.
    """
    properties = {key: value for key, value in {"uri": catalog_uri, **given}.items() if value}
    properties |= _pairs("--property", extra)
    if not catalog_name:
        properties.setdefault("uri", "http://127.0.0.1:8181")
    conf = _pairs("--spark-conf", spark_conf)
    if conf and engine != "spark":
        raise click.UsageError("--spark-conf needs --engine spark")
    limits = Limits(warn_files, max_files)
    context.obj = _Session(properties, catalog_name, json_, quiet, engine, conf, limits)


def _pairs(option: str, given: tuple[str, ...]) -> dict[str, str]:
    pairs = {}
    for pair in given:
        key, separator, value = pair.partition("=")
        if not separator:
            raise click.UsageError(f"{option} {pair!r} must be NAME=VALUE")
        pairs[key] = value
    return pairs


_tables = click.argument("tables", nargs=-1, required=True)
_branch = click.option("--branch", default="main", show_default=True, help="Branch to work on.")
_dry_run = click.option("--dry-run", is_flag=True, help="Only report what would be done.")
_locations_only = click.option(
    "--locations-only",
    is_flag=True,
    help="Do not read other tables' manifests for files of this one: only without add_files.",
)


def _careful(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of commands that delete unreferenced files."""
    options = [
        click.option("--delete", is_flag=True, help="Delete; without it nothing is changed."),
        click.option(
            "--older-than", type=age, default="3d", show_default=True, help="Only of this age."
        ),
        click.option(
            "--allow-young", is_flag=True, help="Allow an age below 24h: only when nobody writes."
        ),
    ]
    return functools.reduce(lambda wrapped, option: option(wrapped), options, command)


@main.command("compact")
@_tables
@click.option(
    "--target-size", "target_bytes", type=size, help="Size of new files.  [table's, or 512M]"
)
@click.option(
    "--min-input-files",
    default=Plan.min_input_files,
    show_default=True,
    help="Rewrite fewer small files only if they fill a new one.",
)
@click.option(
    "--delete-files",
    default=Plan.delete_files,
    show_default=True,
    help="Rewrite a file with this many delete files, whatever its size.",
)
@click.option(
    "--delete-ratio",
    default=Plan.delete_ratio,
    show_default=True,
    help="Rewrite a file with this part of its rows deleted, whatever its size.",
)
@click.option("--all", "rewrite_all", is_flag=True, help="Rewrite every file.")
@click.option("--sort", metavar="TEXT", help="As in 'city, seen_at desc nulls last'.")
@click.option(
    "--memory",
    "memory_bytes",
    type=size,
    default=f"{Plan.memory_bytes >> 20}M",
    show_default=True,
    help="Rows held at once.",
)
@click.option(
    "--groups-per-commit",
    default=Plan.groups_per_commit,
    show_default=True,
    help="Files written before they are committed; fewer lose less when others interfere.",
)
@_branch
@_dry_run
@click.pass_obj
def _compact(session: _Session, /, *, tables: tuple[str, ...], branch: str, **options: Any) -> None:
    """Rewrite small files, and files with deleted rows, into full ones.

    Files are packed by partition to the target size and written sorted, by --sort or the table's
    own sort order; position deletes are applied. The rows do not change (a 'replace' snapshot).
    A group whose files another writer changes meanwhile is planned again. Tables of format version
    3 are skipped: use Spark's rewrite_data_files.
    """
    try:
        plan = Plan(**options)
    except RefusedError as error:
        raise click.UsageError(str(error)) from error
    _run(session, tables, compact, plan=plan, branch=branch)


@main.command("rewrite-manifests")
@_tables
@click.option(
    "--target-size", "target_bytes", type=size, help="Size of a manifest.  [table's, or 8M]"
)
@_branch
@_dry_run
@click.pass_obj
def _rewrite_manifests(session: _Session, /, *, tables: tuple[str, ...], **options: Any) -> None:
    """Rewrite manifests into fewer ones, sorted by partition, for faster scan planning.

    Data files and delete files are kept. Nothing is done if there would not be fewer manifests.
    """
    _run(session, tables, rewrite_manifests, **options)


@main.command("expire-snapshots")
@_tables
@click.option(
    "--older-than",
    type=age,
    help="Age of snapshots.  [history.expire.max-snapshot-age-ms, or 5d]",
)
@click.option(
    "--keep-last", type=int, help="Of each branch.  [history.expire.min-snapshots-to-keep, or 1]"
)
@click.option("--keep-files", is_flag=True, help="Delete no files.")
@_locations_only
@_dry_run
@click.pass_obj
def _expire_snapshots(session: _Session, /, *, tables: tuple[str, ...], **options: Any) -> None:
    """Expire old snapshots and delete the files that only they reached.

    Branches, tags and their own retention are respected. Expired snapshots cannot be read any
    more: time travel ends at the oldest one kept. Files outside of the table's folders are kept,
    and so are files that another table reaches.
    """
    _run(session, tables, expire_snapshots, outside=OutsideFiles(), **options)


@main.command("remove-orphans")
@_tables
@_careful
@_locations_only
@click.pass_obj
def _remove_orphans(
    session: _Session, /, *, tables: tuple[str, ...], delete: bool, **options: Any
) -> None:
    """List, or --delete, files in a table's folder that nothing refers to.

    Crashed and failed writers leave them. Files of snapshots, of the metadata log or of statistics
    are never deleted, nor young files, nor files that another table reaches, nor any file in a
    folder that overlaps that of another table or view in any namespace. Paths with a segment that
    begins with _ or . are kept. If any table of the catalog cannot be loaded, nothing is deleted.
    """
    _run(session, tables, remove_orphans, dry_run=not delete, outside=OutsideFiles(), **options)


@main.command("old-metadata")
@_tables
@_careful
@click.pass_obj
def _old_metadata(
    session: _Session, /, *, tables: tuple[str, ...], delete: bool, **options: Any
) -> None:
    """List, or --delete, metadata files that are no longer in the metadata log.

    The log keeps write.metadata.previous-versions-max of them (100, if not set).
    """
    _run(session, tables, old_metadata, dry_run=not delete, **options)


@main.command("compute-stats")
@_tables
@click.option(
    "--column", "columns", multiple=True, help="Count its distinct values.  [each primitive column]"
)
@click.pass_obj
def _compute_stats(session: _Session, /, *, tables: tuple[str, ...], **options: Any) -> None:
    """Compute statistics for query planners, with --engine spark only.

    Numbers of distinct values by column, in a Puffin file, and statistics by partition.
    """
    if session.engine != "spark":
        raise click.UsageError("the built-in engine writes no statistics: give --engine spark")
    _run(session, tables, compute_stats, **options)


@main.command("check-partitions")
@_tables
@click.option("--repair", is_flag=True, help="Write the rows to the partitions they belong to.")
@_branch
@click.pass_obj
def _check_partitions(session: _Session, /, *, tables: tuple[str, ...], **options: Any) -> None:
    """Find data files with rows that do not belong to the partition their manifest states.

    Filters on partition columns miss such rows, although a full scan returns them. Every data
    file of a partitioned table is read, its partition columns only. --repair rewrites the files
    that were found into the right partitions (a 'replace' snapshot); older snapshots are not
    changed. The exit status is 1 if misplaced rows are left.
    """
    _run(session, tables, check_partitions, **options)


def _run(session: _Session, tables: tuple[str, ...], operation: Operation, **options: Any) -> None:
    """Run an operation on each table, print the results, and exit with 1 if any failed."""
    if session.engine == "spark":
        options = _for_spark(operation, options)
    try:
        catalog = session.connect()
        names: list[Identifier] = []
        for pattern in tables:
            name, every = parse_pattern(pattern)
            names += sorted(catalog.list_tables(name)) if every else [name]
        run = session.prepare(catalog, names, operation)
    except (*_FAILURES, NoSuchNamespaceError, SparkUnavailableError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    results, failed = [], False
    for name in names:
        try:
            result = run(catalog, name, progress=session.progress, **options)
            results.append(result)
            failed = failed or bool(result.found)
        except _FAILURES as error:
            failed = True
            missing = isinstance(error, NoSuchTableError)
            why = "there is no such table" if missing else error
            click.echo(f"{spell(name)}: {why}", err=True)
    if session.as_json:
        click.echo(json.dumps([as_json(result) for result in results], indent=2))
    elif results:
        click.echo(as_table(results))
    sys.exit(1 if failed else 0)


def _for_spark(operation: Operation, options: dict[str, Any]) -> dict[str, Any]:
    """Return the options that the procedure has; refuse others, if they were given."""
    try:
        procedure(operation)
    except RefusedError as error:
        raise click.UsageError(str(error)) from error
    context = click.get_current_context()
    command = str(context.info_name)
    unknown = UNKNOWN_TO_SPARK.get(command, {})
    for parameter in context.command.params:
        source = context.get_parameter_source(str(parameter.name))
        if parameter.name in unknown and source is not ParameterSource.DEFAULT:
            raise click.UsageError(
                f"{parameter.opts[0]} is not for --engine spark: {unknown[parameter.name]}"
            )
    return {name: value for name, value in options.items() if name not in unknown}
