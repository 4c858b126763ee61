"""Plans of filtered scans, held against a full read: no matching row is ever lost."""

import datetime as dt
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyiceberg.expressions import AlwaysTrue
from pyiceberg.io.pyarrow import ArrowScan
from pyiceberg.table import Table
from pyiceberg.transforms import BucketTransform, DayTransform, MonthTransform, TruncateTransform

from tests.catalog.scanning import duckdb_on, plan, pyiceberg, sql
from tests.catalog.serving import Server, serving

WORDS = ["", "a", "ab", "abc", "abcd", "b", "ba", "zz", "é", "日本", "\U0001f600x"]
SCHEMA = pa.schema(
    [
        ("id", pa.int64()),
        ("n", pa.int32()),
        ("s", pa.string()),
        ("f", pa.float64()),
        ("r", pa.float32()),
        ("d", pa.date32()),
        ("t", pa.timestamp("us")),
        ("z", pa.timestamp("us", tz="UTC")),
        ("m", pa.decimal128(9, 2)),
        ("b", pa.bool_()),
    ]
)


@dataclass
class Lake:
    """A served table with a past, and all its rows, each with the file that holds it."""

    server: Server
    table: Table
    rows: duckdb.DuckDBPyConnection
    files: int

    def expected(self, predicate: Any) -> list[int]:
        return self._ids(f"SELECT id FROM every WHERE {sql(predicate)} ORDER BY id")

    def planned(self, request: dict[str, Any]) -> tuple[list[int], int]:
        """Return the ids that a reader of the plan gets, and how many files it opens."""
        tasks = plan(self.server, "t", request).tasks
        by_residual: dict[str, list[str]] = {}
        for task in tasks:
            path = task["data-file"]["file-path"].replace("'", "''")
            by_residual.setdefault(sql(task["residual-filter"]), []).append(f"'{path}'")
        ids: list[int] = []
        for left, paths in by_residual.items():
            listed = ", ".join(paths)
            ids += self._ids(f"SELECT id FROM every WHERE path IN ({listed}) AND {left}")
        return sorted(ids), len(tasks)

    def _ids(self, query: str) -> list[int]:
        return [row[0] for row in self.rows.execute(query).fetchall()]


def some_rows(source: random.Random, first: int, count: int, spread: int) -> pa.Table:
    """Return rows around a day of their own, with nulls and NaNs among them."""

    def maybe(value: Any) -> Any:
        return None if source.random() < 0.1 else value

    def row(number: int) -> dict[str, Any]:
        moment = dt.datetime(1969, 12, 1) + dt.timedelta(  # noqa: DTZ001 - a local timestamp
            days=spread, seconds=source.randrange(40 * 86400)
        )
        return {
            "id": number,
            "n": maybe(source.randrange(-20, 20) + spread),
            "s": maybe(source.choice(WORDS) + source.choice(["", "x", "y"])),
            "f": maybe(math.nan if source.random() < 0.1 else source.randrange(-9, 9) / 4 + spread),
            "r": maybe(source.randrange(-9, 9) / 10),
            "d": maybe(moment.date()),
            "t": maybe(moment),
            "z": maybe(moment.replace(tzinfo=dt.UTC)),
            "m": maybe(Decimal(source.randrange(-999, 999)).scaleb(-2)),
            "b": maybe(source.random() < 0.5),
        }

    made = [row(first + number) for number in range(count)]
    return pa.Table.from_pylist(made, schema=SCHEMA)


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lake]:
    """A table of five partition specs, in v2, with position deletes by DuckDB."""
    source = random.Random(7)  # noqa: S311 - the same rows each time
    folder = tmp_path_factory.mktemp("lake")
    with serving(folder) as server, duckdb.connect() as rows:
        server.namespace("ns")
        table = pyiceberg(server).create_table("ns.t", SCHEMA)
        spread = iter(range(0, 400, 40))

        def append(times: int) -> None:
            for _ in range(times):
                at = next(spread)
                table.append(some_rows(source, at * 100, 30, at))

        append(2)
        with table.update_spec() as spec:
            spec.add_field("t", MonthTransform(), "t_month")
            spec.add_field("s", TruncateTransform(2), "s_start")
        append(2)
        with duckdb_on(server) as connection:  # which cannot, once two specs share a field's name
            connection.execute("DELETE FROM lake.ns.t WHERE id % 7 = 3")
        table.refresh()
        with table.update_spec() as spec:
            spec.remove_field("s_start")
            spec.add_field("id", BucketTransform(4), "id_bucket")
        append(1)
        with table.update_spec() as spec:
            spec.remove_field("t_month")
            spec.remove_field("id_bucket")
            spec.add_field("z", DayTransform(), "z_day")
            spec.add_field("b", "identity", "b")
        append(1)
        with table.update_spec() as spec:
            spec.remove_field("z_day")
            spec.remove_field("b")
            spec.add_field("n", TruncateTransform(10), "n_tens")
            spec.add_field("m", TruncateTransform(300), "m_wide")
        append(1)
        files = list(table.scan().plan_files())
        scan = ArrowScan(table.metadata, table.io, table.schema(), AlwaysTrue())
        every = []
        for task in files:
            read = scan.to_table([task])
            paths = pa.array([task.file.file_path] * len(read), pa.string())
            every.append(read.append_column("path", paths))
        rows.execute("SET TimeZone = 'UTC'")
        rows.register("found", pa.concat_tables(every, promote_options="permissive"))
        rows.execute("CREATE TABLE every AS FROM found")
        yield Lake(server, table, rows, len(files))


