"""The parser: what it reads, what it rejects and why, and that nothing upsets it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobs.lake.schemas import OBSERVATION_SCHEMA, QUANTITIES, QUARANTINE_SCHEMA, STATION_SCHEMA
from jobs.parse.records import (
    Reject,
    Row,
    parse_observation,
    parse_station,
    unreadable_values,
)
from tests.parse.carefully import dedupe_observations

URL = "https://api.weather.gov/stations"
NOON = "2024-02-20T12:00:00+00:00"


def observation(**properties: Any) -> dict[str, Any]:
    return {
        "id": f"{URL}/KFLG/observations/{NOON}",
        "type": "Feature",
        "geometry": {"type": "Point", "coordinates": [-111.67, 35.13]},
        "properties": {"station": f"{URL}/KFLG", "timestamp": NOON} | properties,
    }


def quantity(value: Any, unit: str, flag: Any = "V") -> dict[str, Any]:
    return {"unitCode": unit, "value": value, "qualityControl": flag}


def read(**properties: Any) -> Row:
    row = parse_observation(observation(**properties))
    assert not isinstance(row, Reject), row
    return row


def refused(feature: Any) -> Reject:
    reject = parse_observation(feature)
    assert isinstance(reject, Reject)
    assert reject.kind == "observation"
    assert json.loads(reject.raw_json) == feature
    return reject


def test_the_key_alone_is_a_row() -> None:
    row = parse_observation({"properties": {"stationId": "KFLG", "timestamp": NOON}})
    assert not isinstance(row, Reject)
    assert row["station_id"] == "KFLG"
    assert row["observed_at"] == datetime(2024, 2, 20, 12, tzinfo=UTC)
    assert {value for key, value in row.items() if key not in {"station_id", "observed_at"}} == {
        None
    }


def test_values_are_converted_by_their_unit_and_keep_their_flags() -> None:
    row = read(
        temperature=quantity("20.5", "wmoUnit:degC", "qc:V"),
        windSpeed=quantity(36, "wmoUnit:km_h-1", "S"),
        windGust=quantity(15, "unit:m_s-1", "Z"),
        precipitationLastHour=quantity(0.0025, "unit:m", "C"),
        precipitationLast6Hours=quantity(2.5, "wmoUnit:mm", None),
        maxTemperatureLast24Hours={"unitCode": "wmoUnit:degC", "value": 21},
        elevation={"unitCode": "wmoUnit:m", "value": 2137},
    )
    assert (row["temperature_c"], row["temperature_qc"]) == (20.5, "V")
    assert (row["wind_speed_mps"], row["wind_speed_qc"]) == (10.0, "S")
    assert (row["wind_gust_mps"], row["wind_gust_qc"]) == (15.0, "Z")
    assert (row["precipitation_last_hour_mm"], row["precipitation_last_hour_qc"]) == (2.5, "C")
    assert row["precipitation_last_6_hours_mm"] == 2.5
    assert row["precipitation_last_6_hours_qc"] is None
    assert row["max_temperature_last_24_hours_c"] == 21.0
    assert row["elevation_m"] == 2137.0
    assert (row["longitude"], row["latitude"]) == (-111.67, 35.13)


def test_calm_and_north_are_both_directions() -> None:
    unit = "wmoUnit:degree_(angle)"
    assert read(windDirection=quantity(0, unit))["wind_direction_deg"] == 0.0
    assert read(windDirection=quantity(360, unit))["wind_direction_deg"] == 360.0


@pytest.mark.parametrize(
    "raw",
    [
        quantity(5, "wmoUnit:furlong"),
        quantity(5, "wmoUnit:Pa"),
        quantity("warm", "wmoUnit:degC"),
        quantity([5], "wmoUnit:degC"),
        {"value": 5},
        5,
    ],
)
def test_an_unreadable_value_is_null_and_named(raw: Any) -> None:
    feature = observation(temperature=raw)
    assert read(temperature=raw)["temperature_c"] is None
    assert len(unreadable_values(feature)) == 1
    assert unreadable_values(feature)[0].startswith("temperature: ")


def test_missing_values_are_not_unreadable() -> None:
    assert unreadable_values(observation(temperature=quantity(None, "wmoUnit:degC"))) == []
    assert unreadable_values(observation()) == []


def test_texts_and_lists() -> None:
    layers = [{"base": {"unitCode": "wmoUnit:m", "value": None}, "amount": "CLR"}]
    row = read(
        textDescription="Clear", rawMessage="", presentWeather=[], cloudLayers=layers, icon=None
    )
    assert (row["text_description"], row["raw_message"]) == ("Clear", None)
    assert row["present_weather"] == "[]"
    assert json.loads(row["cloud_layers"] or "") == layers


@pytest.mark.parametrize(
    ("timestamp", "moment"),
    [
        ("2024-02-20T12:00:00+00:00", datetime(2024, 2, 20, 12, tzinfo=UTC)),
        ("2024-02-20T12:00:00Z", datetime(2024, 2, 20, 12, tzinfo=UTC)),
        ("2024-02-20T05:00:00-07:00", datetime(2024, 2, 20, 12, tzinfo=UTC)),
        ("2024-02-20T12:00:00.250Z", datetime(2024, 2, 20, 12, 0, 0, 250_000, tzinfo=UTC)),
    ],
)
def test_times_are_told_in_utc(timestamp: str, moment: datetime) -> None:
    found = read(timestamp=timestamp)["observed_at"]
    assert found == moment
    assert found.tzinfo is UTC


def test_a_lost_timestamp_is_restored_from_the_record_url() -> None:
    row = read(timestamp="date:now -2948 seconds")
    assert row["observed_at"] == datetime(2024, 2, 20, 12, tzinfo=UTC)
    feature = observation(timestamp=None) | {"id": f"{URL}/KFLG/observations/2024-02-20T12%3A00Z"}
    assert not isinstance(parse_observation(feature), Reject)


def test_the_station_is_told_by_id_or_by_either_url() -> None:
    def station(feature: dict[str, Any]) -> Any:
        row = parse_observation(feature)
        assert not isinstance(row, Reject), row
        return row["station_id"]

    assert station(observation(stationId="KAAA")) == "KAAA"
    assert station(observation()) == "KFLG"
    assert station(observation(station=None)) == "KFLG"


def test_json_ld_is_read_too() -> None:
    row = parse_observation(
        {
            "@id": f"{URL}/KFLG/observations/{NOON}",
            "geometry": "POINT(-111.67 35.13)",
            "station": f"{URL}/KFLG",
            "timestamp": NOON,
            "temperature": quantity(1, "wmoUnit:degC"),
        }
    )
    assert not isinstance(row, Reject)
    assert (row["temperature_c"], row["longitude"], row["latitude"]) == (1.0, -111.67, 35.13)


@pytest.mark.parametrize(
    ("feature", "reason"),
    [
        (None, "not a JSON object: NoneType"),
        ([], "not a JSON object: list"),
        ("x", "not a JSON object: str"),
        ({}, "no station id"),
        ({"properties": None}, "no station id"),
        ({"properties": {"timestamp": NOON}}, "no station id"),
        ({"properties": {"timestamp": NOON, "stationId": "../etc"}}, "no station id"),
        ({"properties": {"stationId": "KFLG"}}, "no timestamp"),
        ({"properties": {"stationId": "KFLG", "timestamp": "noon"}}, "'noon' is not an ISO 8601"),
        ({"properties": {"stationId": "KFLG", "timestamp": 1708430400}}, "1708430400 is not"),
        ({"properties": {"stationId": "KFLG", "timestamp": "2024-02-20T12:00"}}, "UTC offset"),
        (
            {"properties": {"stationId": "KFLG", "timestamp": "0001-01-01T00:00:00+14:00"}},
            "is not an ISO 8601",
        ),
    ],
)
def test_a_record_without_a_key_is_rejected_with_the_reason(feature: Any, reason: str) -> None:
    assert reason in refused(feature).reason


def test_a_reject_names_the_record() -> None:
    feature = observation(timestamp=None) | {"id": f"{URL}/KFLG/observations/unknown"}
    assert refused(feature).record_id == f"{URL}/KFLG/observations/unknown"


def station(**properties: Any) -> dict[str, Any]:
    return {
        "id": f"{URL}/PAFA",
        "geometry": {"type": "Point", "coordinates": [-147.87611, 64.80389]},
        "properties": {"stationIdentifier": "PAFA", "name": "Fairbanks"} | properties,
    }


def test_a_station() -> None:
    row = parse_station(
        station(
            timeZone="America/Anchorage",
            elevation={"unitCode": "wmoUnit:m", "value": 131.9784},
            county="https://api.weather.gov/zones/county/AKC090",
            forecast="https://api.weather.gov/zones/forecast/AKZ844",
            fireWeatherZone="https://api.weather.gov/zones/fire/AKZ944",
            provider="OTHER-MTR",
            subProvider="",
        )
    )
    assert row == Row(
        station_id="PAFA",
        name="Fairbanks",
        state="AK",
        time_zone="America/Anchorage",
        longitude=-147.87611,
        latitude=64.80389,
        elevation_m=131.9784,
        county="AKC090",
        forecast_zone="AKZ844",
        fire_weather_zone="AKZ944",
        provider="OTHER-MTR",
        sub_provider=None,
    )


def test_a_station_needs_only_its_id() -> None:
    row = parse_station({"id": f"{URL}/PAFA"})
    assert not isinstance(row, Reject)
    assert (row["station_id"], row["state"], row["name"]) == ("PAFA", None, None)


@pytest.mark.parametrize("feature", [None, {}, {"properties": {"stationIdentifier": ""}}, [1]])
def test_a_station_without_id_is_rejected(feature: Any) -> None:
    reject = parse_station(feature)
    assert isinstance(reject, Reject)
    assert (reject.kind, json.loads(reject.raw_json)) == ("station", feature)


@pytest.mark.parametrize(
    "coordinates", [[181, 0], [0, 91], [None, 1], [1], "x", [float("nan"), 0], None]
)
def test_an_impossible_place_is_nowhere(coordinates: Any) -> None:
    row = parse_station(station() | {"geometry": {"type": "Point", "coordinates": coordinates}})
    assert not isinstance(row, Reject)
    assert (row["longitude"], row["latitude"]) == (None, None)


def test_of_one_hour_the_fullest_row_wins_and_of_equals_the_latest() -> None:
    poor = read(temperature=quantity(1, "wmoUnit:degC"))
    full = read(temperature=quantity(2, "wmoUnit:degC"), dewpoint=quantity(0, "wmoUnit:degC"))
    equal = read(temperature=quantity(3, "wmoUnit:degC"), dewpoint=quantity(0, "wmoUnit:degC"))
    assert dedupe_observations([poor, full]) == [full]
    assert dedupe_observations([full, poor]) == [full]
    assert dedupe_observations([full, equal, poor]) == [equal]


def test_rows_are_sorted_by_station_and_time() -> None:
    late = read()
    early = read(timestamp="2024-02-20T11:00:00Z")
    other = read(stationId="KAAA")
    assert dedupe_observations([late, other, early]) == [other, early, late]
    assert dedupe_observations([]) == []


def test_rows_and_schemas_have_the_same_columns_in_the_same_order() -> None:
    station = parse_station({"properties": {"stationIdentifier": "KJFK"}})
    assert list(station) == STATION_SCHEMA.names
    assert list(read()) == OBSERVATION_SCHEMA.names
    assert [q.column for q in QUANTITIES] == OBSERVATION_SCHEMA.names[2:-8:2]


def test_every_column_is_documented() -> None:
    for schema in (STATION_SCHEMA, OBSERVATION_SCHEMA, QUARANTINE_SCHEMA):
        for field in schema:
            assert field.metadata[b"doc"].strip(), field.name


scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(codec=None), max_size=12)
    | st.sampled_from(["KJFK", NOON, f"{URL}/KJFK", "qc:V", "wmoUnit:degC", "POINT(1 2)", "\ud800"])
)
keys = st.sampled_from(
    [
        *("id", "@id", "properties", "geometry", "coordinates", "stationIdentifier", "stationId"),
        *("station", "timestamp", "county", "elevation", "value", "unitCode", "qualityControl"),
        *("cloudLayers", "presentWeather", "textDescription", *(q.field for q in QUANTITIES)),
    ]
)
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=8),
    max_leaves=25,
)
keyed = st.fixed_dictionaries({"stationId": st.just("KJFK"), "timestamp": st.just(NOON)})
nearly = st.builds(
    lambda key, rest: {"properties": rest | key},
    keyed,
    st.dictionaries(
        keys, st.dictionaries(st.sampled_from(["value", "unitCode", "qualityControl"]), scalars)
    ),
)


@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow])
@given(anything | nearly)
def test_anything_becomes_a_row_or_an_explained_reject(feature: Any) -> None:
    parsed = [
        (parse_observation(feature), OBSERVATION_SCHEMA),
        (parse_station(feature), STATION_SCHEMA),
    ]
    unreadable_values(feature)
    for result, schema in parsed:
        if isinstance(result, Reject):
            assert result.reason
            json.loads(result.raw_json)
            kept = {
                "kind": result.kind,
                "record_id": result.record_id,
                "reason": result.reason,
                "raw": result.raw_json,
            }
            pa.Table.from_pylist([kept], schema=QUARANTINE_SCHEMA)
        else:
            pa.Table.from_pylist([dict(result)], schema=schema).validate(full=True)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.booleans()), max_size=30))
def test_no_key_is_lost_or_doubled(picks: list[tuple[int, int, bool]]) -> None:
    start = datetime(2024, 1, 1, tzinfo=UTC)
    rows = [
        read(
            stationId=f"K{which}",
            timestamp=(start + timedelta(hours=hour)).isoformat(),
            **({"temperature": quantity(1, "wmoUnit:degC")} if warm else {}),
        )
        for which, hour, warm in picks
    ]
    kept = dedupe_observations(rows)
    found = [(row["station_id"], row["observed_at"]) for row in kept]
    assert found == sorted({(row["station_id"], row["observed_at"]) for row in rows})
    warm = {(row["station_id"], row["observed_at"]) for row in rows if row["temperature_c"]}
    assert {key for key, row in zip(found, kept, strict=True) if row["temperature_c"]} == warm
