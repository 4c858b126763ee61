"""Load rows into Iceberg tables so that no row is ever lost or doubled.

A load reads the stored rows of its scope, keeps what is new or better and commits that with its
load id in the snapshot's summary. Loading the same input again finds the load id, or finds nothing
new. PyIceberg's own commit retries are off, because they would apply a change computed on the old
rows to the new ones: after a lost race the whole load starts over from a fresh look.
"""

import logging
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.catalog import Catalog
from pyiceberg.catalog.rest import RestCatalog
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
from pyiceberg.transforms import DayTransform

log = logging.getLogger("luigi-interface.weather")

LOAD_ID = "weather.load-id"
_TRIES = 20
_FIRST_FIELD_ID = 1
_FIRST_PARTITION_ID = 1000


@dataclass(frozen=True)
class Definition:
    """What a table is: its columns, its key and which of two rows of one key stays."""

    name: str
    doc: str
    schema: pa.Schema
    key: tuple[str, ...]
    prefer: Literal["fullest", "newest", "oldest"]
    partition_by_day: str | None = None


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


@dataclass(frozen=True)
class _Difference:
    new: pa.Table
    changed: pa.Table
    kept: pa.Table


def connect(uri: str, warehouse: str, token: str = "") -> Catalog:
    """Connect to an Iceberg REST catalog.

    Raises:
        requests.ConnectionError: nothing listens at the URL.
    """
    return RestCatalog(
        "weather", uri=uri, warehouse=warehouse, **({"token": token} if token else {})
    )


def load(
    catalog: Catalog,
    definition: Definition,
    rows: pa.Table,
    *,
    load_id: str,
    scope: str | None = None,
) -> Loaded:
    """Merge rows, unique by the table's key, into a table; safe to repeat and to race.

    Args:
        catalog: where the table is, or will be made.
        definition: the table.
        rows: what to load, in the definition's schema.
        load_id: names this input; a load id found in the table's history is not loaded again.
        scope: row filter that covers every row in ``rows``; stored rows outside it are not
            looked at. None covers the table.

    Raises:
        CommitFailedException: other writers won every one of many races.
    """
    lost: Exception | None = None
    for attempt in range(_TRIES):
        if attempt:
            time.sleep(random.uniform(0, min(2.0, 0.1 * 2**attempt)))  # noqa: S311 - only jitter
        table = ensure(catalog, definition)
        earlier = find_load(table, load_id)
        if earlier is not None:
            return _loaded(table, earlier, load_id, rows, committed=False)
        stored = table.scan(row_filter=scope or AlwaysTrue()).to_arrow()
        difference = _compare(definition, stored, rows)
        if not difference.new.num_rows and not difference.changed.num_rows:
            return _loaded(table, table.current_snapshot(), load_id, rows, committed=False)
        try:
            _commit(table, difference, load_id, scope or AlwaysTrue())
        except (CommitFailedException, CommitStateUnknownException, ValidationException) as error:
            # Lost, or perhaps not lost at all: the next look at the table tells.
            log.info("%s: %s; looking again", definition.name, error)
            lost = error
            continue
        return _loaded(
            table, table.current_snapshot(), load_id, rows, committed=True, difference=difference
        )
    raise CommitFailedException(
        f"{definition.name}: lost {_TRIES} races for load {load_id}"
    ) from lost


def ensure(catalog: Catalog, definition: Definition) -> Table:
    """Load a table; make it, its namespace or its missing columns first when there are none."""
    try:
        table = catalog.load_table(definition.name)
    except NoSuchTableError:
        table = _create(catalog, definition)
    missing = set(definition.schema.names) - {field.name for field in table.schema().fields}
    if missing:
        with table.update_schema() as update:
            update.union_by_name(_schema(definition))
    return table


def find_load(table: Table, load_id: str) -> Snapshot | None:
    """Find the snapshot that made a load, among the current snapshot and its ancestors."""
    for snapshot in ancestors_of(table.current_snapshot(), table.metadata):
        if snapshot.summary is not None and snapshot.summary.get(LOAD_ID) == load_id:
            return snapshot
    return None


def _create(catalog: Catalog, definition: Definition) -> Table:
    namespace = definition.name.rpartition(".")[0]
    catalog.create_namespace_if_not_exists(namespace)
    schema = _schema(definition)
    try:
        return catalog.create_table(
            definition.name,
            schema,
            partition_spec=_partition_spec(definition, schema),
            properties={"comment": definition.doc, "commit.retry.num-retries": "0"},
        )
    except TableAlreadyExistsError:
        return catalog.load_table(definition.name)


