"""What the marts say of years of weather, held against the same things worked out by hand here."""

import datetime as dt
import math
import statistics
from collections.abc import Callable
from typing import Any

import pytest

from jobs.lake.tables import ALERTS, STATIONS
from tests.transform.lake import Lake, Row, at, hours, station, utc

pytestmark = pytest.mark.slow

FIRST, YEARS = dt.date(2011, 12, 20), 2
DAY = dt.timedelta(days=1)


def temperature(day: dt.date) -> float:
    """Give a day's mean: a season and some unrest."""
    number = day.toordinal()
    season = 12 - 14 * math.cos(2 * math.pi * (day.timetuple().tm_yday - 15) / 365)
    return round(season + 5 * math.sin(number * 1.7) + 3 * math.cos(number * 0.61), 1)


DAYS = {FIRST + n * DAY: temperature(FIRST + n * DAY) for n in range(365 * YEARS + 20)}
# A week without a report, and days of few hours, which stand for nothing.
for missing in range(7):
    del DAYS[dt.date(2012, 9, 10) + missing * DAY]
FEW = {dt.date(2013, 2, 20), dt.date(2013, 2, 21)}


def day_reports(day: dt.date, mean: float) -> list[Row]:
    start = dt.datetime.combine(day, dt.time(), dt.UTC)
    swings = [-4.0, 0.0, 4.0] if day in FEW else [-4.0, 0.0, 4.0, 0.0] * 5
    return [
        at(
            "LONG",
            start + dt.timedelta(hours=n),
            temperature_c=mean + swing,
            precipitation_last_hour_mm=float(day.day == 3 and n == 0) * (day.month + 0.5),
            wind_gust_mps=10.0 + day.month if day.day == 9 and n == 0 else None,
        )
        for n, swing in enumerate(swings)
    ]


def alert(name: str, **more: Any) -> Row:
    return {
        "alert_id": name,
        "event": "Heat Advisory",
        "status": "Actual",
        "message_type": "Alert",
        "severity": "Moderate",
        "sent": utc(2013, 7, 1, 12),
        "onset": utc(2013, 7, 2, 20),
        "ends": utc(2013, 7, 3, 4),
        "zones": ["NYZ072", "NJZ006"],
        "states": ["NY", "NJ"],
        "headline": name,
        **more,
    }


ALERTED = [
    alert("first", ends=utc(2013, 7, 4)),
    alert(
        "longer",
        message_type="Update",
        references=["first"],
        sent=utc(2013, 7, 2, 22),
        onset=None,
        effective=utc(2013, 7, 2, 22),
        ends=utc(2013, 7, 3, 4),
        severity="Severe",
    ),
    alert("off", states=["CT"], zones=[], onset=utc(2013, 7, 5), ends=utc(2013, 7, 6)),
    alert("cancel", message_type="Cancel", references=["off"], sent=utc(2013, 7, 4)),
    alert("exercise", status="Test", states=["VT"]),
    alert("endless", event=None, states=["ME"], zones=None, onset=None, ends=None, severity=None),
]


def put_aside(kind: str, reason: str, hour: int, raw: str) -> Row:
    when = utc(2013, 7, 3, hour)
    return {"kind": kind, "reason": reason, "raw": raw, "load_id": "1", "quarantined_at": when}


