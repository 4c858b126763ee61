"""Loads into a real catalog: merged, repeated and raced without losing or doubling a row."""

import datetime as dt
import threading
import uuid
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.transforms import BucketTransform, DayTransform, MonthTransform

from jobs.lake import iceberg
from jobs.lake.iceberg import Definition

SCHEMA = pa.schema(
    [
        pa.field("station_id", pa.string(), False, {"doc": "key"}),
        pa.field("observed_at", pa.timestamp("us", "UTC"), False, {"doc": "key, UTC"}),
        pa.field("temperature_c", pa.float64()),
        pa.field("note", pa.string()),
    ]
)


@pytest.fixture(scope="module")
def catalog(catalog_server: Any) -> Catalog:
    return catalog_server.connect()


@pytest.fixture
def definition() -> Definition:
    return Definition(
        name=f"loads.t{uuid.uuid4().hex}",
        doc="a table to load",
        schema=SCHEMA,
        key=("station_id", "observed_at"),
        prefer="fullest",
        partition_by="observed_at",
    )


def rows(
    hours: Sequence[int], value: float | None = 1.0, note: str | None = None, station: str = "KJFK"
) -> pa.Table:
    start = dt.datetime(2013, 7, 2, tzinfo=dt.UTC)
    return pa.Table.from_pylist(
        [
            {
                "station_id": station,
                "observed_at": start + dt.timedelta(hours=hour),
                "temperature_c": value,
                "note": note,
            }
            for hour in hours
        ],
        schema=SCHEMA,
    )


def stored(catalog: Catalog, definition: Definition) -> dict[int, tuple[float | None, str | None]]:
    found = catalog.load_table(definition.name).scan().to_arrow().to_pylist()
    start = dt.datetime(2013, 7, 2, tzinfo=dt.UTC)
    hours = {
        round((row["observed_at"] - start).total_seconds() / 3600): (
            row["temperature_c"],
            row["note"],
        )
        for row in found
    }
    assert len(hours) == len(found), "rows are doubled"
    return hours


def test_a_load_is_one_snapshot_that_carries_its_id(
    catalog: Catalog, definition: Definition
) -> None:
    loaded = iceberg.load(catalog, definition, rows(range(5)), load_id="first")
    table = catalog.load_table(definition.name)
    assert loaded.committed
    assert (loaded.rows_in, loaded.rows_new, loaded.rows_changed) == (5, 5, 0)
    assert [snapshot.summary["weather.load-id"] for snapshot in table.snapshots()] == ["first"]
    assert table.metadata.properties["commit.retry.num-retries"] == "0"
    assert table.schema().find_field("observed_at").doc == "key, UTC"


def test_the_same_load_again_commits_nothing(catalog: Catalog, definition: Definition) -> None:
    first = iceberg.load(catalog, definition, rows(range(5)), load_id="first")
    iceberg.load(catalog, definition, rows(range(5, 8)), load_id="second")
    again = iceberg.load(catalog, definition, rows(range(5)), load_id="first")
    assert not again.committed
    assert again.snapshot_id == first.snapshot_id


def test_the_same_rows_under_another_id_commit_nothing(
    catalog: Catalog, definition: Definition
) -> None:
    iceberg.load(catalog, definition, rows(range(5)), load_id="first")
    assert not iceberg.load(catalog, definition, rows(range(5)), load_id="second").committed
    assert len(catalog.load_table(definition.name).snapshots()) == 1


def test_corrections_replace_and_keep_the_rest(catalog: Catalog, definition: Definition) -> None:
    iceberg.load(catalog, definition, rows(range(48)), load_id="first")
    loaded = iceberg.load(catalog, definition, rows([3, 30, 50], 9.0), load_id="second")
    assert (loaded.rows_new, loaded.rows_changed) == (1, 2)
    expected = dict.fromkeys(range(48), (1.0, None)) | dict.fromkeys((3, 30, 50), (9.0, None))
    assert stored(catalog, definition) == expected


def test_a_poorer_row_never_replaces_a_fuller_one(catalog: Catalog, definition: Definition) -> None:
    iceberg.load(catalog, definition, rows([1, 2], 1.0, "full"), load_id="first")
    iceberg.load(catalog, definition, rows([1], None, "poor"), load_id="second")
    iceberg.load(catalog, definition, rows([2], 2.0, "as full"), load_id="third")
    assert stored(catalog, definition) == {1: (1.0, "full"), 2: (2.0, "as full")}


