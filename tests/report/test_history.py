"""Time travel on tables written here: what was known when, and what one can no longer know."""

import datetime as dt
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.catalog import Catalog

from jobs.lake import iceberg
from jobs.lake.tables import OBSERVATIONS
from jobs.report import history
from jobs.report.blocks import Day, Figure, Table, Words
from jobs.report.lake import Lake, open_lake
from tests.tasks.conftest import CatalogServer

DAY = Day(dt.date(2013, 7, 2))
ZONE = "America/New_York"


class Past:
    """A catalog whose observations are loaded step by step."""

    def __init__(self, server: CatalogServer) -> None:
        self.uri = server.uri
        self.catalog: Catalog = server.connect()
        self.loads = 0
        self.catalog.create_namespace_if_not_exists("marts")
        stations = pa.table({"station_id": ["KJFK"], "local_time_zone": [ZONE]})
        self.catalog.create_table("marts.dim_stations", stations.schema).append(stations)

    def load(self, day: int, *values: tuple[int, float | None]) -> None:
        """Load temperatures of hours of a UTC day of July."""
        rows = [
            {
                "station_id": "KJFK",
                "observed_at": dt.datetime(2013, 7, day, hour, tzinfo=dt.UTC),
                "temperature_c": value,
            }
            for hour, value in values
        ]
        self.loads += 1
        scope = f"observed_at >= '2013-07-{day:02}T00:00:00+00:00'"
        scope += f" and observed_at < '2013-07-{day + 1:02}T00:00:00+00:00'"
        table = pa.Table.from_pylist(rows, schema=OBSERVATIONS.schema)
        iceberg.load(self.catalog, OBSERVATIONS, table, load_id=f"load-{self.loads}", scope=scope)


@pytest.fixture
def past(make_catalog: Callable[[], CatalogServer]) -> Past:
    return Past(make_catalog())


@pytest.fixture
def lake(past: Past, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lake]:
    folder: Path = tmp_path_factory.getbasetemp() / "extensions"
    with open_lake(past.uri, "default", folder) as opened:
        yield opened


def told(lake: Lake) -> tuple[str, list[list[Any]], list[Figure]]:
    """Give the section's words, its table's rows without times and ids, its figures."""
    blocks = history.section(lake, DAY)
    words = " ".join(block.text for block in blocks if isinstance(block, Words))
    rows = [
        [row[0], *row[3:7]] for block in blocks if isinstance(block, Table) for row in block.rows
    ]
    return words, rows, [block for block in blocks if isinstance(block, Figure)]


def test_late_and_corrected_rows_are_told(past: Past, lake: Lake) -> None:
    past.load(2, (5, 20.0), (6, 21.0))
    past.load(2, (6, 22.0), (7, 23.0))
    # In New York this is still the day before the day after.
    past.load(3, (2, 24.0), (5, 25.0))
    words, rows, figures = told(lake)
    none = "\N{EN DASH}"
    assert rows == [
        ["1", "2", none, none, none],
        ["2", "3", "1", "1", "0"],
        ["3", "4", "1", "0", "0"],
    ]
    assert "2 rows of the day were known. Since then 2 rows came, 1 got other values" in words
    assert len(figures) == 1


def test_one_snapshot_is_told_without_a_chart(past: Past, lake: Lake) -> None:
    past.load(2, (5, 20.0))
    words, rows, figures = told(lake)
    assert "keeps 1 snapshot," in words
    assert "nothing was added or corrected since" in words
    assert len(rows) == 1
    assert not figures


@pytest.mark.slow
def test_the_change_is_found_among_many_snapshots_of_other_days(past: Past, lake: Lake) -> None:
    past.load(2, (5, 20.0))
    for hour in range(24):
        past.load(9, (hour, 20.0))
    past.load(2, (6, 21.0))
    for hour in range(24):
        past.load(10, (hour, 20.0))
    _, rows, _ = told(lake)
    assert [row[:3] for row in rows] == [["1", "1", "\N{EN DASH}"], ["2", "2", "1"]]
    snapshots = lake.snapshots("weather.observations")
    table = history.section(lake, DAY)[-1]
    assert isinstance(table, Table)
    assert [row[2] for row in table.rows] == [
        str(snapshots[0].snapshot_id),
        str(snapshots[25].snapshot_id),
    ]


def test_expired_history_is_told(past: Past, lake: Lake) -> None:
    past.load(2, (5, 20.0))
    past.load(2, (6, 21.0))
    table = past.catalog.load_table("weather.observations")
    oldest = table.snapshots()[0].snapshot_id
    table.maintenance.expire_snapshots().by_id(oldest).commit()
    words, rows, _ = told(lake)
    assert "What was known before has expired" in words
    assert [row[:2] for row in rows] == [["1", "2"]]


def test_a_day_that_no_snapshot_knows_and_a_table_that_is_not_there(past: Past, lake: Lake) -> None:
    assert "nothing to look back on" in told(lake)[0]
    past.load(9, (5, 20.0))
    assert "No snapshot knows an observation of 2013-07-02." in told(lake)[0]
