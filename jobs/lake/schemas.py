"""The columns of the weather tables: names, types, units and their documentation."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple, TypedDict

import pyarrow as pa


class Quantity(NamedTuple):
    """One measured value: the service's property, our column and the column's unit."""

    field: str
    column: str
    unit: str
    doc: str


QUANTITIES: tuple[Quantity, ...] = (
    Quantity("temperature", "temperature_c", "degC", "air temperature, degrees Celsius"),
    Quantity("dewpoint", "dewpoint_c", "degC", "dew point, degrees Celsius"),
    Quantity("relativeHumidity", "relative_humidity_percent", "percent", "relative humidity, %"),
    Quantity(
        "windDirection",
        "wind_direction_deg",
        "degree_(angle)",
        "direction the wind comes from, degrees clockwise from true north; 0 calm, 360 north",
    ),
    Quantity("windSpeed", "wind_speed_mps", "m_s-1", "mean wind speed, metres per second"),
    Quantity("windGust", "wind_gust_mps", "m_s-1", "wind gust, metres per second"),
    Quantity("barometricPressure", "barometric_pressure_pa", "Pa", "altimeter pressure, pascal"),
    Quantity("seaLevelPressure", "sea_level_pressure_pa", "Pa", "sea level pressure, pascal"),
    Quantity("visibility", "visibility_m", "m", "horizontal visibility, metres"),
    Quantity(
        "precipitationLastHour",
        "precipitation_last_hour_mm",
        "mm",
        "precipitation of the last hour, millimetres",
    ),
    Quantity(
        "precipitationLast3Hours",
        "precipitation_last_3_hours_mm",
        "mm",
        "precipitation of the last 3 hours, millimetres",
    ),
    Quantity(
        "precipitationLast6Hours",
        "precipitation_last_6_hours_mm",
        "mm",
        "precipitation of the last 6 hours, millimetres",
    ),
    Quantity(
        "maxTemperatureLast24Hours",
        "max_temperature_last_24_hours_c",
        "degC",
        "highest temperature of the last 24 hours, degrees Celsius",
    ),
    Quantity(
        "minTemperatureLast24Hours",
        "min_temperature_last_24_hours_c",
        "degC",
        "lowest temperature of the last 24 hours, degrees Celsius",
    ),
    Quantity("windChill", "wind_chill_c", "degC", "wind chill, degrees Celsius"),
    Quantity("heatIndex", "heat_index_c", "degC", "heat index, degrees Celsius"),
)

_UNIT_SUFFIXES = ("_percent", "_deg", "_mps", "_pa", "_mm", "_m", "_c")


def qc_column(column: str) -> str:
    """Name the quality-control column beside a value column: temperature_c → temperature_qc."""
    for suffix in _UNIT_SUFFIXES:
        if column.endswith(suffix):
            return column.removesuffix(suffix) + "_qc"
    raise ValueError(f"column {column!r} has no unit suffix: expected one of {_UNIT_SUFFIXES}")


def _column(name: str, kind: pa.DataType, doc: str, *, required: bool = False) -> pa.Field:
    return pa.field(name, kind, nullable=not required, metadata={"doc": doc})


def _text(name: str, doc: str, *, required: bool = False) -> pa.Field:
    return _column(name, pa.string(), doc, required=required)


def _quantity_columns() -> list[pa.Field]:
    columns = []
    for quantity in QUANTITIES:
        columns.append(_column(quantity.column, pa.float64(), quantity.doc))
        flag = f"MADIS quality-control flag of {quantity.column}: Z none, C S V passed, X B bad, Q"
        columns.append(_text(qc_column(quantity.column), f"{flag} questioned"))
    return columns


_PLACE = (
    _column("longitude", pa.float64(), "degrees east, WGS 84"),
    _column("latitude", pa.float64(), "degrees north, WGS 84"),
    _column("elevation_m", pa.float64(), "height above mean sea level, metres"),
)

STATION_SCHEMA = pa.schema(
    [
        _text("station_id", "the service's station identifier; key", required=True),
        _text("name", "station name"),
        _text("state", "two-letter state or territory, from the county zone"),
        _text("time_zone", "IANA time zone of the station"),
        *_PLACE,
        _text("county", "county zone identifier, e.g. NYC081"),
        _text("forecast_zone", "public forecast zone identifier, e.g. NYZ178"),
        _text("fire_weather_zone", "fire weather zone identifier, e.g. NYZ212"),
        _text("provider", "who provides the observations, e.g. ASOS"),
        _text("sub_provider", "who provides them within the provider"),
    ]
)

OBSERVATION_SCHEMA = pa.schema(
    [
        _text("station_id", "the service's station identifier; key", required=True),
        _column(
            "observed_at", pa.timestamp("us", "UTC"), "time of observation, UTC; key", required=True
        ),
        *_quantity_columns(),
        _text("text_description", "weather and sky in words"),
        _text("raw_message", "the METAR report as sent"),
        _text("present_weather", "present weather phenomena, a JSON array"),
        _text("cloud_layers", "cloud layers, a JSON array of base (metres) and amount"),
        *_PLACE,
        _text("other_properties", "properties that no column holds, a JSON object"),
    ]
)

ALERT_TEXTS = {
    "event": ("event", "what it warns of, e.g. Heat Advisory"),
    "status": ("status", "Actual, Exercise, System, Test or Draft"),
    "message_type": ("messageType", "Alert, Update or Cancel"),
    "category": ("category", "CAP category, e.g. Met"),
    "severity": ("severity", "Extreme, Severe, Moderate, Minor or Unknown"),
    "certainty": ("certainty", "Observed, Likely, Possible, Unlikely or Unknown"),
    "urgency": ("urgency", "Immediate, Expected, Future, Past or Unknown"),
    "response": ("response", "what to do, e.g. Prepare"),
    "sender_name": ("senderName", "the office that sent it"),
    "headline": ("headline", "one line"),
    "description": ("description", "what is to be expected"),
    "instruction": ("instruction", "what people should do"),
    "area_desc": ("areaDesc", "the area in words"),
}
ALERT_TIMES = {
    "sent": "when it was sent, UTC",
    "effective": "when the message takes effect, UTC",
    "onset": "when the event is expected to begin, UTC",
    "expires": "when the message expires, UTC",
    "ends": "when the event is expected to end, UTC",
}


def _names(name: str, doc: str) -> pa.Field:
    return _column(name, pa.list_(pa.string()), doc)


ALERT_SCHEMA = pa.schema(
    [
        _text("alert_id", "the alert's own identifier; key", required=True),
        *(_text(name, doc) for name, (_, doc) in ALERT_TEXTS.items()),
        *(
            _column(name, pa.timestamp("us", "UTC"), doc, required=name == "sent")
            for name, doc in ALERT_TIMES.items()
        ),
        _names("zones", "zones and counties, e.g. NYZ178"),
        _names("same_codes", "SAME codes of the counties, e.g. 036081"),
        _names("references", "identifiers of the alerts it updates or replaces"),
        _names("states", "two-letter states and marine areas, from the zones"),
        _text("geometry", "the area as GeoJSON, where it is not that of the zones"),
    ]
)

QUARANTINE_SCHEMA = pa.schema(
    [
        _text(
            "kind", "what could not be read: station, observation, alert, or value", required=True
        ),
        _text("record_id", "the record's own identifier, where it has a readable one"),
        _text("reason", "why it could not be read", required=True),
        _text("raw", "the record as received, JSON", required=True),
    ]
)


class StationRow(TypedDict):
    """A row of STATION_SCHEMA."""

    station_id: str
    name: str | None
    state: str | None
    time_zone: str | None
    longitude: float | None
    latitude: float | None
    elevation_m: float | None
    county: str | None
    forecast_zone: str | None
    fire_weather_zone: str | None
    provider: str | None
    sub_provider: str | None


class ObservationRow(TypedDict):
    """A row of OBSERVATION_SCHEMA: each value converted to its column's unit, its flag beside."""

    station_id: str
    observed_at: datetime
    temperature_c: float | None
    temperature_qc: str | None
    dewpoint_c: float | None
    dewpoint_qc: str | None
    relative_humidity_percent: float | None
    relative_humidity_qc: str | None
    wind_direction_deg: float | None
    wind_direction_qc: str | None
    wind_speed_mps: float | None
    wind_speed_qc: str | None
    wind_gust_mps: float | None
    wind_gust_qc: str | None
    barometric_pressure_pa: float | None
    barometric_pressure_qc: str | None
    sea_level_pressure_pa: float | None
    sea_level_pressure_qc: str | None
    visibility_m: float | None
    visibility_qc: str | None
    precipitation_last_hour_mm: float | None
    precipitation_last_hour_qc: str | None
    precipitation_last_3_hours_mm: float | None
    precipitation_last_3_hours_qc: str | None
    precipitation_last_6_hours_mm: float | None
    precipitation_last_6_hours_qc: str | None
    max_temperature_last_24_hours_c: float | None
    max_temperature_last_24_hours_qc: str | None
    min_temperature_last_24_hours_c: float | None
    min_temperature_last_24_hours_qc: str | None
    wind_chill_c: float | None
    wind_chill_qc: str | None
    heat_index_c: float | None
    heat_index_qc: str | None
    text_description: str | None
    raw_message: str | None
    present_weather: str | None
    cloud_layers: str | None
    longitude: float | None
    latitude: float | None
    elevation_m: float | None
    other_properties: str | None
