"""The columns of the weather tables: names, types, units and their documentation."""

from typing import NamedTuple

import pyarrow as pa


class Quantity(NamedTuple):
    """One measured value: the service's property, our column and the column's unit."""

    field: str
    column: str
    unit: str
    doc: str


_WIND = "direction the wind comes from, degrees clockwise from true north; 0 calm, 360 north"
_RAIN = "precipitation of the last {}, millimetres"
_DAY = "temperature of the last 24 hours, degrees Celsius"
QUANTITIES = tuple(
    Quantity(*row)
    for row in (
        ("temperature", "temperature_c", "degC", "air temperature, degrees Celsius"),
        ("dewpoint", "dewpoint_c", "degC", "dew point, degrees Celsius"),
        ("relativeHumidity", "relative_humidity_percent", "percent", "relative humidity, %"),
        ("windDirection", "wind_direction_deg", "degree_(angle)", _WIND),
        ("windSpeed", "wind_speed_mps", "m_s-1", "mean wind speed, metres per second"),
        ("windGust", "wind_gust_mps", "m_s-1", "wind gust, metres per second"),
        ("barometricPressure", "barometric_pressure_pa", "Pa", "altimeter pressure, pascal"),
        ("seaLevelPressure", "sea_level_pressure_pa", "Pa", "sea level pressure, pascal"),
        ("visibility", "visibility_m", "m", "horizontal visibility, metres"),
        ("precipitationLastHour", "precipitation_last_hour_mm", "mm", _RAIN.format("hour")),
        ("precipitationLast3Hours", "precipitation_last_3_hours_mm", "mm", _RAIN.format("3 hours")),
        ("precipitationLast6Hours", "precipitation_last_6_hours_mm", "mm", _RAIN.format("6 hours")),
        ("maxTemperatureLast24Hours", "max_temperature_last_24_hours_c", "degC", f"highest {_DAY}"),
        ("minTemperatureLast24Hours", "min_temperature_last_24_hours_c", "degC", f"lowest {_DAY}"),
        ("windChill", "wind_chill_c", "degC", "wind chill, degrees Celsius"),
        ("heatIndex", "heat_index_c", "degC", "heat index, degrees Celsius"),
    )
)

_UNIT_SUFFIXES = ("_percent", "_deg", "_mps", "_pa", "_mm", "_m", "_c")


def qc_column(column: str) -> str:
    """Return the quality-control column of a value column: temperature_c → temperature_qc."""
    for suffix in _UNIT_SUFFIXES:
        if column.endswith(suffix):
            return column.removesuffix(suffix) + "_qc"
    raise ValueError(f"column {column!r} has no unit suffix: expected one of {_UNIT_SUFFIXES}")


def column(name: str, kind: pa.DataType, doc: str, *, required: bool = False) -> pa.Field:
    """Return a documented column."""
    return pa.field(name, kind, nullable=not required, metadata={"doc": doc})


def text(name: str, doc: str, *, required: bool = False) -> pa.Field:
    """Return a documented column of text."""
    return column(name, pa.string(), doc, required=required)


TIME = pa.timestamp("us", "UTC")
_NAMES = pa.list_(pa.string())


_FLAG = "MADIS quality-control flag of {}: Z none, C S V passed, X B bad, Q questioned"
_PLACE = (
    column("longitude", pa.float64(), "degrees east, WGS 84"),
    column("latitude", pa.float64(), "degrees north, WGS 84"),
    column("elevation_m", pa.float64(), "height above mean sea level, metres"),
)

STATION_SCHEMA = pa.schema(
    [
        text("station_id", "the service's station identifier; key", required=True),
        text("name", "station name"),
        text("state", "two-letter state or territory, from the county zone"),
        text("time_zone", "IANA time zone of the station"),
        *_PLACE,
        text("county", "county zone identifier, e.g. NYC081"),
        text("forecast_zone", "public forecast zone identifier, e.g. NYZ178"),
        text("fire_weather_zone", "fire weather zone identifier, e.g. NYZ212"),
        text("provider", "who provides the observations, e.g. ASOS"),
        text("sub_provider", "who provides them within the provider"),
    ]
)

OBSERVATION_SCHEMA = pa.schema(
    [
        text("station_id", "the service's station identifier; key", required=True),
        column("observed_at", TIME, "time of observation, UTC; key", required=True),
        *(
            field
            for one in QUANTITIES
            for field in (
                column(one.column, pa.float64(), one.doc),
                text(qc_column(one.column), _FLAG.format(one.column)),
            )
        ),
        text("text_description", "weather and sky in words"),
        text("raw_message", "the METAR report as sent"),
        text("present_weather", "present weather phenomena, a JSON array"),
        text("cloud_layers", "cloud layers, a JSON array of base (metres) and amount"),
        *_PLACE,
        text("other_properties", "properties that no column holds, a JSON object"),
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


ALERT_SCHEMA = pa.schema(
    [
        text("alert_id", "the alert's own identifier; key", required=True),
        *(text(name, doc) for name, (_, doc) in ALERT_TEXTS.items()),
        *(column(name, TIME, doc, required=name == "sent") for name, doc in ALERT_TIMES.items()),
        column("zones", _NAMES, "zones and counties, e.g. NYZ178"),
        column("same_codes", _NAMES, "SAME codes of the counties, e.g. 036081"),
        column("references", _NAMES, "identifiers of the alerts it updates or replaces"),
        column("states", _NAMES, "two-letter states and marine areas, from the zones"),
        text("geometry", "the area as GeoJSON, where it is not that of the zones"),
    ]
)

QUARANTINE_SCHEMA = pa.schema(
    [
        text(
            "kind", "what could not be read: station, observation, alert, or value", required=True
        ),
        text("record_id", "the record's own identifier, where it has a readable one"),
        text("reason", "why it could not be read", required=True),
        text("raw", "the record as received, JSON", required=True),
    ]
)
