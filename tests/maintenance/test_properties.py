"""Whatever became of a table, compaction leaves its rows as they are."""

import datetime as dt
import itertools
import math
from decimal import Decimal
from typing import Any

import duckdb
import pyarrow as pa
from hypothesis import HealthCheck, Phase, given, note, settings
from hypothesis import strategies as st
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.transforms import BucketTransform, DayTransform, IdentityTransform, Transform
from pyiceberg.types import (
    BinaryType,
    BooleanType,
    DateType,
    DecimalType,
    DoubleType,
    FixedType,
    FloatType,
    IntegerType,
    ListType,
    LongType,
    MapType,
    NestedField,
    StringType,
    StructType,
    TimestampType,
    TimestamptzType,
    TimeType,
    UUIDType,
)

from jobs.maintenance import Plan, compact, rewrite_manifests
from tests.maintenance.lake import Lake

SCHEMA = Schema(
    NestedField(1, "id", LongType(), required=False),
    NestedField(2, "name", StringType(), required=False),
    NestedField(3, "seen", TimestamptzType(), required=False),
    NestedField(4, "small", IntegerType(), required=False),
    NestedField(5, "price", DecimalType(9, 2), required=False),
    NestedField(6, "tags", ListType(61, StringType(), element_required=False), required=False),
    NestedField(
        7,
        "place",
        StructType(
            NestedField(71, "lat", DoubleType(), required=False),
            NestedField(
                72,
                "inner",
                StructType(NestedField(721, "deep", StringType(), required=False)),
                required=False,
            ),
        ),
        required=False,
    ),
    NestedField(
        8,
        "counts",
        MapType(81, StringType(), 82, LongType(), value_required=False),
        required=False,
    ),
    NestedField(9, "bytes", BinaryType(), required=False),
    NestedField(10, "fixed", FixedType(4), required=False),
    NestedField(11, "uuid", UUIDType(), required=False),
    NestedField(12, "day", DateType(), required=False),
    NestedField(13, "flag", BooleanType(), required=False),
    NestedField(14, "ratio", FloatType(), required=False),
    NestedField(15, "at", TimestampType(), required=False),
    NestedField(16, "clock", TimeType(), required=False),
    NestedField(
        17,
        "legs",
        ListType(
            171,
            StructType(NestedField(172, "port", StringType(), required=False)),
            element_required=False,
        ),
        required=False,
    ),
    NestedField(18, "odd name-1", LongType(), required=False),
)

times = st.datetimes(dt.datetime(1969, 12, 30), dt.datetime(1970, 1, 3))  # noqa: DTZ001
text = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=4)
values: dict[str, st.SearchStrategy[Any]] = {
    "name": st.sampled_from(["a", "b c/d", "é", ""]),
    "seen": times.map(lambda t: t.replace(tzinfo=dt.UTC)),
    "small": st.integers(-(2**31), 2**31 - 1),
    "price": st.integers(-(10**9) + 1, 10**9 - 1).map(lambda n: Decimal(n) / 100),
    "tags": st.lists(st.none() | text, max_size=3),
    "place": st.fixed_dictionaries(
        {
            "lat": st.none() | st.floats(allow_nan=False),
            "inner": st.none() | st.fixed_dictionaries({"deep": st.none() | text}),
        }
    ),
    "counts": st.dictionaries(text, st.none() | st.integers(0, 9), max_size=2).map(
        lambda d: list(d.items())
    ),
    "bytes": st.binary(max_size=3),
    "fixed": st.binary(min_size=4, max_size=4),
    "uuid": st.uuids().map(lambda u: u.bytes),
    "day": times.map(lambda t: t.date()),
    "flag": st.booleans(),
    "ratio": st.floats(width=32),
    "at": times,
    "clock": st.times(),
    "legs": st.lists(st.none() | st.fixed_dictionaries({"port": st.none() | text}), max_size=2),
    "odd name-1": st.integers(-5, 5),
}
rows = st.lists(
    st.fixed_dictionaries({name: st.none() | value for name, value in values.items()}),
    min_size=1,
    max_size=6,
)

PARTITIONS: list[list[tuple[int, Transform[Any, Any], str]]] = [
    [],
    [(2, IdentityTransform(), "p_name")],
    [(3, DayTransform(), "p_day")],
    [(1, BucketTransform(3), "p_bucket"), (13, IdentityTransform(), "p_flag")],
]

append = st.tuples(st.just("append"), rows)
delete = st.tuples(st.just("delete"), st.integers(1, 4))
overwrite = st.tuples(st.just("overwrite"), st.integers(1, 4))
evolve = st.tuples(st.just("evolve"), st.sampled_from(["add", "widen", "rename", "drop", "nest"]))
respec = st.tuples(st.just("respec"), st.sampled_from(["price", "small", "none"]))
tidy = st.tuples(st.just("tidy"), st.sampled_from(["compact", "manifests"]))
histories = st.lists(
    st.one_of(append, append, append, delete, delete, overwrite, evolve, respec, tidy),
    min_size=3,
    max_size=9,
)


