"""Builds of what changed and builds of everything come to the same rows."""

from collections.abc import Callable

import pyarrow as pa
import pytest

from jobs.lake.tables import OBSERVATIONS, STATIONS
from tests.transform.lake import Lake, at, hours, station, utc

pytestmark = pytest.mark.slow
BUSY = {"temperature_c": 20.0, "precipitation_last_hour_mm": 1.0, "text_description": "Rain"}


@pytest.fixture(scope="module")
def lake(make_lake: Callable[[], Lake]) -> Lake:
    made = make_lake()
    made.describe(JFK="America/New_York", HNL="Pacific/Honolulu", GONE="America/New_York")
    made.observe(
        *hours("JFK", utc(2013, 7, 1), 24 * 5, **BUSY),
        *hours("HNL", utc(2013, 7, 1), 24 * 5, **BUSY),
        *hours("GONE", utc(2013, 7, 1), 30, **BUSY),
    )
    made.build()
    return made


def changed(lake: Lake) -> dict[str, str]:
    """Build; give what came of the two marts that are made day by day."""
    models = lake.build()["models"]
    marts = ("fct_observations_hourly", "fct_daily_station_weather")
    return {mart.split("_")[1]: models[mart]["message"] for mart in marts}


def test_late_corrected_and_deleted_reports_end_as_a_full_refresh_does(lake: Lake) -> None:
    # Late: an hour's second report, an early one before the first, and one after a long gap, which
    # lengthens the grid of what was the last day.
    lake.observe(
        at("JFK", utc(2013, 7, 2, 12, 30), temperature_c=31.0),
        at("HNL", utc(2013, 6, 30, 22), temperature_c=25.0),
        at("GONE", utc(2013, 7, 4, 3), temperature_c=15.0),
    )
    late = changed(lake)
    # JFK's 2 July; HNL's 30 June and, whose first hour was its grid's first, nothing of 1 July;
    # GONE's last day with 6 hours before, and the two after it.
    assert late == {
        "observations": f"{24 + 2 + 24 + 24 + 4} rows in, {24 + 6} out",
        "daily": "3 rows in, 2 out",
    }

    # Corrected and deleted; a station's time zone, which moves all its days; and nothing else.
    lake.delete(OBSERVATIONS, "station_id = 'JFK' and observed_at = '2013-07-03T10:00:00+00:00'")
    lake.observe(at("JFK", utc(2013, 7, 3, 10), temperature_c=-5.0, temperature_qc="C"))
    lake.delete(
        OBSERVATIONS,
        "station_id = 'JFK' and observed_at >= '2013-07-04T00:00:00+00:00'"
        " and observed_at < '2013-07-05T00:00:00+00:00'",
    )
    lake.delete(STATIONS, "station_id = 'HNL'")
    lake.load(STATIONS, [station("HNL", time_zone="America/Chicago")])
    lake.delete(OBSERVATIONS, "station_id = 'GONE'")
    corrected = changed(lake)
    assert corrected["observations"].endswith(f"{24 + 24 + 5 * 24 + 2 + 76} out")
    empty = [row for row in lake.rows("fct_observations_hourly") if row["is_gap"]]
    assert {row["hour_utc"].date().isoformat() for row in empty if row["station_id"] == "JFK"} == {
        "2013-07-04"
    }
    assert not lake.days("GONE")

    # A build of nothing new changes nothing; a full refresh makes every table anew, and the same.
    before, uuids = lake.content(), lake.state()
    assert set(changed(lake).values()) == {"unchanged"}
    lake.run("run", "--full-refresh")
    after, renewed = lake.content(), lake.state()
    assert after == before
    assert before["fct_observations_hourly"]
    assert all(renewed[mart][0] != uuids[mart][0] for mart in lake.marts())


def test_other_models_compute_every_day_again(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that were made by other models differ although their fingerprint is the same."""
    before = lake.content()
    table = lake.catalog.load_table("marts.fct_daily_station_weather")
    rows = table.scan().to_arrow()
    index = rows.schema.get_field_index("precipitation_mm")
    rain = pa.array([77.0] * rows.num_rows)
    table.overwrite(rows.set_column(index, rows.schema.field(index), rain))
    assert lake.content() != before
    lake.run("run", "--select", "fct_daily_station_weather")
    assert lake.content() != before
    monkeypatch.setenv("WEATHER_REBUILD", "true")
    lake.run("run", "--select", "fct_daily_station_weather")
    assert lake.content() == before
