"""What dbt makes of awkward observations, and what it writes when little or nothing changed."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobs.lake import runs
from jobs.transform.running import TransformError
from tests.transform.lake import Lake, at, hours, utc

pytestmark = pytest.mark.slow

ZONES = {
    "NYC": "America/New_York",
    "HNL": "Pacific/Honolulu",
    "GUM": "Pacific/Guam",
    "NONE": None,
    "ODD": "Mars/Olympus_Mons",
    "SILENT": "America/Chicago",
}
ROWS = [
    # The clocks go forward on 10 March 2013 and back on 3 November, in New York.
    *hours("NYC", utc(2013, 3, 10, 5), 23, temperature_c=1.0),
    *hours("NYC", utc(2013, 11, 3, 4), 25, temperature_c=2.0),
    # One local day, astride two UTC days.
    *hours("HNL", utc(2013, 7, 2, 10), 24, temperature_c=27.0),
    *hours("GUM", utc(2013, 7, 1, 14), 24, temperature_c=29.0),
    *hours("NONE", utc(2013, 7, 2), 24, temperature_c=3.0),
    *hours("ODD", utc(2013, 7, 2), 24, temperature_c=4.0),
    # Quality control: X and B go, Q and Z and no flag stay.
    at("NYC", utc(2013, 5, 1, 12), temperature_c=99.0, temperature_qc="X"),
    at("NYC", utc(2013, 5, 1, 13), temperature_c=-99.0, temperature_qc="B"),
    at("NYC", utc(2013, 5, 1, 14), temperature_c=10.0, temperature_qc="Q"),
    at("NYC", utc(2013, 5, 1, 15), temperature_c=12.0, temperature_qc="Z"),
    at("NYC", utc(2013, 5, 1, 16), temperature_c=14.0),
    # Rain: unknown is not zero, and many reports of an hour are one hour's rain.
    at("NYC", utc(2013, 6, 1, 12)),
    at("NYC", utc(2013, 6, 2, 12), precipitation_last_hour_mm=0.0),
    at("NYC", utc(2013, 6, 2, 13)),
    at("NYC", utc(2013, 6, 3, 12, 5), precipitation_last_hour_mm=1.0),
    at("NYC", utc(2013, 6, 3, 12, 35), precipitation_last_hour_mm=3.0),
    at("NYC", utc(2013, 6, 3, 12, 51), precipitation_last_hour_mm=4.5),
    at("NYC", utc(2013, 6, 3, 13, 51), precipitation_last_hour_mm=0.254),
    # A busy hour weighs no more than a quiet one.
    *[at("NYC", utc(2013, 8, 1, 12, minute), temperature_c=30.0) for minute in range(10)],
    at("NYC", utc(2013, 8, 1, 13), temperature_c=20.0),
    # Winds about north, winds that cancel each other, and none.
    at("NYC", utc(2013, 9, 1, 12, 0), wind_direction_deg=350.0, wind_speed_mps=5.0),
    at("NYC", utc(2013, 9, 1, 12, 30), wind_direction_deg=10.0, wind_speed_mps=5.0),
    at("NYC", utc(2013, 9, 1, 13, 0), wind_direction_deg=90.0, wind_speed_mps=5.0),
    at("NYC", utc(2013, 9, 1, 13, 30), wind_direction_deg=270.0, wind_speed_mps=5.0),
    at("NYC", utc(2013, 9, 1, 14, 0), wind_direction_deg=0.0, wind_speed_mps=0.0),
    at("NYC", utc(2013, 9, 1, 15, 0), wind_direction_deg=180.0, wind_speed_mps=None),
    # Absurd, but no reason to fail.
    at("NYC", utc(2013, 10, 1, 12), sea_level_pressure_pa=1e300, wind_gust_mps=-1.0),
]


@pytest.fixture(scope="module")
def lake(make_catalog: Callable[[], Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    server, folder = make_catalog(), tmp_path_factory.mktemp("lake")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CATALOG_URI", server.uri)
        patch.setenv("CATALOG_WAREHOUSE", "default")
        made = Lake(server, folder)
        made.describe(**ZONES)
        made.observe(*ROWS)
        made.build()
        yield made


@pytest.mark.parametrize(
    ("station", "day", "length"),
    [
        ("NYC", "2013-03-10", 23),
        ("NYC", "2013-11-03", 25),
        ("HNL", "2013-07-02", 24),
        ("GUM", "2013-07-02", 24),
        ("NONE", "2013-07-02", 24),
        ("ODD", "2013-07-02", 24),
    ],
)
def test_days_are_the_stations_own(lake: Lake, station: str, day: str, length: int) -> None:
    row = lake.days(station)[day]
    assert (row["hours_observed"], row["hours_in_day"]) == (length, length)
    assert row["is_complete"]
    assert row["coverage_percent"] == 100.0
    if station != "NYC":
        assert list(lake.days(station)) == [day]


def test_rejected_values_count_for_nothing(lake: Lake) -> None:
    row = lake.days("NYC")["2013-05-01"]
    assert (row["temperature_min_c"], row["temperature_max_c"]) == (10.0, 14.0)
    assert row["temperature_mean_c"] == 12.0
    assert row["observations"] == 5
    assert lake.hour("NYC", utc(2013, 5, 1, 12))["temperature_c"] is None


def test_unknown_rain_is_not_dry(lake: Lake) -> None:
    days = lake.days("NYC")
    rain = {
        day: (days[day]["precipitation_mm"], days[day]["precipitation_hours"])
        for day in ("2013-06-01", "2013-06-02", "2013-06-03")
    }
    assert rain == {
        "2013-06-01": (None, 0),
        "2013-06-02": (0.0, 1),
        "2013-06-03": (4.754, 2),
    }


def test_a_busy_hour_weighs_as_one(lake: Lake) -> None:
    assert lake.days("NYC")["2013-08-01"]["temperature_mean_c"] == 25.0


@pytest.mark.parametrize(("hour", "direction"), [(12, 360.0), (13, None), (14, None), (15, None)])
def test_wind_directions_have_no_seam_at_north(
    lake: Lake, hour: int, direction: float | None
) -> None:
    assert lake.hour("NYC", utc(2013, 9, 1, hour))["wind_direction_deg"] == direction


def test_every_station_is_in_the_dimension(lake: Lake) -> None:
    rows = {row["station_id"]: row for row in lake.rows("dim_stations")}
    assert {id_: row["local_time_zone"] for id_, row in rows.items()} == {
        **ZONES,
        "NONE": "UTC",
        "ODD": "UTC",
    }
    assert rows["SILENT"]["observations"] == 0
    assert rows["SILENT"]["last_observed_at"] is None


def test_an_hour_without_a_report_is_a_gap_of_nulls(lake: Lake) -> None:
    reported = lake.hour("NYC", utc(2013, 8, 1, 13))
    assert (reported["is_gap"], reported["observations"]) == (False, 1)
    gap = lake.hour("NYC", utc(2013, 8, 1, 14))
    assert (gap.pop("is_gap"), gap.pop("observations")) == (True, 0)
    names = {"station_hour_id", "station_id", "hour_utc", "local_time", "local_date"}
    assert {name for name, value in gap.items() if value is not None} == {
        *names,
        "reports_fingerprint",
    }
    grid = [row for row in lake.rows("fct_observations_hourly") if row["station_id"] == "NYC"]
    first, last = utc(2013, 3, 10, 5), utc(2013, 11, 4, 4)
    assert len(grid) == (last - first).total_seconds() / 3600 + 1
    assert {row["station_id"] for row in lake.rows("fct_observations_hourly")} == {
        "NYC",
        "HNL",
        "GUM",
        "NONE",
        "ODD",
    }


def test_building_again_commits_nothing_and_a_change_only_itself(lake: Lake) -> None:
    before = lake.state()
    again = lake.build()
    assert {
        model["message"] for name, model in again["models"].items() if name in lake.state()
    } == {"unchanged", "OK"}
    assert not sum(model["rows_changed"] for model in again["models"].values())
    assert lake.state() == before

    daily = lake.keyed("fct_daily_station_weather", "station_day_id")
    lake.observe(at("NYC", utc(2013, 5, 1, 17), temperature_c=16.0))
    changed = lake.build()["models"]
    assert changed["fct_daily_station_weather"]["message"] == "1 rows in, 1 out"
    after = lake.keyed("fct_daily_station_weather", "station_day_id")
    assert after.pop("NYC|2013-05-01")["temperature_max_c"] == 16.0
    daily.pop("NYC|2013-05-01")
    assert after == daily
    assert {name: uuid for name, (uuid, _) in lake.state().items()} == {
        name: uuid for name, (uuid, _) in before.items()
    }
    table = lake.catalog.load_table("marts.fct_daily_station_weather")
    assert table.current_snapshot().summary["added-records"] == "1"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a copy of the dbt project, which the pipeline uses."""
    folder = tmp_path / "dbt"
    shutil.copytree(Path(__file__).parents[2] / "dbt", folder)
    monkeypatch.setenv("WEATHER_DBT_DIR", str(folder))
    return folder