@pytest.fixture(scope="module")
def lake(make_lake: Callable[[], Lake]) -> Lake:
    made = make_lake()
    made.describe(LONG="UTC", HOT="UTC", GAPS="America/New_York", SILENT="UTC")
    moved = {"name": "Old Field", "latitude": 40.0, "longitude": -74.0, "time_zone": "UTC"}
    new = {**moved, "name": "New Field", "latitude": 40.1, "valid_from": utc(2013, 5, 1)}
    made.load(
        STATIONS,
        [
            station("MOVED", **{**moved, "is_current": False, "valid_to": utc(2013, 5, 1)}),
            station("MOVED", **new),
        ],
    )
    made.observe(*(row for day, mean in DAYS.items() for row in day_reports(day, mean)))
    made.observe(
        at("HOT", utc(2013, 7, 2, 12), temperature_c=35.0, relative_humidity_percent=50.0),
        at("HOT", utc(2013, 7, 2, 13), temperature_c=40.0, relative_humidity_percent=10.0),
        at("HOT", utc(2013, 7, 2, 14), temperature_c=28.0, relative_humidity_percent=92.0),
        at("HOT", utc(2013, 7, 2, 15), temperature_c=26.6, relative_humidity_percent=90.0),
        at("HOT", utc(2013, 7, 2, 16), temperature_c=10.0, wind_speed_mps=5.0),
        at("HOT", utc(2013, 7, 2, 17), temperature_c=10.0, wind_speed_mps=1.3),
        at("HOT", utc(2013, 7, 2, 18), temperature_c=10.1, wind_speed_mps=9.0),
        at("HOT", utc(2013, 7, 2, 19), temperature_c=-40.0, wind_speed_mps=20.0),
    )
    made.observe(
        *hours("GAPS", utc(2013, 3, 10, 7), 4, temperature_c=1.0, wind_speed_mps=2.0),
        at("GAPS", utc(2013, 3, 10, 15), temperature_c=99.0, temperature_qc="X"),
        at("GAPS", utc(2013, 3, 10, 15, 30), temperature_c=9.0, temperature_qc="Q"),
        at("GAPS", utc(2013, 3, 13, 4), temperature_c=9.0),
    )
    made.load(ALERTS, ALERTED)
    made.put_aside(
        put_aside("value", "out of range: temperature 468.1 degC is above 60", 1, '{"a": 1}'),
        put_aside("value", "out of range: temperature -99 degC is below -90", 2, '{"a": 2}'),
        put_aside(
            "observation", "timestamp 'x' is not an ISO 8601 time with a UTC offset", 3, "{}"
        ),
        put_aside(
            "observation", "timestamp 'y' is not an ISO 8601 time with a UTC offset", 4, "[]"
        ),
    )
    made.build(as_of=utc(2014, 12, 31))
    return made


def test_normals_are_of_the_days_of_the_year_around(lake: Lake) -> None:
    rows = lake.keyed("fct_daily_anomalies", "station_day_id")
    whole = {day: mean for day, mean in DAYS.items() if day not in FEW}
    ours = {row["local_date"] for row in rows.values() if row["station_id"] == "LONG"}
    assert ours == whole.keys()

    def days_apart(one: dt.date, other: dt.date) -> int:
        places = [dt.date(2000, day.month, day.day).toordinal() for day in (one, other)]
        apart = abs(places[0] - places[1])
        return min(apart, 366 - apart)

    for day in [
        dt.date(2012, 1, 1),
        dt.date(2012, 2, 29),
        dt.date(2013, 2, 25),
        dt.date(2013, 9, 12),
        dt.date(2013, 12, 28),
    ]:
        near = {d: mean for d, mean in whole.items() if days_apart(d, day) <= 7}
        normal, spread = statistics.mean(near.values()), statistics.stdev(near.values())
        row = rows[f"LONG|{day}"]
        assert row["normal_days"] == len(near)
        assert row["normal_years"] == len({d.year for d in near})
        assert row["temperature_mean_normal_c"] == pytest.approx(normal, abs=0.006)
        assert row["temperature_mean_stddev_c"] == pytest.approx(spread, abs=0.006)
        assert row["temperature_mean_anomaly_c"] == pytest.approx(DAYS[day] - normal, abs=0.006)
        score = (DAYS[day] - normal) / spread
        assert row["temperature_mean_z_score"] == pytest.approx(score, abs=0.006)
        assert row["temperature_max_normal_c"] == pytest.approx(normal + 4, abs=0.006)
        assert row["temperature_min_anomaly_f"] == pytest.approx(
            (DAYS[day] - normal) * 1.8, abs=0.006
        )