@pytest.mark.parametrize(("prefer", "kept"), [("newest", 2.0), ("oldest", 1.0)])
def test_newest_or_oldest_stays(
    catalog: Catalog, definition: Definition, prefer: Any, kept: float
) -> None:
    chosen = replace(definition, prefer=prefer)
    iceberg.load(catalog, chosen, rows([1], 1.0, "long"), load_id="first")
    iceberg.load(catalog, chosen, rows([1], 2.0), load_id="second")
    assert stored(catalog, chosen)[1][0] == kept


def test_rows_outside_the_scope_are_left_alone(catalog: Catalog, definition: Definition) -> None:
    iceberg.load(catalog, definition, rows([1, 30]), load_id="first")
    scope = "observed_at >= '2013-07-03T00:00:00+00:00'"
    iceberg.load(catalog, definition, rows([30], 9.0), load_id="second", scope=scope)
    assert stored(catalog, definition) == {1: (1.0, None), 30: (9.0, None)}


def test_columns_on_either_side_only_are_kept(catalog: Catalog, definition: Definition) -> None:
    older = replace(definition, schema=pa.schema(list(SCHEMA)[:3]))
    iceberg.load(catalog, older, rows([1, 2]).drop_columns("note"), load_id="first")
    with catalog.load_table(definition.name).update_schema() as update:
        update.add_column("theirs", pa_type())
    iceberg.load(catalog, definition, rows([2, 3], 9.0, "new"), load_id="second")
    table = catalog.load_table(definition.name)
    assert table.schema().column_names[-2:] == ["theirs", "note"]
    assert stored(catalog, definition) == {1: (1.0, None), 2: (9.0, "new"), 3: (9.0, "new")}


def pa_type() -> Any:
    from pyiceberg.types import StringType  # noqa: PLC0415 - beside its only use

    return StringType()


def test_racing_loaders_of_one_input_double_no_row(
    catalog_server: Any, definition: Definition
) -> None:
    loaded = race(catalog_server, definition, [("same", rows(range(24)))] * 6)
    assert sum(one.committed for one in loaded) == 1
    assert stored(catalog_server.connect(), definition) == dict.fromkeys(range(24), (1.0, None))


