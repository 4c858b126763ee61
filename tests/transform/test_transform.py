"""The tasks that run dbt: an hour's and a day's builds side by side, and the documentation."""

import datetime as dt
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobs.registered import DbtTransformations

HOUR = "2013-07-02T14"


@pytest.mark.slow
def test_an_hour_and_a_day_started_at_once_are_built_one_after_the_other(
    make_pipeline: Callable[..., Any], calm_weather: str, tmp_path: Path
) -> None:
    day = make_pipeline(calm_weather, tmp_path / "data")
    hour = type(day)(
        day.catalog, calm_weather, tmp_path / "other", {"WEATHER_DATA_DIR": str(day.data)}
    )
    both = [
        (day, day.start("DbtDocs", "--date", "2013-07-02")),
        (hour, hour.start("DbtTransformations", "--hour", HOUR)),
    ]
    for pipeline, process in both:
        assert process.wait(240) == 0, pipeline.output.read_text()

    catalog = day.catalog.connect()
    runs = catalog.load_table("weather.pipeline_runs").scan().to_arrow().to_pylist()
    rows = [row for row in runs if row["task"] in {"Transform", "DbtTransformations"}]
    first, second = sorted(rows, key=lambda row: row["started_at"])
    assert {(row["task"], row["period"], row["status"]) for row in rows} == {
        ("Transform", "2013-07-02", "success"),
        ("DbtTransformations", HOUR, "success"),
    }
    assert first["finished_at"] <= second["started_at"]
    for pipeline, _ in both:
        assert re.search(r"dbt: \d+ of \d+, fct_daily_station_weather", pipeline.output.read_text())
        assert "source freshness: weather.observations is warn (newest row 2013-07-0" in (
            pipeline.output.read_text()
        )

    checkpoint = json.loads((day.data / HOUR / "KEWR_KJFK_KLGA" / "transform.json").read_text())
    assert checkpoint["freshness"] == [
        {
            "source": "weather.observations",
            "status": "warn",
            "newest": checkpoint["freshness"][0]["newest"],
        }
    ]
    (run,) = [row for row in rows if row["run_id"] == checkpoint["run_id"]]
    assert run["tests_passed"] == checkpoint["tests"]["pass"]
    ages = catalog.load_table("marts.fct_station_freshness").scan().to_arrow().to_pylist()
    last = max(row["newest_in_lake"] for row in ages)
    ends = {dt.datetime(2013, 7, 2, 15, tzinfo=dt.UTC), dt.datetime(2013, 7, 3, tzinfo=dt.UTC)}
    assert {row["as_of"] for row in ages} <= {max(end, last) for end in ends}

    page = (day.folder("2013-07-02") / "dbt-docs.html").read_text()
    assert "fct_station_records" in page
    assert not re.search(r"<(script|link)[^>]+(src|href)=.?https?:", page)


def test_ranges_of_hours_can_be_asked_for() -> None:
    over = dt.datetime(2013, 7, 2, 14)  # noqa: DTZ001 - Luigi's hours carry no zone
    running = dt.datetime.now(dt.UTC).replace(minute=0, second=0, microsecond=0, tzinfo=None)
    assert DbtTransformations.bulk_complete([over, running]) == [running]