def test_records_name_the_first_day_that_reached_them(lake: Lake) -> None:
    rows = lake.keyed("fct_station_records", "record_id")
    whole = {day: mean for day, mean in DAYS.items() if day not in FEW}
    for period in ("all", "02"):
        days = {d: m for d, m in DAYS.items() if period in ("all", f"{d:%m}")}
        for name, sign, swing, counted in [
            ("highest_max", 1, 4, days),
            ("lowest_max", -1, 4, days.keys() & whole.keys()),
            ("highest_min", 1, -4, days.keys() & whole.keys()),
            ("lowest_min", -1, -4, days),
        ]:
            best = max(sign * days[day] for day in counted) * sign
            first = min(day for day in counted if days[day] == best)
            row = rows[f"LONG|{period}|{name}"]
            assert row["value"] == pytest.approx(best + swing)
            assert row["value_us"] == pytest.approx((best + swing) * 1.8 + 32, abs=0.006)
            assert (row["local_date"], row["days"]) == (first, len(counted))
            assert row["times_reached"] == sum(days[day] == best for day in counted)
    wettest = rows["LONG|all|wettest_day"]
    assert (wettest["value"], wettest["unit"]) == (12.5, "mm")
    assert (wettest["local_date"], wettest["times_reached"]) == (dt.date(2012, 12, 3), 2)
    gust = rows["LONG|07|strongest_gust"]
    assert (gust["value"], gust["value_us"], gust["unit_us"]) == (17.0, 38.03, "mph")
    assert not [key for key in rows if key.startswith("GAPS") and "wettest" in key]


def test_rolling_values_wait_for_enough_days(lake: Lake) -> None:
    rows = lake.keyed("fct_rolling_weather", "station_day_id")

    def window(day: dt.date, length: int) -> list[dt.date]:
        dates = [day - n * DAY for n in range(length)]
        return [date for date in dates if date in DAYS]

    for day in [
        FIRST,
        FIRST + 4 * DAY,
        FIRST + 5 * DAY,
        FIRST + 23 * DAY,
        dt.date(2012, 9, 20),
        dt.date(2012, 9, 23),
        dt.date(2013, 2, 22),
        dt.date(2013, 3, 5),
    ]:
        row = rows[f"LONG|{day}"]
        for length, needed in ((7, 6), (30, 24)):
            known = [DAYS[d] for d in window(day, length) if d not in FEW]
            assert row[f"days_{length}d"] == len(known)
            mean = row[f"temperature_mean_{length}d_c"]
            if len(known) < needed:
                assert mean is None
                assert row[f"hdd_{length}d_f"] is None
            else:
                assert mean == pytest.approx(statistics.mean(known), abs=0.006)
                assert row[f"temperature_max_{length}d_c"] == pytest.approx(max(known) + 4)
                heating = sum(max(65 - (t * 1.8 + 32), 0) for t in known)
                assert row[f"hdd_{length}d_f"] == pytest.approx(heating, abs=0.2)
        rain = sum(d.month + 0.5 for d in window(day, 30) if d.day == 3)
        if row["precipitation_days_30d"] >= 24:
            assert row["precipitation_30d_mm"] == pytest.approx(rain)
        else:
            assert row["precipitation_30d_mm"] is None


def test_degree_days_are_counted_from_the_mean_of_the_extremes(lake: Lake) -> None:
    rows = lake.keyed("fct_daily_station_weather", "station_day_id")
    for day in (dt.date(2012, 1, 15), dt.date(2013, 7, 15), dt.date(2013, 10, 1)):
        row, mean = rows[f"LONG|{day}"], DAYS[day] * 1.8 + 32
        for name, expected in [
            ("hdd_f", 65 - mean),
            ("cdd_f", mean - 65),
            ("gdd_f", mean - 50),
            ("hdd_c", 18 - DAYS[day]),
            ("cdd_c", DAYS[day] - 18),
        ]:
            assert row[name] == pytest.approx(max(expected, 0), abs=0.006)
    few = rows[f"LONG|{min(FEW)}"]
    assert (few["is_representative"], few["hdd_f"], few["cdd_c"]) == (False, None, None)
    assert few["temperature_max_c"] is not None