def test_racing_loaders_of_different_inputs_lose_no_row(
    catalog_server: Any, definition: Definition
) -> None:
    inputs = [(f"load {n}", rows(range(4 * n, 4 * n + 8), float(n))) for n in range(6)]
    loaded = race(catalog_server, definition, inputs)
    assert all(one.committed for one in loaded)
    found = stored(catalog_server.connect(), definition)
    assert sorted(found) == list(range(28))
    assert all(value in {hour // 4 * 1.0, hour // 4 - 1.0} for hour, (value, _) in found.items())


def race(
    server: Any, definition: Definition, inputs: Sequence[tuple[str, pa.Table]]
) -> list[iceberg.Loaded]:
    gate = threading.Barrier(len(inputs))
    loaded: list[iceberg.Loaded] = []

    def load(load_id: str, table: pa.Table) -> None:
        catalog = server.connect()
        gate.wait(60)
        loaded.append(iceberg.load(catalog, definition, table, load_id=load_id))

    threads = [threading.Thread(target=load, args=one) for one in inputs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert len(loaded) == len(inputs), "a loader failed"
    return loaded


def test_racing_loaders_that_correct_the_same_rows_end_with_the_last_word(
    catalog_server: Any, definition: Definition
) -> None:
    """Of equally full rows the one fetched last stays, in whatever order they are loaded."""
    stamped = replace(
        definition,
        schema=pa.schema([*SCHEMA, pa.field("fetched_at", pa.timestamp("us", "UTC"))]),
        stamp="fetched_at",
    )
    first = dt.datetime(2013, 7, 2, tzinfo=dt.UTC)
    inputs = []
    for number in (3, 1, 5, 0, 4, 2):
        times = pa.array([first + dt.timedelta(hours=number)] * 12, pa.timestamp("us", "UTC"))
        table = rows(range(12), float(number)).append_column("fetched_at", times)
        inputs.append((f"load {number}", table.cast(stamped.schema)))
    race(catalog_server, stamped, inputs)
    found = stored(catalog_server.connect(), stamped)
    assert found == dict.fromkeys(range(12), (5.0, None))


def test_an_older_word_of_equal_fullness_changes_nothing(
    catalog: Catalog, definition: Definition
) -> None:
    stamped = replace(
        definition,
        schema=pa.schema([*SCHEMA, pa.field("fetched_at", pa.timestamp("us", "UTC"))]),
        stamp="fetched_at",
    )

    def load(hour: int, value: float) -> iceberg.Loaded:
        time = pa.array([dt.datetime(2013, 7, 3, hour, tzinfo=dt.UTC)], pa.timestamp("us", "UTC"))
        table = rows([1], value).append_column("fetched_at", time).cast(stamped.schema)
        return iceberg.load(catalog, stamped, table, load_id=f"{hour} {value}")

    assert load(10, 1.0).committed
    assert load(12, 2.0).committed
    assert not load(11, 3.0).committed
    # The same said again later is no news.
    assert not load(13, 2.0).committed
    assert stored(catalog, stamped) == {1: (2.0, None)}


def test_a_load_after_its_id_has_expired_changes_nothing(
    catalog: Catalog, definition: Definition
) -> None:
    iceberg.load(catalog, definition, rows(range(5)), load_id="first")
    iceberg.load(catalog, definition, rows(range(3, 8), 2.0), load_id="second")
    table = catalog.load_table(definition.name)
    head = table.current_snapshot()
    assert head is not None
    expired = [one.snapshot_id for one in table.snapshots() if one.snapshot_id != head.snapshot_id]
    table.maintenance.expire_snapshots().by_ids(expired).commit()
    before = stored(catalog, definition)
    assert iceberg.find_load(catalog.load_table(definition.name), "first") is None
    # Without a word on when rows were fetched the load is the newest word on those it shares.
    again = iceberg.load(catalog, definition, rows(range(3)), load_id="first")
    assert not again.committed
    assert stored(catalog, definition) == before


def test_a_table_of_others_gets_the_retries_switched_off(
    catalog: Catalog, definition: Definition
) -> None:
    iceberg.load(catalog, definition, rows([1]), load_id="first")
    with catalog.load_table(definition.name).transaction() as transaction:
        transaction.remove_properties("commit.retry.num-retries")
    iceberg.load(catalog, definition, rows([2]), load_id="second")
    properties = catalog.load_table(definition.name).properties
    assert properties["commit.retry.num-retries"] == "0"


def test_a_year_of_hours_is_a_file_for_each_month_of_a_load(
    catalog: Catalog, definition: Definition
) -> None:
    expected = set()
    for first in range(0, 365, 30):
        loaded = rows(range(24 * first, 24 * min(first + 30, 365)))
        iceberg.load(catalog, definition, loaded, load_id=f"days from {first}")
        times = loaded.column("observed_at").to_pylist()
        expected |= {(first, time.year, time.month) for time in times}
    files = list(catalog.load_table(definition.name).scan().plan_files())
    assert len(files) == len(expected) == 24
    assert len(stored(catalog, definition)) == 365 * 24


@pytest.mark.parametrize("unit", ["month", "day"])
def test_the_unit_of_a_tables_partitions_changes_in_place(
    catalog: Catalog, definition: Definition, unit: Any
) -> None:
    other = replace(definition, partition_unit="day" if unit == "month" else "month")
    definition = replace(definition, partition_unit=unit)
    iceberg.load(catalog, definition, rows(range(100)), load_id="first")
    assert iceberg.repartition(catalog, definition) is None
    changed = iceberg.repartition(catalog, other)
    assert changed is not None
    assert f"no longer by {unit}(observed_at)" in changed
    table = catalog.load_table(definition.name)
    (field,) = table.spec().fields
    assert isinstance(field.transform, DayTransform if unit == "month" else MonthTransform)
    # A correction of rows on both sides of the change, in files of both specs.
    iceberg.load(catalog, other, rows(range(90, 110), 2.0), load_id="second")
    expected = dict.fromkeys(range(110), (1.0, None)) | dict.fromkeys(range(90, 110), (2.0, None))
    assert stored(catalog, definition) == expected
    assert not iceberg.load(catalog, other, rows(range(90, 110), 2.0), load_id="third").committed
    # And back: names and ids of the old field are free for it.
    assert iceberg.repartition(catalog, definition) is not None
    iceberg.load(catalog, definition, rows([5, 95, 120], 3.0), load_id="fourth")
    assert stored(catalog, definition) == expected | dict.fromkeys((5, 95, 120), (3.0, None))


def test_partitions_that_others_chose_stay(catalog: Catalog, definition: Definition) -> None:
    table = iceberg.ensure(catalog, definition)
    by_day = replace(definition, partition_unit="day")
    with table.update_spec() as update:
        update.add_field("station_id", BucketTransform(4), "some")
    assert iceberg.repartition(catalog, by_day) is None
    with catalog.load_table(definition.name).update_spec() as update:
        update.remove_field("observed_at_month")
    assert iceberg.repartition(catalog, by_day) is None
    (field,) = catalog.load_table(definition.name).spec().fields
    assert field.name == "some"
