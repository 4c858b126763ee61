"""Commits as PyIceberg's own make them, without a copy of the history at each step."""

import datetime as dt
import uuid
from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pyiceberg.table
import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.table import Table
from pyiceberg.types import DoubleType

from jobs.lake import commits, iceberg
from jobs.lake.iceberg import Definition
from tests.lake.test_iceberg import SCHEMA, rows

DAY = "observed_at >= '2013-07-03T00:00:00+00:00'"
COLUMNS = pa.schema([*SCHEMA, pa.field("zones", pa.list_(pa.string()))])
Change = Callable[[Table, pa.Table], None]
Make = Callable[[], Table]


@pytest.fixture(scope="module")
def catalog(catalog_server: Any) -> Catalog:
    return catalog_server.connect()


@pytest.fixture(params=["by day", "by day and by a note that may be null", "in one"])
def make(catalog: Catalog, request: pytest.FixtureRequest) -> Make:
    """Make tables with a little history: three snapshots, two days, a column of another hand."""

    def made() -> Table:
        name = f"commits.t{uuid.uuid4().hex}"
        key = ("station_id", "observed_at")
        day = None if request.param == "in one" else "observed_at"
        table = iceberg.ensure(
            catalog, Definition(name, "a table", COLUMNS, key, "fullest", partition_by=day)
        )
        with table.update_schema() as schema:
            schema.add_column("wind (knots)", DoubleType())
        if "note" in request.param:
            with table.update_spec() as spec:
                spec.add_identity("note")
        table.append(given(table, range(20)))
        table.append(given(table, range(20, 40), 2.0, "note"))
        table.append(given(table, range(30, 48), 3.0, station="KLGA"))
        return table

    return made


def given(table: Table, hours: Sequence[int], *more: Any, **named: Any) -> pa.Table:
    """Give rows in the table's schema: a third without a note, where there are notes."""
    found = rows(hours, *more, **named)
    notes = pc.if_else([hour % 3 == 0 for hour in hours], None, found.column("note"))
    zones = [[f"NYZ{hour}", None] if hour % 2 else None for hour in hours]
    columns = [*found.columns[:-1], notes, zones, [hour / 10 for hour in hours]]
    return pa.table(columns, [*COLUMNS.names, "wind (knots)"]).cast(table.schema().as_arrow())


def theirs_appended(table: Table, some: pa.Table) -> None:
    table.append(some, {"by": "a test"})


def ours_appended(table: Table, some: pa.Table) -> None:
    commits.append(table, some.select(some.column_names[::-1]), {"by": "a test"})


def theirs_overwritten(table: Table, some: pa.Table) -> None:
    table.overwrite(some, DAY, {"by": "a test"})


def ours_overwritten(table: Table, some: pa.Table) -> None:
    commits.overwrite(table, some, DAY, {"by": "a test"})


def told(table: Table) -> dict[str, Any]:
    """Give all that a table tells of itself, but for names and times."""
    files = table.inspect.files()
    return {
        "summaries": [dict(one.summary.additional_properties) for one in table.snapshots()],
        "operations": [one.summary.operation for one in table.snapshots()],
        "sequence": [one.sequence_number for one in table.snapshots()],
        "files": sorted(files.drop_columns("file_path").to_pylist(), key=str),
        "rows": sorted(table.scan().to_arrow().to_pylist(), key=str),
        "schemas": [
            pq.read_schema(path.removeprefix("file://")).to_string(truncate_metadata=False)
            for path in files.column("file_path").to_pylist()
        ],
    }


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [(theirs_appended, ours_appended), (theirs_overwritten, ours_overwritten)],
    ids=["append", "overwrite"],
)
def test_a_commit_is_the_same_as_pyicebergs(make: Make, theirs: Change, ours: Change) -> None:
    first, second = make(), make()
    theirs(first, given(first, range(25, 80), 4.0, "later"))
    ours(second, given(second, range(25, 80), 4.0, "later"))
    assert told(second) == told(first)
    assert told(second)["summaries"][-1]["by"] == "a test"
    assert "PARQUET:field_id: '1'" in told(second)["schemas"][0]


@pytest.mark.parametrize("change", [ours_appended, ours_overwritten], ids=["append", "overwrite"])
def test_what_is_shared_is_not_changed(make: Make, change: Change) -> None:
    table = make()
    before, text = table.metadata, table.metadata.model_dump_json()
    change(table, given(table, range(25, 80), 4.0))
    assert table.metadata is not before
    assert before.model_dump_json() == text


def test_an_append_never_works_the_metadata_out(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = 0
    work_out = pyiceberg.table.update_table_metadata

    def counted(*arguments: Any, **named: Any) -> Any:
        nonlocal times
        times += 1
        return work_out(*arguments, **named)

    table = make()
    some = given(table, range(5))
    monkeypatch.setattr(pyiceberg.table, "update_table_metadata", counted)
    theirs_appended(table, some)
    assert times > 0, "PyIceberg no longer does what this is about: jobs.lake.commits may go"
    times = 0
    ours_appended(table, some)
    assert times == 0


def test_what_is_staged_is_worked_out_anew_for_each_change(make: Make) -> None:
    table = make()
    staging = commits.Staging(table)
    assert staging.table_metadata is table.metadata
    staging.set_properties({"a": "1"})
    staged = staging.table_metadata
    assert staging.table_metadata is staged
    assert staged.properties["a"] == "1"
    staging.set_properties({"a": "2"})
    assert staging.table_metadata.properties["a"] == "2"
    table.refresh()
    assert staging.table_metadata.properties["a"] == "2"
    staging.commit_transaction()
    assert staging.table_metadata is table.metadata
    assert table.properties["a"] == "2"


def test_the_second_of_two_is_told(make: Make, catalog: Catalog) -> None:
    first = make()
    second = catalog.load_table(first.name())
    ours_appended(first, given(first, [50]))
    with pytest.raises(CommitFailedException):
        ours_appended(second, given(second, [60]))
    assert first.refresh().scan().to_arrow().num_rows == 20 + 20 + 18 + 1


def test_the_second_of_two_goes_on_where_a_table_lets_it(make: Make, catalog: Catalog) -> None:
    first = make()
    with first.transaction() as transaction:
        transaction.set_properties({"commit.retry.num-retries": "3"})
    second = catalog.load_table(first.name())
    ours_appended(first, given(first, [50]))
    ours_appended(second, given(second, [60]))
    hours = second.scan(row_filter="observed_at >= '2013-07-04T00:00:00+00:00'").to_arrow()
    start = dt.datetime(2013, 7, 2, tzinfo=dt.UTC)
    assert sorted(hours.column("observed_at").to_pylist()) == [
        start + dt.timedelta(hours=50),
        start + dt.timedelta(hours=60),
    ]
