"""A lakehouse in which every page has something to show."""

import datetime as dt

import pyarrow as pa
import requests
from pyiceberg.schema import Schema
from pyiceberg.types import (
    DoubleType,
    IntegerType,
    ListType,
    NestedField,
    StringType,
    StructType,
    TimestamptzType,
)

from tests.processes import DEADLINE
from tests.web.conftest import Served

SCHEMA = Schema(
    NestedField(1, "station", StringType(), required=True, doc="Identifier of the station"),
    NestedField(2, "observed_at", TimestamptzType(), required=True, doc="Time of the observation"),
    NestedField(3, "temperature", DoubleType(), doc="Air temperature, in °C"),
    NestedField(
        4,
        "wind",
        StructType(
            NestedField(6, "speed", DoubleType(), doc="In km/h"),
            NestedField(7, "direction", IntegerType(), doc="Degrees from north"),
        ),
    ),
    NestedField(5, "clouds", ListType(8, StringType())),
)
BEGIN = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
STATIONS = ("KJFK", "KLGA", "KBOS", "KORD")


def observations(day: int) -> pa.Table:
    """Return a day of hourly observations of four stations."""
    rows = [
        {
            "station": station,
            "observed_at": BEGIN + dt.timedelta(days=day, hours=hour),
            "temperature": 10 + day - hour / 4 + number,
            "wind": {"speed": 5.0 + hour, "direction": 15 * hour},
            "clouds": ["few", "broken"][: hour % 3],
        }
        for hour in range(24)
        for number, station in enumerate(STATIONS)
    ]
    return pa.Table.from_pylist(rows, schema=SCHEMA.as_arrow())


def fill(catalog: Served) -> None:
    """Create tables with a history, views, a function and something that was dropped."""
    lake = catalog.lake
    lake.create_namespace("weather", {"comment": "Observations of the National Weather Service"})
    lake.create_namespace(("weather", "archive"))
    lake.create_namespace("sales")
    table = lake.create_table(
        "weather.observations", SCHEMA, properties={"comment": "Hourly, from airports"}
    )
    for day in range(6):
        load = f"observations/{BEGIN + dt.timedelta(days=day):%Y-%m-%d}/0123abcd"
        table.append(observations(day), snapshot_properties={"weather.load-id": load})
    first = table.history()[0].snapshot_id
    table.manage_snapshots().create_tag(first, "first-day").commit()
    table.manage_snapshots().create_branch(first, "audit").commit()
    with table.update_schema() as update:
        update.add_column("pressure", DoubleType(), doc="Sea level pressure, in hPa")
        update.rename_column("clouds", "cloud_layers")
    table.delete("station = 'KORD'")
    lake.create_table("weather.stations", SCHEMA.select("station"))
    lake.create_table("weather.mistake", SCHEMA)
    lake.drop_table("weather.mistake")
    _create_view(catalog)
    _put_function(catalog)
    _grant(catalog)


def _grant(catalog: Served) -> None:
    """Add principals, a role with a member and a group, and grants."""
    table = {"warehouse": "default", "namespace": ["weather"], "name": "observations"}
    grant = {"entity": {"type": "table", **table}, "privileges": ["select"]}
    for path, body in (
        ("principals", {"name": "etl"}),
        ("principals", {"type": "user", "issuer": "corp", "subject": "ann"}),
        ("roles", {"name": "analysts"}),
        ("roles/analysts/members", {"add": ["etl"]}),
        ("groups", {"add": [{"issuer": "corp", "group": "data", "role": "analysts"}]}),
        ("grants", {"grant": [{**grant, "principal": "analysts"}]}),
    ):
        requests.post(
            f"{catalog.url}/management/v1/{path}", json=body, timeout=DEADLINE
        ).raise_for_status()


def _put_function(catalog: Served) -> None:
    sql = "celsius * 9 / 5 + 32"
    version = {
        "version-id": 1,
        "representations": [{"type": "sql", "dialect": "trino", "sql": sql}],
        "timestamp-ms": 1_793_000_000_000,
    }
    metadata = {
        "format-version": 1,
        "definitions": [
            {
                "definition-id": "double",
                "parameters": [{"name": "celsius", "type": "double"}],
                "return-type": "double",
                "function-type": "udf",
                "versions": [version],
                "current-version-id": 1,
            }
        ],
        "definition-log": [
            {
                "timestamp-ms": 1_793_000_000_000,
                "definition-versions": [{"definition-id": "double", "version-id": 1}],
            }
        ],
    }
    path = "/management/v1/warehouses/default/namespaces/weather/functions/fahrenheit"
    requests.put(f"{catalog.url}{path}", json=metadata, timeout=DEADLINE).raise_for_status()


def _create_view(catalog: Served) -> None:
    prefix = "default"
    requests.post(
        f"{catalog.url}/v1/{prefix}/namespaces/weather/views",
        json={
            "name": "warmest",
            "schema": {
                "type": "struct",
                "fields": [{"id": 1, "name": "station", "required": False, "type": "string"}],
            },
            "view-version": {
                "version-id": 1,
                "timestamp-ms": 1_793_000_000_000,
                "schema-id": 0,
                "summary": {},
                "default-namespace": ["weather"],
                "representations": [
                    {
                        "type": "sql",
                        "dialect": dialect,
                        "sql": "SELECT station, max(temperature)\nFROM weather.observations\n"
                        "GROUP BY station",
                    }
                    for dialect in ("duckdb", "spark")
                ],
            },
            "properties": {"comment": "The warmest hour of each station"},
        },
        timeout=DEADLINE,
    ).raise_for_status()
