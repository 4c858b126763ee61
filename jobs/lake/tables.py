"""The Iceberg tables that the pipeline loads, all in the namespace ``weather``."""

import pyarrow as pa

from jobs.lake.merging import IS_CURRENT, VALID_FROM, VALID_TO, Definition
from jobs.lake.schemas import (
    ALERT_SCHEMA,
    OBSERVATION_SCHEMA,
    QUARANTINE_SCHEMA,
    STATION_SCHEMA,
    TIME,
    column,
    text,
)

FETCHED_AT = "fetched_at"

_FETCHED_AT = column(FETCHED_AT, TIME, "when the service said this, UTC")

STATIONS = Definition(
    name="weather.stations",
    doc="Weather stations and what they were before: one row per station_id and valid_from",
    schema=pa.schema(
        [
            *STATION_SCHEMA,
            column(VALID_FROM, TIME, "when this was first fetched, UTC; key", required=True),
            column(VALID_TO, TIME, "when the next row took over; null: it holds"),
            column(IS_CURRENT, pa.bool_(), "whether this row holds", required=True),
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
    partition_by="observed_at",
    stamp=FETCHED_AT,
)
ALERTS = Definition(
    name="weather.alerts",
    doc="Weather alerts, one row per alert_id",
    schema=pa.schema([*ALERT_SCHEMA, _FETCHED_AT]),
    key=("alert_id",),
    prefer="newest",
    partition_by="sent",
    stamp=FETCHED_AT,
)
QUARANTINE = Definition(
    name="weather.quarantine",
    doc="Records and values that could not become rows, as received, with the reason",
    schema=pa.schema(
        [
            *QUARANTINE_SCHEMA,
            text("load_id", "the load that met the record first", required=True),
            column("quarantined_at", TIME, "when that load met it, UTC", required=True),
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
            text("kind", "new_field, new_code, new_unit or type; key", required=True),
            text(
                "path", "where it stands, e.g. observation.properties.windSpeed; key", required=True
            ),
            text("detail", "the code, the unit, or the type of the value; key", required=True),
            text("example", "the first value met, JSON", required=True),
            column("first_seen", TIME, "when a load met it first, UTC", required=True),
        ]
    ),
    key=("kind", "path", "detail"),
    prefer="oldest",
)
