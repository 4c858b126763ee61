"""The pipeline on recorded answers of the real service, where they are at hand."""

import datetime as dt
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobs.nws_simulator import make_app, recordings, running
from tests.reference import RECORDED

# Reports of one station; five days of August 2019 have 132 of them.
FILE = RECORDED / "cosmer-basic" / "ObservationsModelData.json"


@pytest.mark.reference
@pytest.mark.slow
def test_recorded_reports_become_rows_and_days(
    make_pipeline: Callable[..., Any], tmp_path: Path
) -> None:
    reports = [feature["properties"] for feature in json.loads(FILE.read_bytes())["features"]]
    times = sorted(
        time
        for time in {dt.datetime.fromisoformat(report["timestamp"]) for report in reports}
        if time >= dt.datetime(2019, 8, 13, tzinfo=dt.UTC)
    )
    with running(make_app(recordings(RECORDED))) as url:
        pipeline = make_pipeline(url, tmp_path, WEATHER_STATIONS="KCNK")
        pipeline.ok("WeatherPipeline", "--date", "2019-08-17", "--days", "5")
    catalog = pipeline.catalog.connect()
    rows = catalog.load_table("weather.observations").scan().to_arrow().to_pylist()
    assert sorted(row["observed_at"] for row in rows) == times
    assert {row["station_id"] for row in rows} == {"KCNK"}
    assert catalog.load_table("weather.quarantine").scan().count() == 0
    known = [row["temperature_c"] for row in rows if row["temperature_c"] is not None]
    assert len(known) > 60
    daily = catalog.load_table("marts.fct_daily_station_weather").scan().to_arrow().to_pylist()
    assert sum(row["observations"] for row in daily) == len(times)
    (station,) = catalog.load_table("marts.dim_stations").scan().to_arrow().to_pylist()
    assert Counter(row["local_time_zone"] for row in daily) == {
        station["local_time_zone"]: len(daily)
    }
