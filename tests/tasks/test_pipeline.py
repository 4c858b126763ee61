"""The whole pipeline over real sockets, through every fault of the weather service."""

import datetime as dt
import gzip
import json
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pyiceberg.transforms import MonthTransform

from jobs.lake.tables import OBSERVATIONS

pytestmark = pytest.mark.slow

DAYS = "2013-07-01_2013-07-02"
ARGUMENTS = ["WeatherPipeline", "--date", "2013-07-02", "--days", "2"]
START = dt.datetime(2013, 7, 1, tzinfo=dt.UTC)
# Two UTC days, and the rest of the second day in New York.
END = dt.datetime(2013, 7, 3, 4, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)
RAW = ("weather.observations", "weather.quarantine", "weather.stations")
MARTS = ("marts.dim_stations", "marts.fct_daily_station_weather", "marts.fct_observations_hourly")
VALUES = (
    "temperature_c",
    "wind_direction_deg",
    "wind_speed_mps",
    "wind_gust_mps",
    "precipitation_last_hour_mm",
    "sea_level_pressure_pa",
    "visibility_m",
    "relative_humidity_percent",
)


@dataclass
class Ran:
    """A pipeline that has run, what it said, and the rows of the tables it made."""

    pipeline: Any
    output: str

    def rows(self, table: str) -> list[dict[str, Any]]:
        return self.pipeline.catalog.connect().load_table(table).scan().to_arrow().to_pylist()

    def snapshots(self) -> dict[str, list[int]]:
        catalog = self.pipeline.catalog.connect()
        return {
            name: [snapshot.snapshot_id for snapshot in catalog.load_table(name).snapshots()]
            for name in RAW + MARTS
        }


@pytest.fixture(scope="module")
def ran(
    make_pipeline: Callable[..., Any], stormy_weather: str, tmp_path_factory: pytest.TempPathFactory
) -> Ran:
    pipeline = make_pipeline(stormy_weather, tmp_path_factory.mktemp("data"))
    return Ran(pipeline, pipeline.ok(*ARGUMENTS))


@pytest.fixture(scope="module")
def expected(records: list[dict[str, Any]]) -> dict[tuple[str, dt.datetime], dict[str, Any]]:
    return {
        (record["station_id"], record["observed_at"]): record
        for record in records
        if START <= record["observed_at"] < END
    }


def test_every_record_of_the_window_is_one_row(
    ran: Ran, expected: dict[tuple[str, dt.datetime], dict[str, Any]]
) -> None:
    rows = ran.rows("weather.observations")
    assert sorted((row["station_id"], row["observed_at"]) for row in rows) == sorted(expected)
    assert len(rows) == 154
    for row in rows:
        record = expected[row["station_id"], row["observed_at"]]
        for name in VALUES:
            value = record[name] if record[name] is None else pytest.approx(record[name], rel=1e-4)
            assert row[name] == value, (row["station_id"], row["observed_at"], name)


def test_tables_say_what_they_hold(ran: Ran) -> None:
    table = ran.pipeline.catalog.connect().load_table("weather.observations")
    (partition,) = table.spec().fields
    assert table.schema().find_column_name(partition.source_id) == "observed_at"
    assert isinstance(partition.transform, MonthTransform)
    assert {field.name: field.doc for field in table.schema().fields} == {
        field.name: field.metadata[b"doc"].decode() for field in OBSERVATIONS.schema
    }
    daily = ran.pipeline.catalog.connect().load_table("marts.fct_daily_station_weather")
    assert "mm" in daily.schema().find_field("precipitation_mm").doc


def test_bad_records_are_quarantined_once_with_their_reason(ran: Ran) -> None:
    rows = ran.rows("weather.quarantine")
    # One broken record comes with each station's answer.
    assert len(rows) == 3
    assert {row["kind"] for row in rows} == {"observation"}
    assert {row["reason"] for row in rows} == {"no timestamp"}
    assert all("unknown" in json.loads(row["raw"])["id"] for row in rows)


def test_raw_answers_are_kept_as_received(ran: Ran) -> None:
    (path,) = ran.pipeline.folder(DAYS).glob("observations-*.json.gz")
    answers = json.loads(gzip.decompress(path.read_bytes()))
    assert [answer["station_id"] for answer in answers] == ["KEWR", "KJFK", "KLGA"]
    assert {answer["end"] for answer in answers} == {"2013-07-03T04:00:00+00:00"}
    # Doubles and broken records too.
    assert all(len(answer["features"]) > 28 for answer in answers)


