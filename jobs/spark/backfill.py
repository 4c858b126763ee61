"""Load raw files of observations on Spark, by the functions of the local path.

Executors parse the files with ``jobs.parse``, and decide with ``jobs.lake.merging`` which report of
a station and time stays. Spark joins the result with the table and commits it, by a MERGE that has
the same rule as SQL.
"""

import dataclasses
import json
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import CommitFailedException

from jobs.lake import iceberg
from jobs.lake.iceberg import LOAD_ID, Loaded
from jobs.lake.merging import Definition, compare, ends_of_runs
from jobs.lake.tables import OBSERVATIONS
from jobs.parse.batches import Tally, read_batch, read_observations
from jobs.parse.records import Reject
from jobs.parse.schema_drift import Drift
from jobs.spark.failures import errors, failure
from jobs.spark.progress import watched
from jobs.spark.session import CATALOG

log = logging.getLogger("luigi-interface.weather")

_TRIES = 20
_ORDER, _TALLY = "_order", "_tally"
_COLUMNS = tuple(OBSERVATIONS.schema.names)
_SNAPSHOT_PROPERTY = f"spark.sql.iceberg.snapshot-property.{LOAD_ID}"

# Rows as executors parse them: which file they are of, and for each file a row with its tally.
PARSED = pa.schema(
    [
        *(field.with_nullable(True).remove_metadata() for field in OBSERVATIONS.schema),
        pa.field(_ORDER, pa.int64()),
        pa.field(_TALLY, pa.string()),
    ]
)
FOLDED = pa.schema([field.remove_metadata() for field in OBSERVATIONS.schema])

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Part:
    """Files to load in one commit, the older first."""

    load_id: str
    files: tuple[str, ...]


