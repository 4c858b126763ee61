"""All reporting stations: true places, synthetic weather that follows its rule, and many years."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from jobs.nws.client import WeatherClient
from jobs.nws_simulator import Source, airports, make_app, network
from jobs.parse.records import Reject, parse_observation, parse_station

pytestmark = pytest.mark.slow

Connect = Callable[..., WeatherClient]

NOW = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
SPAN = datetime(2013, 7, 2, tzinfo=UTC), datetime(2013, 7, 3, tzinfo=UTC)


def served(source: Source, station: str, **span: datetime) -> list[dict[str, Any]]:
    return [one.render(moment) for moment, one in source.series(station, NOW, **span)]


def temperatures(source: Source, station: str, year: int) -> dict[datetime, float | None]:
    found = {}
    start, end = datetime(year, 1, 1, tzinfo=UTC), datetime(year, 12, 31, 23, tzinfo=UTC)
    for feature in served(source, station, start=start, end=end):
        row = parse_observation(feature)
        assert not isinstance(row, Reject)
        found[row["observed_at"]] = row["temperature_c"]
    return found


def test_the_stations_are_the_reporting_ones(states: Source) -> None:
    rows = [parse_station(feature) for feature in states.stations.values()]
    told = [row for row in rows if not isinstance(row, Reject)]
    assert len(told) == len({row["station_id"] for row in told}) == 2673
    counts = Counter(row["state"] for row in told)
    assert len(counts) == 51
    assert (counts["TX"], counts["AK"], counts["NY"], counts["DC"]) == (220, 165, 50, 1)
    assert sum(row["elevation_m"] is None for row in told) == 4
    assert all(row["forecast_zone"][:2] == row["state"] for row in told if row["forecast_zone"])
    for row in told:
        assert row["longitude"] is not None
        assert row["latitude"] is not None
        assert row["time_zone"]
        # A zone's noon is not far from the sun's: no station is in a zone of another part.
        offset = ZoneInfo(row["time_zone"]).utcoffset(datetime(2013, 1, 1))  # noqa: DTZ001
        assert offset is not None
        away = (offset.total_seconds() / 3600 - row["longitude"] / 15 + 12) % 24 - 12
        assert -1 <= away <= 2.6, row


def test_known_stations(states: Source) -> None:
    denver = parse_station(states.stations["KDEN"])
    assert not isinstance(denver, Reject)
    assert denver["name"] == "Denver, Denver International Airport"
    assert denver["time_zone"] == "America/Denver"
    assert denver["elevation_m"] == pytest.approx(1656, abs=2)
    assert (denver["longitude"], denver["latitude"]) == pytest.approx((-104.67, 39.86), abs=0.05)


def test_the_airports_report_as_they_did(states: Source, year: Source) -> None:
    for station in year.stations:
        assert states.stations[station] == year.stations[station]
        assert served(states, station) == served(year, station)


def test_a_station_s_weather_follows_the_rule(states: Source, year: Source) -> None:
    """Denver: 31° and two hours west, six days; a mile up and half a degree south."""
    denver, found = temperatures(states, "KDEN", 2013), []
    for airport in year.stations:
        elevation = year.stations[airport]["properties"]["elevation"]["value"]
        place = year.stations[airport]["geometry"]["coordinates"]
        colder = 0.5 * (39.861698 - place[1]) + 0.0065 * (1656 - elevation)
        own = temperatures(year, airport, 2013)
        move = timedelta(hours=2, days=-6)
        pairs = [(denver.get(time + move), warmth) for time, warmth in own.items()]
        known = [(d, w) for d, w in pairs if d is not None and w is not None]
        found.append(sum(abs(w - colder - d) < 0.06 for d, w in known) / len(known))
    assert max(found) == 1.0
    assert len([share for share in found if share < 0.5]) == 2


def test_the_country_has_many_temperatures_and_no_impossible_ones(states: Source) -> None:
    noon = datetime(2013, 7, 2, 18, tzinfo=UTC)
    rows = [
        parse_observation(feature)
        for station in states.stations
        for feature in served(states, station, start=noon, end=noon)
    ]
    warmth = [
        row["temperature_c"]
        for row in rows
        if not isinstance(row, Reject) and row["temperature_c"] is not None
    ]
    assert len(warmth) > 2500
    assert len(set(warmth)) > 200
    assert min(warmth) > 0
    assert max(warmth) < 48


def test_an_hour_of_every_station_over_the_wire(
    connect: Connect, states: Source, asked: list[str]
) -> None:
    client = connect(make_app(states))
    names = [f["properties"]["stationIdentifier"] for f in client.stations(states=["NY", "CO"])]
    found = [client.observations(name, *SPAN) for name in names]
    assert len(names) == 50 + 74
    assert all(len(one) >= 20 for one in found)
    assert len(asked) == 2 + 2 * len(names)


def test_shifted_stations_end_at_the_present_hour() -> None:
    now = datetime(2026, 3, 1, 10, 30, tzinfo=UTC)
    source = network(shift_to_now=True)
    for station in ("KJFK", "KDEN", "PHNL", "PASY"):
        moments = [moment for moment, _ in source.series(station, now)]
        assert moments == sorted(moments, reverse=True)
        assert timedelta(0) <= now - moments[0] < 3 * 24 * HOUR
        assert len(set(moments)) == len(moments) > 8600
        assert now - moments[-1] <= timedelta(days=364)


@pytest.fixture(scope="module")
def decade() -> Source:
    return airports(years=10)


def test_ten_years_end_with_the_true_one(decade: Source, year: Source) -> None:
    assert decade.count() > 10 * 26_000
    start = datetime(2013, 1, 1, 6, tzinfo=UTC)
    for station in year.stations:
        assert served(decade, station, start=start) == served(year, station)
        moments = [one.time for one in decade.observations[station]]
        assert moments[-1] == datetime(2004, 1, 1, 6, tzinfo=UTC)
        assert all(later > earlier for later, earlier in pairwise(moments))


@pytest.mark.parametrize("then", [2005, 2012])
def test_a_date_of_any_year_has_the_weather_of_that_date(
    decade: Source, year: Source, then: int
) -> None:
    true = temperatures(year, "KEWR", 2013)
    past = temperatures(decade, "KEWR", then)
    for time, warmth in true.items():
        assert past[time.replace(year=then)] == warmth


@pytest.mark.parametrize("then", [2004, 2008, 2012])
def test_a_leap_day_has_the_weather_of_the_day_before(decade: Source, then: int) -> None:
    start = datetime(then, 2, 28, tzinfo=UTC)
    day = timedelta(days=1)
    past = temperatures(decade, "KEWR", then)
    before = {t + day: w for t, w in past.items() if start <= t < start + day}
    leap = {t: w for t, w in past.items() if start + day <= t < start + 2 * day}
    assert leap == before
    assert len(leap) == 24


def test_a_year_in_common_has_no_leap_day(decade: Source) -> None:
    start = datetime(2011, 2, 28, tzinfo=UTC)
    found = served(decade, "KEWR", start=start, end=start + timedelta(hours=47))
    assert len(found) == 48
    assert {feature["properties"]["timestamp"][5:10] for feature in found} == {"02-28", "03-01"}


def test_moved_stations_have_every_year_whole() -> None:
    source = network(years=3)
    for station in ("KDEN", "PHNL"):
        counts = Counter(one.time.year for one in source.observations[station])
        assert set(counts) == {2011, 2012, 2013}
        assert min(counts.values()) > 8600
        moments = [one.time for one in source.observations[station]]
        assert all(later > earlier for later, earlier in pairwise(moments))


def test_recorded_pages_of_a_decade_are_followed(connect: Connect, decade: Source) -> None:
    client = connect(make_app(decade))
    start, end = datetime(2007, 11, 1, tzinfo=UTC), datetime(2008, 4, 1, tzinfo=UTC)
    found = client.observations("KLGA", start, end)
    assert len(found) == len(served(decade, "KLGA", start=start, end=end - timedelta(seconds=1)))
    assert len(found) > 3500