def test_every_file_is_read_without_a_filter(lake: Lake) -> None:
    assert lake.planned({"filter": True}) == (lake.expected(predicate=True), lake.files)
    deleted = 210 - len(lake.expected(predicate=True))
    assert deleted == 9  # the position deletes are of this table


def test_deletes_are_those_that_pyiceberg_finds(lake: Lake) -> None:
    planned = plan(lake.server, "t")
    assert sum(map(len, (t["deletes"] for t in planned.tasks))) > 0
    for task in lake.table.scan().plan_files():
        paths = [file["file-path"] for file in planned.deletes(task.file.file_path)]
        assert sorted(paths) == sorted(file.file_path for file in task.delete_files)


def columns(draw: st.DrawFn) -> tuple[Any, str, st.SearchStrategy[Any]]:
    """Choose a column, or a transform of one: its term, its kind, and its literals."""
    days = st.dates(dt.date(1969, 11, 1), dt.date(1971, 3, 1))
    stamps = st.datetimes(dt.datetime(1969, 11, 1), dt.datetime(1971, 3, 1))  # noqa: DTZ001
    kinds: dict[Any, tuple[str, st.SearchStrategy[Any]]] = {
        "id": ("number", st.integers(-10, 30000)),
        "n": ("number", st.integers(-30, 300)),
        "s": ("text", st.sampled_from([*WORDS, "abcx", "c"])),
        "f": ("float", st.integers(-10, 1200).map(lambda n: n / 4)),
        "r": ("float", st.integers(-10, 10).map(lambda n: n / 10)),
        "d": ("number", days.map(str)),
        "t": ("number", stamps.map(lambda t: t.isoformat(timespec="microseconds"))),
        "z": ("number", stamps.map(lambda t: t.isoformat(timespec="microseconds") + "+00:00")),
        "m": ("number", st.integers(-1100, 1100).map(lambda n: f"{Decimal(n).scaleb(-2)}")),
        "b": ("boolean", st.booleans()),
        ("year", "t"): ("number", st.integers(-2, 2)),
        ("month", "d"): ("number", st.integers(-3, 15)),
        ("day", "z"): ("number", st.integers(-40, 400)),
        ("hour", "t"): ("number", st.integers(-900, 9000)),
        ("truncate[2]", "s"): ("text", st.sampled_from(["", "a", "ab", "zz", "日本"])),
    }
    name = draw(st.sampled_from(list(kinds)))
    kind, literals = kinds[name]
    if isinstance(name, tuple):
        return {"type": "transform", "transform": name[0], "term": name[1]}, kind, literals
    return name, kind, literals


@st.composite
def single(draw: st.DrawFn) -> dict[str, Any]:
    """A single predicate, in the old JSON form or in the new."""
    term, kind, literals = columns(draw)
    words = ["is-null", "not-null", "eq", "not-eq", "in", "not-in"]
    words += [] if kind == "boolean" else ["lt", "lt-eq", "gt", "gt-eq"]
    words += ["is-nan", "not-nan"] if kind == "float" else []
    words += ["starts-with", "not-starts-with"] if kind == "text" else []
    word = draw(st.sampled_from(words))
    new = isinstance(term, str) and draw(st.booleans())
    operand = {"type": "reference", "name": term} if new else term
    if word in ("is-null", "not-null", "is-nan", "not-nan"):
        return {"type": word, "child" if new else "term": operand}
    if word in ("in", "not-in"):
        values = draw(st.lists(literals, max_size=4))
        return {"type": word, "child" if new else "term": operand, "values": values}
    value = draw(literals)
    if new:
        right = value if draw(st.booleans()) else {"type": "literal", "value": value}
        return {"type": word, "left": operand, "right": right}
    return {"type": word, "term": operand, "value": value}


