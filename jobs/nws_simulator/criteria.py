"""When the National Weather Service alerts, as far as an hour's report can tell.

Sources: the criteria of its office at Upton, New York,
https://www.weather.gov/okx/wwa_definitions, and of its heat products,
https://forecast.weather.gov/product.php?site=NWS&issuedby=OKX&product=PNS.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from jobs.parse.units import convert


class Weather(NamedTuple):
    """What an hour's report says of the things alerts are about; None where it says nothing."""

    heat_index_f: float | None
    gust_mph: float | None
    wind_mph: float | None
    visibility_mi: float | None
    rain_in: float | None


@dataclass(frozen=True, slots=True)
class Criterion:
    """An event, when it is on, and how an alert of it reads; the worst of a `group` comes first."""

    event: str
    group: str
    severity: str
    response: str
    what: str
    instruction: str
    met: Callable[[Weather], bool]
    zone: str = "forecast"


def _over(value: float | None, least: float) -> bool:
    return value is not None and value >= least


# 1048 mph at Newark, on 12 February 2013, is no wind: what MADIS holds impossible is left out.
_MOST_WIND_MPH = 287.0

CRITERIA = (
    Criterion(
        "Excessive Heat Warning",
        "heat",
        "Severe",
        "Execute",
        "Heat index values of 105 or higher.",
        "Drink water, stay out of the sun, look after neighbours.",
        lambda w: _over(w.heat_index_f, 105),
    ),
    Criterion(
        "Heat Advisory",
        "heat",
        "Moderate",
        "Execute",
        "Heat index values of 100 to 104.",
        "Drink water and avoid exertion in the sun.",
        lambda w: _over(w.heat_index_f, 100),
    ),
    Criterion(
        "High Wind Warning",
        "wind",
        "Severe",
        "Prepare",
        "Sustained winds of 40 mph or more, or gusts of 58 mph or more.",
        "Stay away from trees and windows.",
        lambda w: _over(w.wind_mph, 40) or _over(w.gust_mph, 58),
    ),
    Criterion(
        "Wind Advisory",
        "wind",
        "Moderate",
        "Execute",
        "Sustained winds of 31 mph or more, or gusts of 46 mph or more.",
        "Fasten what is loose outdoors; take care on bridges.",
        lambda w: _over(w.wind_mph, 31) or _over(w.gust_mph, 46),
    ),
    Criterion(
        "Dense Fog Advisory",
        "fog",
        "Minor",
        "Execute",
        "Visibility of a quarter of a mile or less.",
        "Slow down, and keep the headlights low.",
        lambda w: w.visibility_mi is not None and w.visibility_mi <= 0.25,  # noqa: PLR2004
    ),
    Criterion(
        "Flood Advisory",
        "flood",
        "Minor",
        "Avoid",
        # The office names no figure; an inch in an hour is what its statements call heavy.
        "An inch of rain or more within an hour.",
        "Do not drive into water.",
        lambda w: _over(w.rain_in, 1),
        zone="county",
    ),
)


def weather_of(properties: Mapping[str, Any]) -> Weather:
    """Return the quantities of an observation's properties that alerts depend on."""

    def read(field: str, unit: str) -> float | None:
        quantity = properties.get(field)
        if not isinstance(quantity, dict) or not isinstance(quantity.get("value"), int | float):
            return None
        return convert(quantity["value"], str(quantity.get("unitCode")), unit)

    def wind(field: str) -> float | None:
        speed = read(field, "mi_h-1")
        return speed if speed is None or speed <= _MOST_WIND_MPH else None

    warmth, humidity = read("temperature", "degF"), read("relativeHumidity", "percent")
    heat = None if warmth is None or humidity is None else heat_index_f(warmth, humidity)
    return Weather(
        heat,
        wind("windGust"),
        wind("windSpeed"),
        read("visibility", "mi"),
        read("precipitationLastHour", "in"),
    )


def heat_index_f(temperature: float, humidity: float) -> float | None:
    """Return the heat index (°F) of a temperature (°F) and relative humidity (%); None below 80 °F.

    Rothfusz' regression with the service's two adjustments,
    https://www.wpc.ncep.noaa.gov/html/heatindex_equation.shtml.
    """
    t, r = temperature, humidity
    if t < 80:  # noqa: PLR2004 - all these numbers are the formula's
        return None
    index = -42.379 + 2.04901523 * t + 10.14333127 * r - 0.22475541 * t * r
    index += -6.83783e-3 * t * t - 5.481717e-2 * r * r + 1.22874e-3 * t * t * r
    index += 8.5282e-4 * t * r * r - 1.99e-6 * t * t * r * r
    if r < 13 and t <= 112:  # noqa: PLR2004
        index -= (13 - r) / 4 * math.sqrt((17 - abs(t - 95)) / 17)
    elif r > 85 and t <= 87:  # noqa: PLR2004
        index += (r - 85) / 10 * (87 - t) / 5
    return index
