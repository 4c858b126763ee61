"""Rows are in the partitions that their files state, and files that have others are found."""

import datetime as dt
import json
import math
import random
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from click.testing import CliRunner
from pyiceberg.io.pyarrow import ParquetFormatWriter, schema_to_pyarrow
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.transforms import (
    BucketTransform,
    DayTransform,
    IdentityTransform,
    Transform,
    TruncateTransform,
)
from pyiceberg.typedef import Record
from pyiceberg.types import (
    BinaryType,
    BooleanType,
    DateType,
    DecimalType,
    DoubleType,
    FloatType,
    LongType,
    NestedField,
    StringType,
    StructType,
    TimestamptzType,
    TimeType,
    UUIDType,
)

from jobs.lake import commits, data_files
from jobs.lake.partitions import WrongPartitionError, exact, split, strays, verify
from jobs.maintenance import Plan, check_partitions, compact
from jobs.maintenance.command import main
from tests.maintenance.lake import Lake, path_of

BD = Schema(
    NestedField(1, "id", LongType(), required=False),
    NestedField(2, "b", LongType(), required=False),
    NestedField(3, "d", DoubleType(), required=False),
)
PAIRS = [(0, 1.0), (1, 2.0), (0, 2.0), (1, 1.0), (0, 1.0)]


def of_pairs(pairs: list[tuple[Any, Any]], first: int = 0) -> pa.Table:
    return pa.Table.from_pylist(
        [{"id": first + n, "b": b, "d": d} for n, (b, d) in enumerate(pairs)],
        schema=schema_to_pyarrow(BD, include_field_ids=False),
    )


def partition_by(lake: Lake, name: str, *columns: str) -> None:
    with lake.load(name).update_spec() as update:
        for column in columns:
            update.add_identity(column)


def ids_where(lake: Lake, name: str, condition: str) -> list[int]:
    """Read ids through a filter with PyIceberg and with DuckDB, which must agree."""
    found = sorted(lake.load(name).scan(condition).to_arrow().column("id").to_pylist())
    rows = lake.sql(f"SELECT id FROM lake.{name} WHERE {condition} ORDER BY id").fetchall()
    assert [row[0] for row in rows] == found
    return found


def test_compaction_puts_rows_into_the_partitions_of_two_fields(lake: Lake) -> None:
    lake.catalog.create_table("ns.t", BD).append(of_pairs(PAIRS))
    partition_by(lake, "ns.t", "b", "d")
    compact(lake.catalog, "ns.t", Plan(rewrite_all=True))
    assert ids_where(lake, "ns.t", "b = 0") == [0, 2, 4]
    assert ids_where(lake, "ns.t", "d = 2.0") == [1, 2]
    assert ids_where(lake, "ns.t", "b = 1 AND d = 1.0") == [3]
    assert lake.ids("ns.t") == [0, 1, 2, 3, 4]
    assert not check_partitions(lake.catalog, "ns.t").found


def test_the_pipelines_writer_puts_rows_into_the_partitions_of_two_fields(lake: Lake) -> None:
    lake.catalog.create_table("ns.t", BD)
    partition_by(lake, "ns.t", "b", "d")
    commits.append(lake.load("ns.t"), of_pairs(PAIRS), {})
    assert ids_where(lake, "ns.t", "b = 0") == [0, 2, 4]
    assert ids_where(lake, "ns.t", "d = 2.0") == [1, 2]
    assert not check_partitions(lake.catalog, "ns.t").found


def test_days_of_one_field_that_arrow_groups_in_another_order_are_placed(lake: Lake) -> None:
    lake.catalog.create_table("ns.t", BD)
    partition_by(lake, "ns.t", "b")
    # Arrow 26 groups some of these hundred keys, though sorted, in another order.
    for seed in (3, 12, 257):
        chance = random.Random(seed)  # noqa: S311 - can be repeated
        pairs = [(chance.randrange(1000), None) for _ in range(100)]
        commits.append(lake.load("ns.t"), of_pairs(pairs, 100 * seed), {})
    assert not check_partitions(lake.catalog, "ns.t").found