def joined(children: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.builds(lambda child: {"type": "not", "child": child}, children),
        st.builds(
            lambda word, left, right: {"type": word, "left": left, "right": right},
            st.sampled_from(["and", "or"]),
            children,
            children,
        ),
    )


FILTERS = st.recursive(single(), joined, max_leaves=5)


@given(predicate=FILTERS)
@settings(max_examples=150)
def test_a_reader_of_the_plan_gets_the_rows_of_a_full_read(lake: Lake, predicate: Any) -> None:
    ids, _ = lake.planned({"filter": predicate})
    assert ids == lake.expected(predicate)


@pytest.mark.parametrize(
    ("predicate", "most"),
    [
        # Bounds: 30 ids of each append lie apart.
        ({"type": "lt", "term": "id", "value": 30}, 1),
        ({"type": "in", "term": "id", "values": [5, 4005]}, 2),
        ({"type": "eq", "term": "id", "value": -1}, 0),
        ({"type": "gt", "term": "t", "value": "1999-01-01T00:00:00"}, 0),
        # Partitions: a month, and a bucket of four.
        ({"type": "eq", "term": "d", "value": "1969-12-01"}, 2),
        (
            {
                "type": "and",
                "left": {"type": "gt-eq", "term": "id", "value": 8000},
                "right": {"type": "lt", "term": "t", "value": "1970-03-01T00:00:00"},
            },
            30,
        ),
        ({"type": "starts-with", "term": "s", "value": "日本語"}, 12),
    ],
)
def test_files_that_cannot_match_are_left_out(lake: Lake, predicate: Any, most: int) -> None:
    ids, files = lake.planned({"filter": predicate})
    assert ids == lake.expected(predicate)
    assert files <= most < lake.files


def of_partitions(lake: Lake, predicate: Any, field: str) -> tuple[set[Any], set[Any]]:
    """Return the values of a partition field in the planned files, and in all files."""
    specs = {spec.spec_id: spec for spec in lake.table.specs().values()}

    def values(request: dict[str, Any]) -> set[Any]:
        found = set()
        for task in plan(lake.server, "t", request).tasks:
            file = task["data-file"]
            names = [f.name for f in specs[file["spec-id"]].fields]
            if field in names:
                found.add(file["partition"][names.index(field)])
        return found

    return values({"filter": predicate}), values({})


def test_partitions_are_left_out_through_their_transforms(lake: Lake) -> None:
    bucket = {"type": "eq", "term": "id", "value": 16_001}
    some, all_ = of_partitions(lake, bucket, "id_bucket")
    assert (len(some), len(all_)) == (1, 4)
    applied = {
        "type": "apply",
        "function": {"catalog": "iceberg_functions", "identifier": ["bucket"]},
        "arguments": [4, {"type": "reference", "id": 1}],
    }
    for wanted in range(4):
        term = {"type": "eq", "left": applied, "right": wanted}
        assert of_partitions(lake, term, "id_bucket")[0] == {wanted}
    day = {"type": "lt", "term": "z", "value": "1970-06-25T00:00:00+00:00"}
    some, all_ = of_partitions(lake, day, "z_day")
    assert some == {text for text in all_ if text is not None and text < "1970-06-25"}
    assert len(some) < len(all_)
    tens = {"type": "gt", "term": "n", "value": 250}
    some, all_ = of_partitions(lake, tens, "n_tens")
    assert some == {number for number in all_ if number is not None and number >= 250}
    assert of_partitions(lake, {"type": "is-null", "term": "b"}, "b")[0] == {None}


def test_what_a_partition_settles_is_not_asked_again(lake: Lake) -> None:
    request = {"filter": {"type": "eq", "term": "b", "value": True}}
    left = {
        (task["data-file"]["spec-id"], str(task["residual-filter"]))
        for task in plan(lake.server, "t", request).tasks
    }
    assert {residual for spec, residual in left if spec == 3} == {"True"}
    assert {residual for spec, residual in left if spec != 3} == {str(request["filter"])}


def test_a_chain_of_a_thousand_is_read(lake: Lake) -> None:
    chain: Any = {"type": "eq", "term": "id", "value": 0}
    for number in range(1, 400):
        chain = {"type": "or", "left": chain, "right": {**chain_end(number)}}
    ids, files = lake.planned({"filter": chain})
    assert ids == lake.expected({"type": "lt", "term": "id", "value": 400})
    assert files == 1


def chain_end(number: int) -> dict[str, Any]:
    return {"type": "eq", "term": "id", "value": number}