def rothfusz(t: float, r: float) -> float:
    c = (-42.379, 2.04901523, 10.14333127, -0.22475541, -6.83783e-3, -5.481717e-2, 1.22874e-3)
    value = c[0] + c[1] * t + c[2] * r + c[3] * t * r + c[4] * t * t + c[5] * r * r
    return value + c[6] * t * t * r + 8.5282e-4 * t * r * r - 1.99e-6 * t * t * r * r


def test_it_feels_as_the_weather_service_says(lake: Lake) -> None:
    rows = {
        row["hour_utc"].hour: row
        for row in lake.rows("fct_observations_hourly")
        if row["station_id"] == "HOT"
    }
    felt = {hour: (row["heat_index_f"], row["wind_chill_f"]) for hour, row in rows.items()}
    dry = (13 - 10) / 4 * math.sqrt((17 - abs(104 - 95)) / 17)
    damp = (92 - 85) / 10 * ((87 - 82.4) / 5)
    assert felt[12] == (pytest.approx(rothfusz(95, 50), abs=0.006), None)
    assert felt[13] == (pytest.approx(rothfusz(104, 10) - dry, abs=0.006), None)
    assert felt[14] == (pytest.approx(rothfusz(82.4, 92) + damp, abs=0.006), None)
    assert felt[15] == felt[17] == felt[18] == (None, None)
    mph = 5 / 0.44704
    chill = 35.74 + 0.6215 * 50 - 35.75 * mph**0.16 + 0.4275 * 50 * mph**0.16
    assert felt[16] == (None, pytest.approx(chill, abs=0.006))
    assert felt[19][1] == pytest.approx(-84.0, abs=3)
    assert rows[19]["apparent_temperature_f"] == felt[19][1]
    assert rows[18]["apparent_temperature_c"] == 10.1
    (day,) = lake.days("HOT").values()
    assert day["heat_index_max_f"] == max(heat for heat, _ in felt.values() if heat)
    assert day["wind_chill_min_f"] == felt[19][1]


def test_coverage_counts_the_gaps_of_every_day(lake: Lake) -> None:
    rows = lake.keyed("fct_station_coverage", "station_day_id")
    # The clocks go forward: 23 hours from 05:00 UTC on; reported are 07 to 10 and 15.
    day = rows["GAPS|2013-03-10"]
    assert (day["hours_expected"], day["hours_reported"]) == (23, 5)
    assert (day["gaps"], day["longest_gap_hours"]) == (3, 12)
    assert day["coverage_percent"] == 21.7
    assert (day["observations"], day["values_reported"]) == (6, 10)
    assert (day["values_rejected"], day["values_questioned"]) == (1, 1)
    silent = rows["GAPS|2013-03-11"]
    assert (silent["hours_expected"], silent["hours_reported"]) == (24, 0)
    assert (silent["gaps"], silent["longest_gap_hours"], silent["coverage_percent"]) == (1, 24, 0)
    # Up to the newest report of all: the 19 hours of the last day that had begun by then.
    newest = max(DAYS)
    assert rows[f"LONG|{newest}"]["hours_expected"] == 20
    assert rows[f"LONG|{newest}"]["coverage_percent"] == 100
    last = max(row["local_date"] for row in rows.values() if row["station_id"] == "GAPS")
    assert last == newest
    assert not [key for key in rows if key.startswith("SILENT")]


def test_freshness_tells_the_age_at_the_end_of_the_period(lake: Lake) -> None:
    rows = lake.keyed("fct_station_freshness", "station_id")
    newest = dt.datetime.combine(max(DAYS), dt.time(19), dt.UTC)
    as_of = max(newest, utc(2014, 12, 31))
    assert {row["newest_in_lake"] for row in rows.values()} == {newest}
    assert {row["as_of"] for row in rows.values()} == {as_of}
    assert rows["LONG"]["behind_hours"] == 0
    assert rows["LONG"]["age_hours"] == (as_of - newest).total_seconds() / 3600
    assert rows["HOT"]["age_hours"] == (as_of - utc(2013, 7, 2, 19)).total_seconds() / 3600
    assert rows["HOT"]["freshness"] == "silent"
    assert (rows["SILENT"]["freshness"], rows["SILENT"]["age_hours"]) == ("never", None)