class History:
    """Does to a table what a history says."""

    def __init__(self, lake: Lake, version: str, partition: int) -> None:
        self.lake = lake
        self.name = "ns.t"
        # Of this example alone, so that Hypothesis can replay it.
        self.ids = itertools.count(1)
        if lake.catalog.table_exists(self.name):
            lake.catalog.drop_table(self.name)
        spec = PartitionSpec(
            *(
                PartitionField(source, 1000 + number, transform, name)
                for number, (source, transform, name) in enumerate(PARTITIONS[partition])
            )
        )
        self.version = version
        lake.catalog.create_table(
            self.name, SCHEMA, partition_spec=spec, properties={"format-version": version}
        )

    def do(self, step: str, argument: Any) -> None:
        getattr(self, step)(argument)

    def append(self, records: list[dict[str, Any]]) -> None:
        table = self.lake.load(self.name)
        schema = table.schema().as_arrow()
        names = {
            field.name: SCHEMA.find_column_name(field.field_id) for field in table.schema().fields
        }
        complete = [
            {
                name: next(self.ids) if name == "id" else record.get(first or "")
                for name, first in names.items()
            }
            for record in records
        ]
        table.append(pa.Table.from_pylist(complete, schema=schema))

    def delete(self, modulus: int) -> None:
        """Delete rows as DuckDB does, by position; in version 1 there are no such deletes.

        DuckDB 1.5 records the deletes of all data files under the present partition spec: those of
        older specs' files it refuses to write ("entries without partition info") or writes so that
        they apply for no other engine.
        """
        table = self.lake.load(self.name)
        present = {task.file.spec_id for task in table.scan().plan_files()} <= {
            table.spec().spec_id
        }
        if self.version == "2" and present:
            try:
                self.lake.sql(f"DELETE FROM lake.{self.name} WHERE id % 5 = {modulus}")
            except duckdb.TransactionException as error:
                # DuckDB 1.5 cannot write to a table whose specs share a field.
                assert "duplicate name" in str(error)  # noqa: PT017

    def overwrite(self, modulus: int) -> None:
        found = self.lake.load(self.name).scan(selected_fields=("id",)).to_arrow()
        ids = [i for i in found.column("id").to_pylist() if i % 5 == modulus]
        if ids:
            self.lake.load(self.name).delete(f"id in ({', '.join(map(str, ids))})")

    def evolve(self, how: str) -> None:
        table = self.lake.load(self.name)
        names = {field.field_id: field.name for field in table.schema().fields}
        with table.update_schema() as update:
            if how == "add":
                update.add_column(f"more{len(names)}", DoubleType())
            elif how == "widen":
                update.update_column("small", LongType())
                update.update_column("ratio", DoubleType())
            elif how == "rename":
                update.rename_column(names[9], f"bytes{next(self.ids)}")
            elif how == "drop" and 16 in names:
                update.delete_column("clock")
            elif how == "nest" and "place.extra" not in table.schema()._name_to_id:
                update.add_column(("place", "extra"), LongType())
                update.add_column(("legs", "element", "more"), StringType())

    def respec(self, to: str) -> None:
        table = self.lake.load(self.name)
        known = {field.name for field in table.spec().fields}
        with table.update_spec() as update:
            if to == "none":
                for name in known:
                    update.remove_field(name)
            elif f"p_{to}" not in known:
                update.add_field(to, "bucket[2]", f"p_{to}")

    def tidy(self, what: str) -> None:
        if what == "compact":
            compact(self.lake.catalog, self.name, Plan(min_input_files=2))
        else:
            rewrite_manifests(self.lake.catalog, self.name)


def comparable(value: Any) -> Any:
    """Make equal what is equal: NaN to itself, minus zero to itself only."""
    if isinstance(value, float) and (math.isnan(value) or value == 0):
        return repr(value)
    if isinstance(value, dict):
        return {key: comparable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [comparable(item) for item in value]
    return value


def read(lake: Lake, name: str) -> list[Any]:
    found = lake.load(name).scan().to_arrow().to_pylist()
    return [comparable(row) for row in sorted(found, key=lambda row: row["id"])]


def read_by_duckdb(lake: Lake, name: str) -> list[Any]:
    found = lake.sql(f"SELECT * FROM lake.{name} ORDER BY id").to_arrow_table().to_pylist()
    return [comparable(row) for row in found]


@settings(
    max_examples=40,
    # Shrinking would take longer than reading the history that failed.
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    histories,
    st.tuples(st.sampled_from(["1", "2", "2"]), st.integers(0, len(PARTITIONS) - 1)),
    st.builds(
        Plan,
        rewrite_all=st.just(True),
        sort=st.sampled_from([None, "name, id desc", "price desc nulls first"]),
        memory_bytes=st.sampled_from([1 << 12, 1 << 29]),
    ),
)
def test_compaction_keeps_every_row(
    lake: Lake, history: list[tuple[str, Any]], kind: tuple[str, int], plan: Plan
) -> None:
    table = History(lake, *kind)
    for step, argument in history:
        note(f"{table.name}: {step} {argument}")
        table.do(step, argument)
    litter = lake.unreferenced(table.name)
    before, by_duckdb = read(lake, table.name), read_by_duckdb(lake, table.name)
    result = compact(lake.catalog, table.name, plan)
    assert not result.skipped
    assert read(lake, table.name) == before
    assert read_by_duckdb(lake, table.name) == by_duckdb
    assert result.after["delete files"].files == 0
    assert not lake.missing(table.name)
    assert lake.unreferenced(table.name) == litter
    total = sum(task.file.record_count for task in lake.load(table.name).scan().plan_files())
    assert total == len(before)
