"""The Iceberg tables that the pipeline loads, all in the namespace ``weather``."""

import pyarrow as pa

from jobs.lake.merging import IS_CURRENT, VALID_FROM, VALID_TO, Definition
from jobs.lake.schemas import ALERT_SCHEMA, OBSERVATION_SCHEMA, QUARANTINE_SCHEMA, STATION_SCHEMA

_TIME = pa.timestamp("us", "UTC")
FETCHED_AT = "fetched_at"


def _text(name: str, doc: str) -> pa.Field:
    return pa.field(name, pa.string(), False, {"doc": doc})


_FETCHED_AT = pa.field(FETCHED_AT, _TIME, True, {"doc": "when the service said this, UTC"})

STATIONS = Definition(
    name="weather.stations",
    doc="Weather stations and what they were before: one row per station_id and valid_from",
    schema=pa.schema(
        [
            *STATION_SCHEMA,
            pa.field(VALID_FROM, _TIME, False, {"doc": "when this was first fetched, UTC; key"}),
            pa.field(VALID_TO, _TIME, True, {"doc": "when the next row took over; null: it holds"}),
            pa.field(IS_CURRENT, pa.bool_(), False, {"doc": "whether this row holds"}),
        ]
    ),
    key=("station_id", VALID_FROM),
    prefer="versions",
)
OBSERVATIONS = Definition(
    name="weather.observations",
    doc="Weather observations, one row per station_id and observed_at",
    schema=pa.schema([*OBSERVATION_SCHEMA, _FETCHED_AT]),
    key=("station_id", "observed_at"),
    prefer="fullest",
    partition_by_day="observed_at",
    stamp=FETCHED_AT,
)
ALERTS = Definition(
    name="weather.alerts",
    doc="Weather alerts, one row per alert_id",
    schema=pa.schema([*ALERT_SCHEMA, _FETCHED_AT]),
    key=("alert_id",),
    prefer="newest",
    partition_by_day="sent",
    stamp=FETCHED_AT,
)
QUARANTINE = Definition(
    name="weather.quarantine",
    doc="Records and values that could not become rows, as received, with the reason",
    schema=pa.schema(
        [
            *QUARANTINE_SCHEMA,
            _text("load_id", "the load that met the record first"),
            pa.field("quarantined_at", _TIME, False, {"doc": "when that load met it, UTC"}),
        ]
    ),
    key=("kind", "reason", "raw"),
    prefer="oldest",
)
SCHEMA_DRIFT = Definition(
    name="weather.schema_drift",
    doc="What the weather service sent that nobody knew: one row per kind, path and detail",
    schema=pa.schema(
        [
            _text("kind", "new_field, new_code, new_unit or type; key"),
            _text("path", "where it stands, e.g. observation.properties.windSpeed; key"),
            _text("detail", "the code, the unit, or the type of the value; key"),
            _text("example", "the first value met, JSON"),
            pa.field("first_seen", _TIME, False, {"doc": "when a load met it first, UTC"}),
        ]
    ),
    key=("kind", "path", "detail"),
    prefer="oldest",
)