def test_stations_keep_what_they_were(lake: Lake) -> None:
    old, new = sorted(
        (row for row in lake.rows("dim_station_history") if row["station_id"] == "MOVED"),
        key=lambda row: row["version"],
    )
    assert (old["version"], old["changed"], old["moved_km"]) == (1, None, None)
    assert (old["station_name"], old["is_current"]) == ("Old Field", False)
    assert (new["version"], new["changed"]) == (2, "station_name, latitude")
    assert new["moved_km"] == pytest.approx(11.119, abs=0.001)
    now = lake.keyed("dim_stations", "station_id")["MOVED"]
    assert (now["station_name"], now["versions"]) == ("New Field", 2)


def test_quarantine_is_counted_by_class_of_reason(lake: Lake) -> None:
    found = {
        row["reason_class"]: (row["kind"], row["records"], row["example_raw"])
        for row in lake.rows("fct_quarantine_overview")
    }
    assert found == {
        "out of range: temperature": ("value", 2, '{"a": 2}'),
        "timestamp … is not an ISO 8601 time with a UTC offset": ("observation", 2, "{}"),
    }


def test_alerts_end_when_replaced_and_count_by_area_and_day(lake: Lake) -> None:
    rows = {
        (row["area_kind"], row["area"], str(row["day_utc"])): row
        for row in lake.rows("fct_alerts_by_area")
    }
    assert rows.keys() == {
        *(("state", area, day) for area in ("NY", "NJ") for day in ("2013-07-02", "2013-07-03")),
        *(
            ("zone", area, day)
            for area in ("NYZ072", "NJZ006")
            for day in ("2013-07-02", "2013-07-03")
        ),
        ("state", "ME", "2013-07-01"),
        ("state", "ME", "2013-07-02"),
    }
    second, third = rows["state", "NY", "2013-07-02"], rows["zone", "NYZ072", "2013-07-03"]
    assert (second["alerts"], second["severity"], second["headline"]) == (2, "Severe", "longer")
    assert (second["active_from"], second["active_to"]) == (utc(2013, 7, 2, 20), utc(2013, 7, 3, 4))
    assert second["active_hours"] == 4
    assert (third["alerts"], third["active_hours"], third["days_in_month"]) == (1, 4, 2)
    endless = rows["state", "ME", "2013-07-02"]
    assert (endless["event"], endless["severity"]) == ("unknown", "Unknown")
    assert endless["active_to"] == utc(2013, 7, 2, 12)


def test_a_record_that_fell_is_kept_with_its_time(lake: Lake) -> None:
    held = lake.rows("snap_station_records")
    assert all(row["dbt_valid_to"] is None for row in held)
    assert len(held) == len(lake.rows("fct_station_records"))
    # An evening hotter than ever; and, with its only report, all records of a station go.
    lake.observe(at("LONG", utc(2013, 7, 15, 22), temperature_c=50.0))
    lake.catalog.load_table("weather.observations").delete("station_id = 'HOT'")
    lake.build(as_of=utc(2014, 12, 31))
    ended = [row for row in lake.rows("snap_station_records") if row["dbt_valid_to"] is not None]
    hot = {row["record_id"] for row in ended if row["station_id"] == "HOT"}
    assert hot == {row["record_id"] for row in held if row["station_id"] == "HOT"}
    fallen = {row["record_id"] for row in ended if row["station_id"] == "LONG"}
    assert fallen == {"LONG|all|highest_max", "LONG|07|highest_max"}
    (now,) = [
        row
        for row in lake.rows("snap_station_records")
        if row["record_id"] == "LONG|all|highest_max" and row["dbt_valid_to"] is None
    ]
    assert (now["value"], now["local_date"]) == (50.0, dt.date(2013, 7, 15))