def test_daily_mart_equals_the_records_by_local_day(
    ran: Ran, expected: dict[tuple[str, dt.datetime], dict[str, Any]]
) -> None:
    days: dict[tuple[str, dt.date], list[dict[str, Any]]] = defaultdict(list)
    for record in expected.values():
        days[record["station_id"], record["local_date"]].append(record)
    rows = ran.rows("marts.fct_daily_station_weather")
    assert {(row["station_id"], row["local_date"]) for row in rows} == set(days)
    for row in rows:
        records = days[row["station_id"], row["local_date"]]

        def known(name: str, of: list[dict[str, Any]] = records) -> list[float]:
            return [record[name] for record in of if record[name] is not None]

        temperatures = known("temperature_c")
        gusts = known("wind_gust_mps")
        assert row["observations"] == row["hours_observed"] == len(records)
        assert row["hours_in_day"] == 24
        assert row["is_complete"] == (len(records) == 24)
        assert row["temperature_min_c"] == pytest.approx(min(temperatures), abs=0.006)
        assert row["temperature_max_c"] == pytest.approx(max(temperatures), abs=0.006)
        mean = sum(temperatures) / len(temperatures)
        assert row["temperature_mean_c"] == pytest.approx(mean, abs=0.006)
        rain = known("precipitation_last_hour_mm")
        assert row["precipitation_mm"] == pytest.approx(sum(rain), abs=0.002)
        assert row["precipitation_hours"] == len(rain)
        gust = pytest.approx(max(gusts), abs=0.006) if gusts else None
        assert row["wind_gust_max_mps"] == gust


def test_hourly_mart_has_an_hour_for_every_report(
    ran: Ran, expected: dict[tuple[str, dt.datetime], dict[str, Any]]
) -> None:
    grid = {(row["station_id"], row["hour_utc"]): row for row in ran.rows(MARTS[2])}
    rows = {key: row for key, row in grid.items() if not row["is_gap"]}
    assert rows.keys() == expected.keys()
    # An hour without a report is there too, and says so.
    hours = {START + dt.timedelta(hours=hour) for hour in range((END - START) // HOUR)}
    assert grid.keys() == {(station, hour) for station, _ in expected for hour in hours}
    for key, record in expected.items():
        assert rows[key]["temperature_c"] == pytest.approx(record["temperature_c"], abs=0.006)
        calm = not record["wind_speed_mps"] or record["wind_direction_deg"] is None
        direction = None if calm else record["wind_direction_deg"]
        assert rows[key]["wind_direction_deg"] == direction


def test_station_dimension_has_the_span_of_observations(ran: Ran) -> None:
    rows = {row["station_id"]: row for row in ran.rows("marts.dim_stations")}
    assert rows.keys() == {"KEWR", "KJFK", "KLGA"}
    assert rows["KJFK"]["local_time_zone"] == "America/New_York"
    assert rows["KJFK"]["observations"] == 52
    assert rows["KJFK"]["first_observed_at"] == START
    assert rows["KJFK"]["last_observed_at"] == END - dt.timedelta(hours=1)


def test_summary_counts_what_happened(ran: Ran) -> None:
    folder = ran.pipeline.folder("2013-07-02")
    summary = json.loads((folder / "summary-2-days.json").read_text())
    assert sum(load["rows_new"] for load in summary["loads"]) == 154 + 3
    marts = {mart["table"]: mart["rows"] for mart in summary["transform"]["tables"]}
    assert {name: marts[name] for name in MARTS} == {
        "marts.dim_stations": 3,
        "marts.fct_daily_station_weather": 9,
        "marts.fct_observations_hourly": 156,
    }
    assert summary["transform"]["tests"]["pass"] > 30
    assert summary["closed"]
    days = sorted(path.stem for path in (ran.pipeline.data / "days").iterdir())
    assert days == ["2013-06-30", "2013-07-01", "2013-07-02"]
    text = (folder / "summary-2-days.txt").read_text()
    assert "marts.fct_daily_station_weather" in text
    assert all(line in ran.output for line in text.splitlines())


def test_loads_are_named_by_table_day_and_input(ran: Ran) -> None:
    table = ran.pipeline.catalog.connect().load_table("weather.observations")
    checkpoint = json.loads((ran.pipeline.folder(DAYS) / "load-observations.json").read_text())
    ids = [snapshot.summary.get("weather.load-id") for snapshot in table.snapshots()]
    assert checkpoint["load_id"] in ids
    assert checkpoint["load_id"].startswith(f"weather.observations/{DAYS}/")


def test_running_again_changes_nothing(ran: Ran) -> None:
    before = ran.snapshots()
    output = ran.pipeline.ok(*ARGUMENTS)
    assert "* 1 complete ones were encountered" in output
    assert ran.snapshots() == before


def test_lost_checkpoints_change_no_table(ran: Ran) -> None:
    before = ran.snapshots()
    for name in ("load-*.json", "transform*.json", "summary*.json"):
        for path in Path(ran.pipeline.data).rglob(name):
            path.unlink()
    ran.pipeline.ok(*ARGUMENTS)
    assert ran.snapshots() == before


def test_fetching_again_changes_no_row(ran: Ran, calm_weather: str) -> None:
    def content() -> dict[str, list[Any]]:
        rows = {name: ran.rows(name) for name in ("weather.stations", *MARTS)}
        rows["keys"] = [
            {"at": row["observed_at"], "id": row["station_id"]}
            for row in ran.rows("weather.observations")
        ]
        return {name: sorted(map(str, table)) for name, table in rows.items()}

    before = content()
    ran.pipeline.weather = calm_weather
    for path in Path(ran.pipeline.data).rglob("2013-*/*/*"):
        path.unlink()
    ran.pipeline.ok(*ARGUMENTS)
    assert content() == before