@pytest.mark.parametrize("writer", ["append", "compact"])
def test_both_zeros_and_nan_have_partitions_of_their_own(lake: Lake, writer: str) -> None:
    pairs = [(0, 0.0), (0, -0.0), (0, math.nan), (0, None), (0, 0.0), (0, -0.0), (0, math.nan)]
    lake.catalog.create_table("ns.t", BD)
    if writer == "append":
        partition_by(lake, "ns.t", "d")
        for turn in range(2):
            commits.append(lake.load("ns.t"), of_pairs(pairs, 10 * turn), {})
    else:
        lake.load("ns.t").append(of_pairs(pairs))
        lake.load("ns.t").append(of_pairs(pairs, 10))
        partition_by(lake, "ns.t", "d")
    # The second time the files of each partition are packed, by partition.
    for _ in range(2):
        compact(lake.catalog, "ns.t", Plan(rewrite_all=True))
        assert not check_partitions(lake.catalog, "ns.t").found
    assert ids_where(lake, "ns.t", "d = 0.0") == [0, 1, 4, 5, 10, 11, 14, 15]
    assert ids_where(lake, "ns.t", "d IS NULL") == [3, 13]
    files = [task.file for task in lake.load("ns.t").scan().plan_files()]
    assert sorted(repr(file.partition[0]) for file in files) == ["-0.0", "0.0", "None", "nan"]


def test_an_overwrite_writes_zeros_of_either_sign_once(lake: Lake) -> None:
    lake.catalog.create_table("ns.t", BD)
    partition_by(lake, "ns.t", "d")
    commits.append(lake.load("ns.t"), of_pairs([(9, 1.0)]), {})
    rows = of_pairs([(0, 0.0), (0, -0.0), (0, math.nan), (0, 0.0)])
    commits.overwrite(lake.load("ns.t"), rows, "b = 9", {"load": "1"})
    assert ids_where(lake, "ns.t", "d = 0.0") == [0, 1, 3]
    assert sorted(row[0] for row in lake.duck_rows("ns.t")) == [0, 1, 2, 3]
    assert not check_partitions(lake.catalog, "ns.t").found


FLOATS = [-0.0, 0.0, math.nan, None, 1.0]


@pytest.mark.parametrize("unpartitioned", [False, True])
def test_an_overwrite_keeps_what_its_filter_leaves_of_a_file(
    lake: Lake, unpartitioned: bool
) -> None:
    lake.catalog.create_table("ns.t", BD)
    if unpartitioned:
        commits.append(lake.load("ns.t"), of_pairs([(n, d) for n in (0, 1) for d in FLOATS]), {})
    partition_by(lake, "ns.t", "d")
    if not unpartitioned:
        commits.append(lake.load("ns.t"), of_pairs([(n, d) for n in (0, 1) for d in FLOATS]), {})
    # Each file has a row that goes and one that stays.
    rows = of_pairs([(2, d) for d in FLOATS], 10)
    commits.overwrite(lake.load("ns.t"), rows, "b = 1", {})
    assert sorted(row[0] for row in lake.duck_rows("ns.t")) == [*range(5), *range(10, 15)]
    assert len(lake.rows("ns.t")) == 10
    assert ids_where(lake, "ns.t", "d = 0.0") == [0, 1, 10, 11]
    assert ids_where(lake, "ns.t", "d IS NULL") == [3, 13]
    nan = lake.load("ns.t").scan("d is nan").to_arrow().column("id").to_pylist()
    assert sorted(nan) == [2, 12]
    assert not check_partitions(lake.catalog, "ns.t").found


def test_a_uuid_column_can_be_sorted_by_and_partitions(lake: Lake) -> None:
    schema = Schema(
        NestedField(1, "id", LongType(), required=False),
        NestedField(2, "u", UUIDType(), required=False),
    )
    lake.catalog.create_table("ns.t", schema)
    uuids = [bytes([number % 3]) * 16 for number in range(9)]
    for turn in range(2):
        rows = {"id": range(9 * turn, 9 * turn + 9), "u": uuids}
        lake.load("ns.t").append(pa.table(rows, schema=schema_to_pyarrow(schema)))
    partition_by(lake, "ns.t", "u")
    before = lake.rows("ns.t")
    where = "u = '01010101-0101-0101-0101-010101010101'"
    compact(lake.catalog, "ns.t", Plan(rewrite_all=True, sort="u, id desc"))
    assert not check_partitions(lake.catalog, "ns.t").found
    assert lake.rows("ns.t") == before
    # PyIceberg 0.12 cannot filter by a UUID.
    rows = lake.sql(f"SELECT id FROM lake.ns.t WHERE {where} ORDER BY id").fetchall()
    assert [row[0] for row in rows] == [1, 4, 7, 10, 13, 16]


