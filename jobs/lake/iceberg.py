"""Load rows into Iceberg tables so that no row is ever lost or doubled.

A load reads the stored rows of its scope, keeps what is new or better and commits that with its
load id in the snapshot's summary. Loading the same input again finds the load id, or finds nothing
new. PyIceberg's own commit retries are off, because they would apply a change computed on the old
rows to the new ones: after a lost race the whole load starts over.
"""

import datetime as dt
import itertools
import logging
import random
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import (
    CommitFailedException,
    CommitStateUnknownException,
    NoSuchTableError,
    TableAlreadyExistsError,
    ValidationException,
)
from pyiceberg.expressions import AlwaysTrue, BooleanExpression
from pyiceberg.io.pyarrow import pyarrow_to_schema
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Snapshot, ancestors_of
from pyiceberg.transforms import DayTransform, MonthTransform, Transform

from jobs.lake import commits, credentials
from jobs.lake.merging import Definition, Difference, compare

log = logging.getLogger("luigi-interface.weather")

LOAD_ID = "weather.load-id"
_RETRIES = "commit.retry.num-retries"
_TRIES = 20
_REFUSALS = 2
_FIRST_FIELD_ID = 1
_FIRST_PARTITION_ID = 1000
_UNITS: dict[str, Transform[Any, int]] = {
    "month": MonthTransform(),
    "day": DayTransform(),
}


@dataclass(frozen=True)
class Loaded:
    """What a load did; ``committed`` is false when its rows were there already."""

    table: str
    table_uuid: str
    snapshot_id: int | None
    load_id: str
    committed: bool
    rows_in: int
    rows_new: int
    rows_changed: int

    @classmethod
    def of(
        cls,
        table: Table,
        snapshot: Snapshot | None,
        load_id: str,
        rows_in: int = 0,
        difference: Difference | None = None,
    ) -> "Loaded":
        """Return the result of a load, which without a difference changed nothing."""
        return cls(
            table=".".join(table.name()),
            table_uuid=str(table.metadata.table_uuid),
            snapshot_id=snapshot.snapshot_id if snapshot is not None else None,
            load_id=load_id,
            committed=difference is not None and not difference.empty,
            rows_in=rows_in,
            rows_new=difference.new.num_rows if difference else 0,
            rows_changed=difference.changed.num_rows if difference else 0,
        )


def load(
    catalog: Catalog,
    definition: Definition,
    rows: pa.Table,
    *,
    load_id: str,
    scope: str | BooleanExpression | None = None,
) -> Loaded:
    """Merge rows, unique by the table's key, into a table; safe to repeat and to race.

    Args:
        catalog: where the table is, or will be made.
        definition: the table.
        rows: what to load, in the definition's schema.
        load_id: names this input; a load id found in the table's history is not loaded again.
        scope: row filter that covers every row in ``rows``; stored rows outside it are not
            compared. None covers the table.

    Raises:
        CommitFailedException: other writers committed first, in every one of many attempts.
    """
    lost: Exception | None = None
    refused = 0
    for _ in attempts(_TRIES):
        try:
            return _attempt(catalog, definition, rows, load_id, scope)
        except (CommitFailedException, CommitStateUnknownException, ValidationException) as error:
            # Lost, or perhaps not: the table as it is then tells which.
            log.info("%s: %s; trying again", definition.name, error)
            lost = error
        except OSError as error:
            # Credentials may have expired on the way: the table is loaded with others, but if these
            # are refused as well, another reason is behind it.
            refused += 1
            if refused > _REFUSALS or not credentials.refused(error):
                raise
            log.info("%s: %s; loading the table again", definition.name, error)
            lost = error
    raise CommitFailedException(
        f"{definition.name}: lost {_TRIES} races for load {load_id}"
    ) from lost


def attempts(most: int) -> Iterator[int]:
    """Yield the number of each attempt at a commit, and wait before each but the first.

    The wait is random, since writers that lost to each other must not meet again, and grows to two
    seconds at most.
    """
    for attempt in range(most):
        if attempt:
            time.sleep(random.uniform(0, min(2.0, 0.1 * 2**attempt)))  # noqa: S311 - only jitter
        yield attempt


