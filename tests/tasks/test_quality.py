"""What is odd in the service's answers: ranges, drift, doubles, versions of stations, alerts."""

import copy
import datetime as dt
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest

from jobs.lake import iceberg
from jobs.lake.merging import Definition
from jobs.lake.schemas import OBSERVATION_SCHEMA, QUANTITIES, STATION_SCHEMA
from jobs.nws_simulator import Faults, airports, make_app, running
from jobs.parse.ranges import RANGES, strike
from tests.tasks.ingesting import HOUR, Settings, ingest, summary

NEXT = HOUR + dt.timedelta(hours=1)


@contextmanager
def changed(settings: Settings, change: Any, **options: Any) -> Iterator[None]:
    """Serve the airports' year with every observation changed."""
    source = airports()

    def served(one: Any) -> Any:
        def render(time: dt.datetime) -> Any:
            feature = one.render(time)
            change(feature["properties"])
            return feature

        return replace(one, render=render)

    start = dt.datetime(2013, 7, 2, tzinfo=dt.UTC)
    near = {
        name: [served(one) for one in series if abs(one.time - start) < dt.timedelta(days=2)]
        for name, series in source.observations.items()
    }
    with running(make_app(replace(source, observations=near), **options)) as url:
        settings(weather_base_url=url)
        yield


def test_a_wind_that_cannot_be_is_null_and_quarantined(settings: Settings) -> None:
    # Newark's true record of that hour says 1048 mph.
    assert ingest(dt.datetime(2013, 2, 12, 8))  # noqa: DTZ001
    (aside,) = settings.rows("weather.quarantine")
    assert aside["kind"] == "value"
    assert aside["reason"] == "out of range: windSpeed 468.659 m_s-1 is above 114"
    raw = json.loads(aside["raw"])["properties"]
    when = dt.datetime.fromisoformat(raw["timestamp"])
    (row,) = [
        row
        for row in settings.rows("weather.observations")
        if (row["station_id"], row["observed_at"]) == ("KEWR", when)
    ]
    assert row["wind_speed_mps"] is None
    assert row["temperature_c"] is not None
    told = summary(dt.datetime(2013, 2, 12, 8))  # noqa: DTZ001
    assert told["quarantined"] == {"value: out of range: windSpeed": 1}
    # The next hours meet the record again, and put it aside once.
    assert ingest(dt.datetime(2013, 2, 12, 9))  # noqa: DTZ001
    assert len(settings.rows("weather.quarantine")) == 1


EMPTY: dict[str, Any] = dict.fromkeys(OBSERVATION_SCHEMA.names)


@pytest.mark.parametrize("column", RANGES)
def test_the_bounds_of_a_range_are_in_it(column: str) -> None:
    low, high = RANGES[column]
    for value, fits in ((low, True), (high, True), (low - 0.01, False), (high + 0.01, False)):
        row = EMPTY | {column: value}
        assert (strike(row) == []) is fits
        assert row[column] == (value if fits else None)


def test_every_quantity_has_a_range() -> None:
    assert RANGES.keys() == {quantity.column for quantity in QUANTITIES}


@pytest.mark.parametrize(("dewpoint", "kept"), [(20.0, 20.0), (20.5, 20.5), (20.6, None)])
def test_a_dew_point_above_the_temperature_is_struck(dewpoint: float, kept: float | None) -> None:
    row = EMPTY | {"temperature_c": 20.0, "dewpoint_c": dewpoint}
    reasons = strike(row)
    assert row["dewpoint_c"] == kept
    assert row["temperature_c"] == 20.0
    assert bool(reasons) is (kept is None)


def test_what_is_new_is_kept_reported_once_and_never_fatal(settings: Settings) -> None:
    def change(properties: dict[str, Any]) -> None:
        properties["soilMoisture"] = {"value": 0.3, "unitCode": "wmoUnit:percent"}
        properties["windSpeed"] = {"value": 12, "unitCode": "wmoUnit:furlong_fortnight-1"}
        properties["temperature"]["qualityControl"] = "W"
        properties["cloudLayers"] = [{"base": None, "amount": "XYZ"}]
        properties["rawMessage"] = 7
        properties["dewpoint"] = [1, 2]

    with changed(settings, change):
        assert ingest()
        drift = {(row["kind"], row["path"], row["detail"]): row for row in drifted(settings)}
        assert drift.keys() == {
            ("new_field", "observation.properties.soilMoisture", "object"),
            ("new_unit", "observation.properties.windSpeed", "wmoUnit:furlong_fortnight-1"),
            ("new_code", "observation.properties.temperature.qualityControl", "W"),
            ("new_code", "observation.properties.cloudLayers.amount", "XYZ"),
            ("type", "observation.properties.rawMessage", "number"),
            ("type", "observation.properties.dewpoint", "array"),
        }
        assert ingest(NEXT)
    assert len(drifted(settings)) == len(drift)
    for row in settings.rows("weather.observations"):
        others = json.loads(row["other_properties"])
        assert others["soilMoisture"]["value"] == 0.3
        assert others["windSpeed"]["unitCode"] == "wmoUnit:furlong_fortnight-1"
        assert (row["wind_speed_mps"], row["dewpoint_c"], row["raw_message"]) == (None, None, None)
        assert row["temperature_c"] is not None
    told = summary()
    assert len(told["drift"]) == len(drift)
    (load,) = [one for one in told["loads"] if one["table"] == "weather.observations"]
    assert load["unreadable_values"] >= load["rows_in"]


def drifted(settings: Settings) -> list[dict[str, Any]]:
    return settings.rows("weather.schema_drift")