def test_another_set_of_columns_makes_the_table_anew(lake: Lake, project: Path) -> None:
    marts = project / "models" / "marts"
    model, contract = marts / "dim_stations.sql", marts / "stations.yml"
    model.write_text(model.read_text().replace("stations.state,", "stations.state, 1 as more,"))
    before = lake.rows("dim_stations")
    with pytest.raises(TransformError, match=r"not those of the contract: .* has more INTEGER"):
        lake.run("run", "--select", "dim_stations")
    # A contract that is wrong costs nobody the table either.
    promised = contract.read_text()
    contract.write_text(
        promised.replace(
            "name: elevation_m, data_type: double", "name: height_m, data_type: double", 1
        )
    )
    with pytest.raises(TransformError, match=r"promises height_m DOUBLE"):
        lake.run("run", "--select", "dim_stations")
    contract.write_text(promised)
    assert lake.rows("dim_stations") == before
    column = '      - {name: more, data_type: integer, description: "One."}\n'
    after = "      - {name: time_zone,"
    contract.write_text(contract.read_text().replace(after, column + after, 1))
    lake.run("run", "--select", "dim_stations")
    found = lake.rows("dim_stations")
    assert {row.pop("more") for row in found} == {1}
    assert sorted(map(str, found)) == sorted(map(str, before))


def test_a_failing_test_is_named_and_recorded(lake: Lake, project: Path) -> None:
    (project / "data-tests" / "no_station_is_silent.sql").write_text(
        "select station_id from {{ ref('dim_stations') }} where observations = 0"
    )
    with pytest.raises(TransformError, match=r"no_station_is_silent: Got 1 result") as failure:
        lake.build(run_id="a-failing-run")
    (run,) = [r for r in lake.rows("pipeline_runs", "weather") if r["run_id"] == "a-failing-run"]
    assert (run["status"], run["message"]) == ("failed", str(failure.value))
    assert (run["task"], run["period"], run["tests_failed"]) == ("Transform", "2013-07-02", 1)
    assert run["tests_passed"] > 1
    last = runs.last_success(lake.catalog, ["Transform"])
    assert last is not None
    assert last["run_id"] != "a-failing-run"


def test_a_token_is_sent_by_way_of_a_secret(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CATALOG_TOKEN", "a-token")
    lake.run("run", "--select", "dim_station_history")
    assert "a-token" not in (lake.folder / "dbt" / "logs" / "dbt.log").read_text()
