"""Plausible ranges of values; others are errors of instruments or of their reports.

Where a record of the World Meteorological Organization bounds a quantity, its range is the record
with a margin. Source: WMO World Weather & Climate Extremes Archive, https://wmo.asu.edu (56.7 °C
Furnace Creek 1913, -89.2 °C Vostok 1983, 113.2 m/s Barrow Island 1996, 1,089.4 hPa Tosontsengel
2004, 870 hPa Typhoon Tip 1979, 305 mm in an hour Holt 1947, 1,144 mm in 12 hours Foc-Foc 1966).
"""

from collections.abc import MutableMapping
from typing import Any, NamedTuple

from jobs.lake.schemas import QUANTITIES

# The dew point is at most the temperature; sensors of the two disagree by so much (kelvin).
DEWPOINT_MARGIN = 0.5
_AIR = (-90.0, 60.0)
_WIND = (0.0, 114.0)


class Range(NamedTuple):
    """The least and the most a column's value can be, in the column's unit."""

    low: float
    high: float


RANGES: dict[str, Range] = {
    "temperature_c": Range(*_AIR),
    "dewpoint_c": Range(*_AIR),
    # The service computes it from both temperatures, so it tolerates their margin: half a kelvin
    # of supersaturation is 104 % at freezing point, 105 % at -40 °C.
    "relative_humidity_percent": Range(0.0, 105.0),
    "wind_direction_deg": Range(0.0, 360.0),
    "wind_speed_mps": Range(*_WIND),
    "wind_gust_mps": Range(*_WIND),
    # Some stations report the pressure of their own height: 58,000 Pa on Pikes Peak.
    "barometric_pressure_pa": Range(50_000.0, 109_000.0),
    "sea_level_pressure_pa": Range(85_000.0, 109_000.0),
    # Nothing is seen farther than the horizon from the highest summits.
    "visibility_m": Range(0.0, 400_000.0),
    "precipitation_last_hour_mm": Range(0.0, 400.0),
    "precipitation_last_3_hours_mm": Range(0.0, 1_150.0),
    "precipitation_last_6_hours_mm": Range(0.0, 1_150.0),
    "max_temperature_last_24_hours_c": Range(*_AIR),
    "min_temperature_last_24_hours_c": Range(*_AIR),
    # Computed, so beyond any air temperature: -89 °C in a gale, 42 °C and saturated.
    "wind_chill_c": Range(-130.0, 60.0),
    "heat_index_c": Range(-90.0, 100.0),
}

_COLUMNS = tuple((q.column, q.field, q.unit, *RANGES[q.column]) for q in QUANTITIES)


def strike(row: MutableMapping[str, Any]) -> list[str]:
    """Set impossible values to null; return the reason for each."""
    reasons = []
    for column, field, unit, low, high in _COLUMNS:
        value = row[column]
        if value is not None and not low <= value <= high:
            bound = f"below {low:g}" if value < low else f"above {high:g}"
            reasons.append(f"out of range: {field} {value:g} {unit} is {bound}")
            row[column] = None
    temperature, dewpoint = row["temperature_c"], row["dewpoint_c"]
    if None not in (temperature, dewpoint) and dewpoint > temperature + DEWPOINT_MARGIN:
        reasons.append(
            f"out of range: dewpoint {dewpoint:g} degC is more than {DEWPOINT_MARGIN:g} above"
            f" the temperature {temperature:g}"
        )
        row["dewpoint_c"] = None
    return reasons