def test_doubles_are_counted(settings: Settings) -> None:
    with running(make_app(airports(), Faults({"duplicates": 1.0}))) as url:
        settings(weather_base_url=url)
        assert ingest()
    assert summary()["duplicates"] > 0
    rows = settings.rows("weather.observations")
    assert len({(row["station_id"], row["observed_at"]) for row in rows}) == len(rows) == 16


def stations(settings: Settings) -> list[dict[str, Any]]:
    rows = settings.rows("weather.stations")
    return sorted(rows, key=lambda row: (row["station_id"], row["valid_from"]))


def test_a_station_that_moves_keeps_its_history(settings: Settings) -> None:
    source = airports()
    assert ingest()
    first = stations(settings)
    assert [(row["valid_to"], row["is_current"]) for row in first] == [(None, True)] * 3
    # A value that is not told is not changed; a new place and a new name are.
    told = copy.deepcopy(dict(source.stations))
    told["KJFK"]["geometry"]["coordinates"] = [-73.5, 40.5]
    told["KLGA"]["properties"]["name"] = "La Guardia, moved"
    del told["KEWR"]["properties"]["county"]
    wait_a_second()
    with running(make_app(replace(source, stations=told))) as url:
        settings(weather_base_url=url)
        assert ingest(NEXT)
        rows = stations(settings)
        assert [row["station_id"] for row in rows] == ["KEWR", "KJFK", "KJFK", "KLGA", "KLGA"]
        assert rows[0] == first[0]
        old, new = rows[1:3]
        assert old == first[1] | {"valid_to": new["valid_from"], "is_current": False}
        assert new["longitude"] == -73.5
        assert (new["valid_to"], new["is_current"]) == (None, True)
        assert [row["name"] for row in rows[3:]] == [first[2]["name"], "La Guardia, moved"]
        (load,) = [one for one in summary(NEXT)["loads"] if one["table"] == "weather.stations"]
        assert (load["rows_in"], load["rows_new"], load["rows_changed"]) == (3, 2, 2)
        # Nothing is new: no row, no commit.
        snapshots = len(settings.catalog.load_table("weather.stations").snapshots())
        assert ingest(NEXT + dt.timedelta(hours=1))
    assert stations(settings) == rows
    assert len(settings.catalog.load_table("weather.stations").snapshots()) == snapshots


def wait_a_second() -> None:
    """Let the clock strike: a station's versions are told apart by the second of the fetch."""
    now = dt.datetime.now(dt.UTC).replace(microsecond=0)
    while dt.datetime.now(dt.UTC).replace(microsecond=0) == now:
        pass


def test_an_older_word_on_a_station_changes_nothing(settings: Settings) -> None:
    from jobs.lake.tables import STATIONS  # noqa: PLC0415 - beside its only use

    def load(hour: int, name: str) -> iceberg.Loaded:
        row = dict.fromkeys(STATION_SCHEMA.names) | {
            "station_id": "KJFK",
            "name": name,
            "valid_from": dt.datetime(2013, 7, 2, hour, tzinfo=dt.UTC),
            "is_current": True,
        }
        table = pa.Table.from_pylist([row], schema=STATIONS.schema)
        return iceberg.load(settings.catalog, STATIONS, table, load_id=f"{hour} {name}")

    assert load(10, "first").committed
    assert load(12, "second").committed
    before = stations(settings)
    assert not load(11, "late").committed
    assert not load(12, "at once").committed
    assert not load(13, "second").committed
    assert stations(settings) == before
    assert [row["name"] for row in before] == ["first", "second"]


def test_stations_of_the_old_shape_are_carried_over(settings: Settings) -> None:
    old = Definition("weather.stations", "as it was", STATION_SCHEMA, ("station_id",), "newest")
    rows = [
        dict.fromkeys(STATION_SCHEMA.names) | {"station_id": name, "name": f"old {name}"}
        for name in ("KJFK", "KXYZ")
    ]
    table = pa.Table.from_pylist(rows, schema=STATION_SCHEMA)
    iceberg.load(settings.catalog, old, table, load_id="old")
    (snapshot,) = settings.catalog.load_table("weather.stations").snapshots()
    wait_a_second()
    assert ingest()
    found = {(row["station_id"], row["is_current"]): row for row in stations(settings)}
    assert found.keys() == {
        ("KEWR", True),
        ("KJFK", False),
        ("KJFK", True),
        ("KLGA", True),
        ("KXYZ", True),
    }
    since = dt.datetime.fromtimestamp(snapshot.timestamp_ms / 1000, dt.UTC)
    assert found["KXYZ", True]["valid_from"] == found["KJFK", False]["valid_from"] == since
    assert found["KJFK", False]["name"] == "old KJFK"
    assert found["KJFK", False]["valid_to"] == found["KJFK", True]["valid_from"]
    schema = settings.catalog.load_table("weather.stations").schema()
    assert schema.find_field("valid_from").required
    assert schema.find_field("is_current").required


def test_alerts_of_the_chosen_states_are_kept_once(settings: Settings) -> None:
    settings(weather_alert_states="NY,NJ")
    hot = dt.datetime(2013, 7, 18, 18)  # noqa: DTZ001
    assert ingest(hot)
    rows = settings.rows("weather.alerts")
    assert rows
    assert len({row["alert_id"] for row in rows}) == len(rows) == summary(hot)["alerts"]
    for row in rows:
        assert set(row["states"]) <= {"NY", "NJ"}
        assert row["zones"]
        assert row["sent"].tzinfo is not None
        assert row["event"]
    assert ingest(hot + dt.timedelta(hours=1))
    again = settings.rows("weather.alerts")
    assert len({row["alert_id"] for row in again}) == len(again) >= len(rows)
