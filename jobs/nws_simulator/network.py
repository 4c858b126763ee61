"""All reporting stations of the United States, with the airports' year moved to where they are.

The stations are those of the package avwx-engine (MIT): true names, places, elevations and
states. Their weather is SYNTHETIC: each passes on the reports of one of New York's three
airports, changed by rule so that a map of them looks like weather.

- Temperature and dew point: 0.5 °C colder for each degree of latitude to the north, warmer to
  the south, and 6.5 °C colder for each kilometre of height (the standard atmosphere's lapse).
- Time: reports come from the hour with the same sun, and for each five degrees to the west a day
  earlier, for weather moves east.

Their zones are made up, too: state and kind are right, the numbers are not.
"""

import json
from datetime import timedelta
from typing import Any
from zlib import crc32

from jobs.nws_simulator.airports import AIRPORTS, YEAR, check
from jobs.nws_simulator.calendar import Calendar, Series
from jobs.nws_simulator.data import Source
from jobs.nws_simulator.reports import Place, packaged, reports, station

COLDER_PER_DEGREE_NORTH = 0.5
COLDER_PER_METRE = 0.0065
DEGREES_PER_HOUR = 15.0
DEGREES_PER_DAY = 5.0

# The time zone of most of each state, or of its east; `_WEST` has the rest of it.
_ZONES = {
    "America/New_York": "CT DC DE FL GA IN KY MA MD ME MI NC NH NJ NY OH PA RI SC TN VA VT WV",
    "America/Chicago": "AL AR IA IL KS LA MN MO MS ND NE OK SD TX WI",
    "America/Denver": "CO ID MT NM UT WY",
    "America/Phoenix": "AZ",
    "America/Los_Angeles": "CA NV OR WA",
    "America/Anchorage": "AK",
    "Pacific/Honolulu": "HI",
}
_ZONE = {state: zone for zone, states in _ZONES.items() for state in states.split()}
# State → the longitude west of which (roughly) another time zone begins.
_WEST = {
    "AK": (-169.5, "America/Adak"),
    "FL": (-85.0, "America/Chicago"),
    "IN": (-87.0, "America/Chicago"),
    "KS": (-101.5, "America/Denver"),
    "KY": (-86.0, "America/Chicago"),
    "MI": (-88.0, "America/Chicago"),
    "ND": (-101.5, "America/Denver"),
    "NE": (-101.0, "America/Denver"),
    "SD": (-100.5, "America/Denver"),
    "TN": (-85.3, "America/Chicago"),
    "TX": (-104.9, "America/Denver"),
}


def network(*, shift_to_now: bool = False, years: int = 1) -> Source:
    """Return all stations with synthetic weather; the options are those of `airports`.

    The three airports themselves report as they did.

    Raises:
        ValueError: a package is not installed, or an option is invalid.
    """
    check(shift_to_now=shift_to_now, years=years)
    calendars = {origin: Calendar(held, years) for origin, held in reports().items()}
    places = {place.station_id: (origin, place) for origin, place in AIRPORTS.items()}
    moves = dict.fromkeys(places, timedelta(0))

    # 44,014 airfields with their runways are 67 MB of JSON: what is not needed goes at once.
    def needed(record: dict[str, Any]) -> dict[str, Any] | None:
        if "reporting" not in record:
            return record if "bearing1" not in record else None
        return record if record["reporting"] and record["country"] == "US" else None

    every = json.loads(packaged("avwx-engine", "stations.json"), object_hook=needed)
    for record in filter(None, every.values()):
        station_id = str(record["icao"] or record["gps"] or record["local"])
        if station_id not in places:
            origin = sorted(AIRPORTS)[crc32(station_id.encode()) % len(AIRPORTS)]
            places[station_id] = origin, _place(station_id, record, AIRPORTS[origin])
            west = (AIRPORTS[origin].longitude - record["longitude"]) % 360
            hours, days = round(west / DEGREES_PER_HOUR), round(west / DEGREES_PER_DAY)
            moves[station_id] = timedelta(hours=hours) - timedelta(days=days)
    return Source(
        {name: station(places[name][1]) for name in sorted(places)},
        {
            name: Series(place, calendars[origin], moves[name])
            for name, (origin, place) in places.items()
        },
        YEAR if shift_to_now else None,
    )


def _place(station_id: str, record: dict[str, Any], airport: Place) -> Place:
    state, longitude = record["state"], record["longitude"]
    number = crc32(f"zone {station_id}".encode())
    public, county = f"{state}Z{number % 300 + 1:03d}", f"{state}C{number % 127 * 2 + 1:03d}"
    elevation = record["elevation_m"]
    height = (elevation or 0) - (airport.elevation or 0)
    north = record["latitude"] - airport.latitude
    west, there = _WEST.get(state, (-180.0, ""))
    return Place(
        station_id,
        ", ".join(part for part in (record["city"], record["name"]) if part),
        round(longitude, 5),
        round(record["latitude"], 5),
        None if elevation is None else float(elevation),
        public,
        county,
        public,
        # The Aleutians beyond the date line are west of all the others.
        there if -(-longitude % 360) < west else _ZONE[state],
        round(-COLDER_PER_DEGREE_NORTH * north - COLDER_PER_METRE * height, 1),
    )