def parse(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Yield the rows of raw files, given by order and path, and a row with the tally of each."""
    for batch in batches:
        for file in batch.to_pylist():
            tally = Tally()
            try:
                rows = read_observations(read_batch(Path(file["path"])), tally)
            except Exception as error:
                raise ValueError(f"{file['path']} cannot be read: {error}") from error
            order = pa.repeat(pa.scalar(file["number"], pa.int64()), rows.num_rows)
            rows = rows.append_column(_ORDER, order)
            rows = rows.append_column(_TALLY, pa.nulls(rows.num_rows, pa.string()))
            yield from rows.cast(PARSED).to_batches()
            last = {_ORDER: file["number"], _TALLY: _pack(tally)}
            yield pa.RecordBatch.from_pylist([last], schema=PARSED)


def fold(rows: pa.Table) -> pa.Table:
    """Return the rows that stay if parsed rows are loaded file after file."""
    order = [(name, "ascending") for name in OBSERVATIONS.key]
    # Descending, so that the end of a run is the earliest report of the key that is left.
    left = rows.take(pc.sort_indices(rows, [*order, (_ORDER, "descending")]))
    found = FOLDED.empty_table()
    while left.num_rows:
        first = ends_of_runs(left, OBSERVATIONS.key)
        now = left.filter(first).select(_COLUMNS).cast(FOLDED)
        difference = compare(OBSERVATIONS, found, now)
        found = pa.concat_tables([difference.kept, difference.changed, difference.new])
        left = left.filter(pc.invert(first))
    return found


def load(
    session: Any, catalog: Catalog, definition: Definition, part: Part, progress: Progress
) -> tuple[Loaded, Tally]:
    """Load files into ``weather.observations`` in one commit; safe to repeat and to race.

    The table must exist. A load id that is found in its history is not loaded again.

    Args:
        session: of Spark, with the catalog ``lake``.
        catalog: the same catalog.
        definition: the table.
        part: the files, which driver and executors can read at the same path.
        progress: called with lines of progress.

    Raises:
        CommitFailedException: other writers committed first, in every one of many attempts.
    """
    with watched(session, progress):
        parsed = _parsed(session, part).persist()
        try:
            tally = unpack(
                row[_TALLY]
                for row in parsed.where(f"{_TALLY} IS NOT NULL").orderBy(_ORDER).collect()
            )
            progress(f"{len(part.files)} files read, {tally.records} records")
            folded = _folded(parsed).persist()
            try:
                return _commit(session, catalog, definition, part.load_id, folded), tally
            finally:
                folded.unpersist()
        finally:
            parsed.unpersist()


def _parsed(session: Any, part: Part) -> Any:
    from pyspark.sql.pandas.types import from_arrow_schema  # noqa: PLC0415 - an extra

    files = session.createDataFrame(list(enumerate(part.files)), "number long, path string")
    tasks = min(len(part.files), 4 * session.sparkContext.defaultParallelism)
    return files.repartition(tasks).mapInArrow(parse, from_arrow_schema(PARSED))


def _folded(parsed: Any) -> Any:
    from pyspark.sql.pandas.types import from_arrow_schema  # noqa: PLC0415 - an extra

    rows = parsed.where(f"{_TALLY} IS NULL")
    return rows.groupBy("station_id").applyInArrow(fold, from_arrow_schema(FOLDED))


def _commit(
    session: Any, catalog: Catalog, definition: Definition, load_id: str, folded: Any
) -> Loaded:
    span = folded.selectExpr(
        "unix_micros(min(observed_at)) AS first",
        "unix_micros(max(observed_at)) AS last",
        "count(*) AS rows",
    ).first()
    lost: Exception | None = None
    for _ in iceberg.attempts(_TRIES):
        table = catalog.load_table(definition.name)
        earlier = iceberg.find_load(table, load_id)
        if earlier is not None or not span["rows"]:
            return Loaded.of(table, earlier or table.current_snapshot(), load_id, span["rows"])
        merge = _Merge(definition, table.schema().column_names, span["first"], span["last"])
        folded.createOrReplaceTempView("folded")
        try:
            # A checkpoint, because Spark 4.1 cannot plan a MERGE whose source reads its target.
            changes = session.sql(merge.changes()).localCheckpoint()
            counts = {row["new"]: row["count"] for row in changes.groupBy("new").count().collect()}
            if counts:
                changes.createOrReplaceTempView("changes")
                session.conf.set(_SNAPSHOT_PROPERTY, load_id)
                session.sql(merge.statement())
        except errors() as error:
            found = failure(error)
            if not found.lost and not found.unknown:
                raise
            # Lost, or perhaps not: the table as it is then tells which.
            log.info("%s: %s; trying again", definition.name, found.reason)
            lost = error
            continue
        finally:
            session.conf.unset(_SNAPSHOT_PROPERTY)
        table = catalog.load_table(definition.name)
        return dataclasses.replace(
            Loaded.of(table, table.current_snapshot(), load_id, span["rows"]),
            committed=bool(counts),
            rows_new=counts.get(True, 0),
            rows_changed=counts.get(False, 0),
        )
    raise CommitFailedException(
        f"{definition.name}: lost {_TRIES} races for load {load_id}"
    ) from lost


@dataclass(frozen=True)
class _Merge:
    """The rule of ``jobs.lake.merging`` for the fuller of two rows, as SQL: s is new, t stored."""

    definition: Definition
    stored: Sequence[str]
    """The table's columns, which may be more than the definition's."""
    first: int
    """Microseconds since 1970 of the first time."""
    last: int

    def changes(self) -> str:
        """Return a query for the rows that are new or better than the stored ones."""
        table = self._table()
        key = self.definition.key[0]
        return (
            f"SELECT s.*, t.{key} IS NULL AS new FROM folded s LEFT JOIN {table} t"
            f" ON {self._matching()} WHERE t.{key} IS NULL OR {self._better()}"
        )

    def statement(self) -> str:
        """Return the statement that merges them."""
        names = self.definition.schema.names
        values = {name: f"s.`{name}`" if name in names else "NULL" for name in self.stored}
        update = ", ".join(f"t.`{name}` = {value}" for name, value in values.items())
        columns = ", ".join(f"`{name}`" for name in values)
        return (
            f"MERGE INTO {self._table()} t USING changes s ON {self._matching()}"
            f" WHEN MATCHED AND {self._better()} THEN UPDATE SET {update}"
            f" WHEN NOT MATCHED THEN INSERT ({columns}) VALUES ({', '.join(values.values())})"
        )

    def _table(self) -> str:
        levels = self.definition.name.split(".")
        return ".".join([CATALOG, *(f"`{level}`" for level in levels)])

    def _matching(self) -> str:
        # The range lets Iceberg leave out the other partitions.
        column = f"t.`{self.definition.partition_by}`"
        span = f"timestamp_micros({self.first}) AND timestamp_micros({self.last})"
        same = [f"t.`{name}` = s.`{name}`" for name in self.definition.key]
        return " AND ".join([*same, f"{column} BETWEEN {span}"])

    def _better(self) -> str:
        stamp = self.definition.stamp
        compared = [name for name in self.definition.schema.names if name != stamp]
        same = " AND ".join(f"s.`{name}` <=> t.`{name}`" for name in compared)
        new, old = (
            " + ".join(f"int({alias}.`{name}` IS NOT NULL)" for name in compared) for alias in "st"
        )
        later = f"coalesce(s.`{stamp}` >= t.`{stamp}`, true)"
        return f"(NOT ({same}) AND ({new} > {old} OR ({new} = {old} AND {later})))"


def _pack(tally: Tally) -> str:
    drift = [[*drift, example] for drift, example in tally.drift.items()]
    rejects = [dataclasses.asdict(one) for one in tally.rejects]
    return json.dumps({**vars(tally), "drift": drift, "rejects": rejects})


def unpack(texts: Iterable[str]) -> Tally:
    """Return the sum of packed tallies."""
    total, stations = Tally(), Counter[str]()
    for text in texts:
        one = json.loads(text)
        total.records += one["records"]
        total.duplicates += one["duplicates"]
        total.unreadable += one["unreadable"]
        total.rejects += [Reject(**reject) for reject in one["rejects"]]
        total.reasons.update(one["reasons"])
        stations.update(one["stations"])
        for *drift, example in one["drift"]:
            total.drift.setdefault(Drift(*drift), example)
    total.stations = dict(stations)
    return total
