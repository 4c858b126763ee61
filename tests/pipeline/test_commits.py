"""Commits as PyIceberg's own make them, without a copy of the history at each step."""

import datetime as dt
import uuid
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pyiceberg.table
import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.table import Table

from jobs import commits, iceberg
from jobs.iceberg import Definition
from tests.pipeline.test_iceberg import SCHEMA, rows

DAY = "observed_at >= '2013-07-03T00:00:00+00:00'"
Change = Callable[[Table, pa.Table], None]


@pytest.fixture(scope="module")
def catalog(catalog_server: Any) -> Catalog:
    return catalog_server.connect()


@pytest.fixture
def make(catalog: Catalog) -> Callable[[], Table]:
    """Make tables with a little history: three snapshots, two days, a change within one file."""

    def made() -> Table:
        name = f"commits.t{uuid.uuid4().hex}"
        key = ("station_id", "observed_at")
        definition = Definition(name, "a table", SCHEMA, key, "fullest", "observed_at")
        table = iceberg.ensure(catalog, definition)
        table.append(stored(table, rows(range(20))))
        table.append(stored(table, rows(range(20, 40), 2.0)))
        table.append(stored(table, rows(range(30, 48), 3.0, station="KLGA")))
        return table

    return made


def stored(table: Table, given: pa.Table) -> pa.Table:
    return given.cast(table.schema().as_arrow())


def theirs_appended(table: Table, given: pa.Table) -> None:
    table.append(given, {"by": "a test"})


def ours_appended(table: Table, given: pa.Table) -> None:
    commits.append(table, given.select(["note", *given.column_names[:-1]]), {"by": "a test"})


def theirs_overwritten(table: Table, given: pa.Table) -> None:
    table.overwrite(given, DAY, {"by": "a test"})


def ours_overwritten(table: Table, given: pa.Table) -> None:
    commits.overwrite(table, given, DAY, {"by": "a test"})


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
def test_a_commit_is_the_same_as_pyicebergs(
    make: Callable[[], Table], theirs: Change, ours: Change
) -> None:
    first, second = make(), make()
    given = rows(range(25, 80), 4.0, "later")
    theirs(first, stored(first, given))
    ours(second, stored(second, given))
    assert told(second) == told(first)
    assert told(second)["summaries"][-1]["by"] == "a test"
    assert "PARQUET:field_id: '1'" in told(second)["schemas"][0]


@pytest.mark.parametrize("change", [ours_appended, ours_overwritten], ids=["append", "overwrite"])
def test_what_is_shared_is_not_changed(make: Callable[[], Table], change: Change) -> None:
    table = make()
    before, text = table.metadata, table.metadata.model_dump_json()
    change(table, stored(table, rows(range(25, 80), 4.0)))
    assert table.metadata is not before
    assert before.model_dump_json() == text


def test_an_append_never_works_the_metadata_out(
    make: Callable[[], Table], monkeypatch: pytest.MonkeyPatch
) -> None:
    times = 0
    work_out = pyiceberg.table.update_table_metadata

    def counted(*arguments: Any, **named: Any) -> Any:
        nonlocal times
        times += 1
        return work_out(*arguments, **named)

    table = make()
    given = stored(table, rows(range(5)))
    monkeypatch.setattr(pyiceberg.table, "update_table_metadata", counted)
    theirs_appended(table, given)
    assert times > 0, "PyIceberg no longer does what this is about: jobs.commits may go"
    times = 0
    ours_appended(table, given)
    assert times == 0


def test_what_is_staged_is_worked_out_anew_for_each_change(make: Callable[[], Table]) -> None:
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


def test_the_second_of_two_is_told(make: Callable[[], Table], catalog: Catalog) -> None:
    first = make()
    second = catalog.load_table(first.name())
    ours_appended(first, stored(first, rows([50])))
    with pytest.raises(CommitFailedException):
        ours_appended(second, stored(second, rows([60])))
    assert first.refresh().scan().to_arrow().num_rows == 20 + 20 + 18 + 1


def test_the_second_of_two_goes_on_where_a_table_lets_it(
    make: Callable[[], Table], catalog: Catalog
) -> None:
    first = make()
    with first.transaction() as transaction:
        transaction.set_properties({"commit.retry.num-retries": "3"})
    second = catalog.load_table(first.name())
    ours_appended(first, stored(first, rows([50])))
    ours_appended(second, stored(second, rows([60])))
    hours = second.scan(row_filter="observed_at >= '2013-07-04T00:00:00+00:00'").to_arrow()
    start = dt.datetime(2013, 7, 2, tzinfo=dt.UTC)
    assert sorted(hours.column("observed_at").to_pylist()) == [
        start + dt.timedelta(hours=50),
        start + dt.timedelta(hours=60),
    ]