def _schema(definition: Definition) -> Schema:
    fields = [
        field.with_metadata({**(field.metadata or {}), b"PARQUET:field_id": str(number).encode()})
        for number, field in enumerate(definition.schema, _FIRST_FIELD_ID)
    ]
    return pyarrow_to_schema(pa.schema(fields))


def _partition_spec(definition: Definition, schema: Schema) -> PartitionSpec:
    column = definition.partition_by_day
    if column is None:
        return PartitionSpec()
    source = schema.find_field(column).field_id
    return PartitionSpec(
        PartitionField(source, _FIRST_PARTITION_ID, DayTransform(), f"{column}_day")
    )


def _compare(definition: Definition, stored: pa.Table, rows: pa.Table) -> _Difference:
    place = {key: index for index, key in enumerate(_keys(stored, definition.key))}
    places = pa.array([place.get(key) for key in _keys(rows, definition.key)], pa.int64())
    known = pc.is_valid(places)
    # Columns that only the stored table has stay as they are wherever a row stays.
    old = stored.take(places.filter(known))
    now = rows.filter(known)
    better = pc.and_(pc.invert(_same(old, now)), _preferred(definition, old, now))
    replaced = places.filter(known).filter(better)
    gone = pc.is_in(pa.array(range(stored.num_rows), pa.int64()), value_set=replaced)
    return _Difference(
        new=rows.filter(pc.invert(known)),
        changed=now.filter(better),
        kept=stored.filter(pc.invert(gone)),
    )


def _keys(table: pa.Table, key: Sequence[str]) -> list[tuple[Any, ...]]:
    return list(zip(*(table.column(name).to_pylist() for name in key), strict=True))


def _same(old: pa.Table, now: pa.Table) -> pa.Array:
    same = pa.array([True] * now.num_rows, pa.bool_())
    for name in now.column_names:
        left, right = old.column(name).cast(now.schema.field(name).type), now.column(name)
        both_null = pc.and_(pc.is_null(left), pc.is_null(right))
        equal = pc.or_(pc.fill_null(pc.equal(left, right), False), both_null)
        same = pc.and_(same, equal.combine_chunks())
    return same


def _preferred(definition: Definition, old: pa.Table, now: pa.Table) -> pa.Array:
    if definition.prefer == "fullest":
        return pc.greater_equal(_filled(now, now.column_names), _filled(old, now.column_names))
    return pa.array([definition.prefer == "newest"] * now.num_rows, pa.bool_())


def _filled(table: pa.Table, columns: Sequence[str]) -> pa.Array:
    filled = pa.array([0] * table.num_rows, pa.int64())
    for name in columns:
        valid = pc.cast(pc.is_valid(table.column(name)), pa.int64())
        filled = pc.add(filled, valid.combine_chunks())
    return filled


def _commit(
    table: Table, difference: _Difference, load_id: str, scope: str | BooleanExpression
) -> None:
    properties = {LOAD_ID: load_id}
    fresh = pa.concat_tables([difference.new, difference.changed])
    if not difference.changed.num_rows:
        table.append(_as_stored(table, fresh), snapshot_properties=properties)
        return
    rows = pa.concat_tables([difference.kept, fresh], promote_options="permissive")
    table.overwrite(_as_stored(table, rows), overwrite_filter=scope, snapshot_properties=properties)


def _as_stored(table: Table, rows: pa.Table) -> pa.Table:
    """Bring rows into the table's column order, with nulls where they have no such column."""
    schema = table.schema().as_arrow()
    columns = [
        rows.column(field.name).cast(field.type)
        if field.name in rows.column_names
        else pa.nulls(rows.num_rows, field.type)
        for field in schema
    ]
    return pa.table(columns, schema=schema)


def _loaded(
    table: Table,
    snapshot: Snapshot | None,
    load_id: str,
    rows: pa.Table,
    *,
    committed: bool,
    difference: _Difference | None = None,
) -> Loaded:
    return Loaded(
        table=".".join(table.name()),
        table_uuid=str(table.metadata.table_uuid),
        snapshot_id=snapshot.snapshot_id if snapshot is not None else None,
        load_id=load_id,
        committed=committed,
        rows_in=rows.num_rows,
        rows_new=difference.new.num_rows if difference else 0,
        rows_changed=difference.changed.num_rows if difference else 0,
    )