def test_zeros_of_either_sign_are_packed_apart(lake: Lake) -> None:
    lake.catalog.create_table("ns.t", BD)
    partition_by(lake, "ns.t", "d")
    for turn in range(3):
        commits.append(lake.load("ns.t"), of_pairs([(turn, 0.0), (turn, -0.0)], 2 * turn), {})
    compact(lake.catalog, "ns.t", Plan(min_input_files=2))
    files = [task.file for task in lake.load("ns.t").scan().plan_files()]
    assert sorted((repr(file.partition[0]), file.record_count) for file in files) == [
        ("-0.0", 3),
        ("0.0", 3),
    ]
    assert not check_partitions(lake.catalog, "ns.t").found


KINDS: list[tuple[Any, list[Any], list[Transform[Any, Any]]]] = [
    (BooleanType(), [True, False], [IdentityTransform()]),
    (LongType(), [-7, 0, 8], [IdentityTransform(), BucketTransform(2), TruncateTransform(5)]),
    (FloatType(), [0.0, -0.0, math.nan, 1.5], [IdentityTransform()]),
    (DoubleType(), [0.0, -0.0, math.nan, -math.inf], [IdentityTransform()]),
    (
        DecimalType(9, 2),
        [Decimal("-1.10"), Decimal("2.25")],
        [IdentityTransform(), BucketTransform(3), TruncateTransform(100)],
    ),
    (DateType(), [dt.date(1969, 12, 31), dt.date(2020, 2, 29)], [IdentityTransform()]),
    (TimeType(), [dt.time(0, 0), dt.time(23, 59, 59)], [IdentityTransform(), BucketTransform(3)]),
    (
        TimestamptzType(),
        [dt.datetime(1969, 12, 31, 23, tzinfo=dt.UTC), dt.datetime(2020, 1, 1, 1, tzinfo=dt.UTC)],
        [IdentityTransform(), DayTransform(), BucketTransform(3)],
    ),
    (StringType(), ["", "a/b", "äöü%"], [IdentityTransform(), TruncateTransform(1)]),
    (BinaryType(), [b"", b"\x00\xff"], [IdentityTransform(), TruncateTransform(1)]),
    (UUIDType(), [bytes(16), bytes(range(16))], [IdentityTransform(), BucketTransform(3)]),
]