def _attempt(
    catalog: Catalog,
    definition: Definition,
    rows: pa.Table,
    load_id: str,
    scope: str | BooleanExpression | None,
) -> Loaded:
    table = ensure(catalog, definition)
    earlier = find_load(table, load_id)
    if earlier is not None or not rows.num_rows:
        return Loaded.of(table, earlier or table.current_snapshot(), load_id, rows.num_rows)
    covered = scope or AlwaysTrue()
    stored = table.scan(row_filter=covered).to_arrow()
    first = min((one.timestamp_ms for one in table.metadata.snapshots), default=None)
    since = None if first is None else dt.datetime.fromtimestamp(first / 1000, dt.UTC)
    difference = compare(definition, stored, rows, since)
    changed, properties = difference.changed, {LOAD_ID: load_id}
    if changed.num_rows:
        parts = [difference.kept, difference.new, changed]
        replacing = pa.concat_tables(parts, promote_options="permissive")
        commits.overwrite(table, replacing, covered, properties)
    elif difference.new.num_rows:
        commits.append(table, difference.new, properties)
    if definition.prefer == "versions":
        # Columns that were added to an older table are filled by now, so they can be required.
        optional = {field.name for field in table.schema().fields if not field.required}
        required = [field.name for field in definition.schema if not field.nullable]
        if late := [name for name in required if name in optional]:
            with table.update_schema(allow_incompatible_changes=True) as update:
                for name in late:
                    update.update_column(name, required=True)
    return Loaded.of(table, table.current_snapshot(), load_id, rows.num_rows, difference)


def ensure(catalog: Catalog, definition: Definition) -> Table:
    """Return a table; create the table, its namespace or its columns if they are missing."""
    try:
        table = catalog.load_table(definition.name)
    except NoSuchTableError:
        catalog.create_namespace_if_not_exists(definition.name.rpartition(".")[0])
        schema, column = _schema(definition.schema), definition.partition_by
        spec = PartitionSpec()
        if column is not None:
            source, unit = schema.find_field(column).field_id, definition.partition_unit
            spec = PartitionSpec(
                PartitionField(source, _FIRST_PARTITION_ID, _UNITS[unit], f"{column}_{unit}")
            )
        properties = {"comment": definition.doc, _RETRIES: "0"}
        try:
            table = catalog.create_table(
                definition.name, schema, partition_spec=spec, properties=properties
            )
        except TableAlreadyExistsError:
            table = catalog.load_table(definition.name)
    missing = set(definition.schema.names) - {field.name for field in table.schema().fields}
    if missing:
        # The rows that there are have no value for them yet, so at first none is required.
        added = [field.with_nullable(True) for field in definition.schema if field.name in missing]
        with table.update_schema() as update:
            update.union_by_name(_schema(added))
    if table.properties.get(_RETRIES) != "0":
        with table.transaction() as transaction:
            transaction.set_properties({_RETRIES: "0"})
    return table


def repartition(catalog: Catalog, definition: Definition) -> str | None:
    """Change the unit of a table's partitions to its definition's; other partitions stay.

    Files that exist stay as they are until a compaction rewrites them.

    Returns:
        What was changed; None if nothing was.

    Raises:
        NoSuchTableError: there is no such table.
        CommitFailedException: another writer committed first.
    """
    table, column = catalog.load_table(definition.name), definition.partition_by
    wanted, fields = definition.partition_unit, table.spec().fields
    if column is None or len(fields) != 1:
        return None
    (field,) = fields
    before = f"{field.transform}({table.schema().find_column_name(field.source_id)})"
    if before not in {f"{unit}({column})" for unit in _UNITS if unit != wanted}:
        return None
    with table.update_spec() as update:
        update.remove_field(field.name)
        update.add_field(column, _UNITS[wanted], f"{column}_{wanted}")
    return f"partitioned by {wanted}({column}), no longer by {before}"


def find_load(table: Table, load_id: str) -> Snapshot | None:
    """Return the snapshot of a load, among the current one and its ancestors."""
    for snapshot in ancestors_of(table.current_snapshot(), table.metadata):
        if snapshot.summary is not None and snapshot.summary.get(LOAD_ID) == load_id:
            return snapshot
    return None


def _schema(columns: Iterable[pa.Field]) -> Schema:
    numbers = itertools.count(_FIRST_FIELD_ID)
    fields = [
        field.with_metadata({**(field.metadata or {}), **_field_id(next(numbers))})
        for field in columns
    ]
    # The elements of lists are numbered behind the columns.
    for place, field in enumerate(fields):
        if pa.types.is_list(field.type):
            element = field.type.value_field.with_metadata(_field_id(next(numbers)))
            fields[place] = field.with_type(pa.list_(element))
    return pyarrow_to_schema(pa.schema(fields))


def _field_id(number: int) -> dict[bytes, bytes]:
    return {b"PARQUET:field_id": str(number).encode()}