@pytest.mark.parametrize("seed", range(30))
def test_each_part_has_the_rows_of_its_partition_and_no_other(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - can be repeated
    picked = chance.sample(KINDS, 3)
    schema = Schema(
        *(NestedField(n, f"c{n}", kind, required=False) for n, (kind, _, _) in enumerate(picked, 1))
    )
    spec = PartitionSpec(
        *(
            PartitionField(n, 1000 + n, chance.choice(transforms), f"p{n}")
            for n, (_, _, transforms) in enumerate(picked, 1)
        )
    )
    records = [
        {f"c{n}": chance.choice([None, *values]) for n, (_, values, _) in enumerate(picked, 1)}
        for _ in range(200)
    ]
    rows = pa.Table.from_pylist(records, schema=schema_to_pyarrow(schema))
    rows = rows.append_column("number", pa.array(range(200)))
    expected: dict[Any, list[int]] = {}
    for number, record in enumerate(records):
        values = [
            field.transform.transform(kind)(_as_iceberg(record[f"c{field.source_id}"], kind))
            for field, (kind, _, _) in zip(spec.fields, picked, strict=True)
        ]
        expected.setdefault(exact(Record(*values)), []).append(number)
    found = [
        (exact(partition), part.column("number").to_pylist())
        for partition, part in split(spec, schema, rows)
    ]
    assert dict(found) == expected
    assert len(found) == len(expected)
    for partition, part in split(spec, schema, rows):
        assert strays(spec, schema, partition, part) == 0
        assert strays(spec, schema, partition, rows) == rows.num_rows - part.num_rows


def _as_iceberg(value: Any, kind: Any) -> Any:
    """Return a value as transforms take it."""
    if value is None:
        return None
    if isinstance(kind, DateType):
        return (value - dt.date(1970, 1, 1)).days
    if isinstance(kind, TimestamptzType):
        return (value - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(microseconds=1)
    if isinstance(kind, TimeType):
        return (value.hour * 3600 + value.minute * 60 + value.second) * 1_000_000
    return value


def append_misplaced(lake: Lake, name: str, rows: pa.Table, partition: Record) -> None:
    """Append one file of rows under a partition that is not that of all of them."""
    table = lake.load(name)
    path = table.location_provider().new_data_location(f"wrong-{rows.num_rows}.parquet")
    schema = table.schema()
    writer = ParquetFormatWriter(table.io.new_output(path), schema, table.properties)
    with writer:
        writer.write(data_files.fitted(rows, schema_to_pyarrow(schema)))
    file = data_files.described(table, path, partition, writer.result())
    with table.transaction() as transaction, transaction.update_snapshot().fast_append() as added:
        added.append_data_file(file)


@pytest.fixture
def damaged(lake: Lake) -> Lake:
    """A lake whose ``ns.t`` has two misplaced rows in one of three files."""
    lake.catalog.create_table("ns.t", BD)
    partition_by(lake, "ns.t", "b", "d")
    commits.append(lake.load("ns.t"), of_pairs([(0, 1.0), (1, 1.0)]), {})
    append_misplaced(
        lake, "ns.t", of_pairs([(0, 1.0), (0, 2.0), (1, 1.0)], first=10), Record(0, 1.0)
    )
    return lake


def test_no_writer_puts_rows_under_another_partition(lake: Lake) -> None:
    lake.catalog.create_table("ns.t", BD)
    partition_by(lake, "ns.t", "b", "d")
    metadata = lake.load("ns.t").metadata
    verify(metadata, Record(0, -0.0), of_pairs([(0, -0.0), (0, -0.0)]))
    verify(metadata, Record(None, math.nan), of_pairs([(None, math.nan)]))
    with pytest.raises(WrongPartitionError, match=r"1 of 2 rows .* b=0/d=-0\.0"):
        verify(metadata, Record(0, -0.0), of_pairs([(0, -0.0), (0, 0.0)]))
    with pytest.raises(WrongPartitionError, match="1 of 1 rows"):
        verify(metadata, Record(0, 1.0), of_pairs([(None, 1.0)]))


def test_columns_with_dots_in_their_names_partition_rows() -> None:
    inner = StructType(NestedField(3, "c.d", LongType(), required=False))
    schema = Schema(
        NestedField(1, "a.b", StructType(NestedField(2, "in", inner, required=False))),
        NestedField(4, "n", LongType()),
    )
    spec = PartitionSpec(PartitionField(3, 1000, IdentityTransform(), "p"))
    records = [{"a.b": {"in": {"c.d": n % 2}}, "n": n} for n in range(4)]
    records.append({"a.b": {"in": None}, "n": 4})
    rows = pa.Table.from_pylist(records, schema=schema_to_pyarrow(schema))
    found = {p[0]: part.column("n").to_pylist() for p, part in split(spec, schema, rows)}
    assert found == {0: [0, 2], 1: [1, 3], None: [4]}
    assert strays(spec, schema, Record(0), rows) == 3


def test_compaction_puts_misplaced_rows_where_they_belong(damaged: Lake) -> None:
    rows = damaged.rows("ns.t")
    compact(damaged.catalog, "ns.t", Plan(rewrite_all=True))
    assert damaged.rows("ns.t") == damaged.duck_rows("ns.t") == rows
    assert ids_where(damaged, "ns.t", "b = 1") == [1, 12]
    assert ids_where(damaged, "ns.t", "d = 2.0") == [11]
    assert not check_partitions(damaged.catalog, "ns.t").found


def test_a_file_that_cannot_be_read_is_found(damaged: Lake) -> None:
    paths = (task.file.file_path for task in damaged.load("ns.t").scan().plan_files())
    path = next(path for path in paths if "wrong" not in path)
    path_of(path).write_bytes(path_of(path).read_bytes()[:100])
    found = check_partitions(damaged.catalog, "ns.t", repair=True).found
    assert [line for line in found if "cannot be read" in line] == list(found)
    assert str(path_of(path)) in found[0]


def test_misplaced_rows_are_found_and_nothing_is_changed(damaged: Lake) -> None:
    before = damaged.load("ns.t").metadata_location
    result = check_partitions(damaged.catalog, "ns.t")
    (found,) = result.found
    assert "wrong-3.parquet: 2 of 3 rows belong to other partitions" in found
    assert result.before["misplaced data files"].files == 1
    assert damaged.load("ns.t").metadata_location == before


def test_misplaced_rows_are_put_where_they_belong(damaged: Lake) -> None:
    rows = damaged.rows("ns.t")
    # PyIceberg trusts the partition: without the repair the filter misses rows.
    assert len(damaged.load("ns.t").scan("b = 1").to_arrow()) < 2
    files = {task.file.file_path for task in damaged.load("ns.t").scan().plan_files()}
    result = check_partitions(damaged.catalog, "ns.t", repair=True)
    assert not result.found
    assert result.after["misplaced data files"].files == 0
    assert damaged.rows("ns.t") == damaged.duck_rows("ns.t") == rows
    assert ids_where(damaged, "ns.t", "b = 1") == [1, 12]
    assert ids_where(damaged, "ns.t", "d = 2.0") == [11]
    assert ids_where(damaged, "ns.t", "b = 0") == [0, 10, 11]
    snapshot = damaged.load("ns.t").current_snapshot()
    assert snapshot is not None
    assert snapshot.summary is not None
    assert snapshot.summary.operation.value == "replace"
    # What was right is still the same files.
    left = {task.file.file_path for task in damaged.load("ns.t").scan().plan_files()}
    assert len(files & left) == 2
    assert not check_partitions(damaged.catalog, "ns.t").found


def test_a_repair_keeps_deleted_rows_deleted(lake: Lake) -> None:
    lake.catalog.create_table("ns.t", BD)
    partition_by(lake, "ns.t", "b")
    append_misplaced(lake, "ns.t", of_pairs([(0, 1.0), (0, 2.0), (1, 1.0)]), Record(0))
    lake.sql("DELETE FROM lake.ns.t WHERE id = 1")
    check_partitions(lake.catalog, "ns.t", repair=True)
    assert lake.ids("ns.t") == [0, 2]
    assert ids_where(lake, "ns.t", "b = 1") == [2]


def test_a_file_of_an_older_spec_is_checked_under_its_own(lake: Lake) -> None:
    lake.catalog.create_table("ns.t", BD)
    partition_by(lake, "ns.t", "b")
    append_misplaced(lake, "ns.t", of_pairs([(0, 1.0), (1, 2.0)]), Record(0))
    partition_by(lake, "ns.t", "d")
    assert len(check_partitions(lake.catalog, "ns.t").found) == 1
    assert not check_partitions(lake.catalog, "ns.t", repair=True).found
    assert ids_where(lake, "ns.t", "b = 1") == [1]
    assert ids_where(lake, "ns.t", "d = 2.0") == [1]


def test_the_command_fails_as_long_as_rows_are_misplaced(damaged: Lake) -> None:
    options = ["--catalog-uri", damaged.url, "--quiet", "--json", "check-partitions", "ns.t"]
    first = CliRunner().invoke(main, options)
    assert first.exit_code == 1
    assert "wrong-3.parquet" in json.loads(first.stdout)[0]["found"][0]
    assert CliRunner().invoke(main, [*options, "--repair"]).exit_code == 0
    last = CliRunner().invoke(main, options)
    assert last.exit_code == 0
    assert json.loads(last.stdout)[0]["found"] == []


def test_files_that_cannot_be_repaired_are_named(damaged: Lake) -> None:
    with damaged.load("ns.t").transaction() as transaction:
        transaction.set_properties({"write.format.default": "orc"})
    result = check_partitions(damaged.catalog, "ns.t", repair=True)
    assert result.found
    assert "only Parquet is written" in result.skipped[0].why


def test_a_partition_that_was_rounded_to_a_float_is_found_and_mended(lake: Lake) -> None:
    """As PyIceberg 0.12 wrote it back when it rewrote a manifest."""
    lake.catalog.create_table("ns.t", BD)
    partition_by(lake, "ns.t", "d")
    commits.append(lake.load("ns.t"), of_pairs([(0, 0.1), (1, 1e300)]), {})
    append_misplaced(lake, "ns.t", of_pairs([(2, 0.1)], first=9), Record(0.10000000149011612))
    assert len(check_partitions(lake.catalog, "ns.t").found) == 1
    assert not check_partitions(lake.catalog, "ns.t", repair=True).found
    assert ids_where(lake, "ns.t", "d = 0.1") == [0, 9]
