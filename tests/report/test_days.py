"""Days of a small lake that is written here: hours that were never requested, and cold ones."""

import datetime as dt
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from jobs.report import headline, heatmaps, places, story
from jobs.report.blocks import Cards, Day, Figure, Words
from jobs.report.build import build
from jobs.report.lake import Lake, open_lake
from tests.report.test_country import write
from tests.tasks.conftest import CatalogServer

ZONE = ZoneInfo("America/New_York")
STATIONS = {"KJFK": (40.64, -73.76), "KLGA": (40.78, -73.88)}
DAY = Day(dt.date(2013, 7, 10), ("KJFK", "KLGA"), "America/New_York")
# The UTC days that were requested, and the hours of them without a report: an outage of the
# service, and one of a station.
REQUESTED = (1, 2, 3, 9, 10)
OUTAGE = {dt.datetime(2013, 7, 10, hour, tzinfo=dt.UTC) for hour in (14, 15)}
SILENT = {dt.datetime(2013, 7, 9, hour, tzinfo=dt.UTC) for hour in (10, 11, 12)}


def times(station: str) -> list[dt.datetime]:
    """Give the times of a station's reports."""
    whole = [
        dt.datetime(2013, 7, day, hour, tzinfo=dt.UTC) for day in REQUESTED for hour in range(24)
    ]
    silent = OUTAGE | SILENT if station == "KLGA" else OUTAGE
    return [time.replace(minute=51) for time in whole if time not in silent]


@pytest.fixture(scope="module")
def lake(
    make_catalog: Callable[[], CatalogServer], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Lake]:
    server = make_catalog()
    catalog = server.connect()
    stations = [
        {
            "station_id": station,
            "station_name": f"New York, {station}",
            "state": "NY",
            "local_time_zone": "America/New_York",
            "latitude": latitude,
            "longitude": longitude,
        }
        for station, (latitude, longitude) in STATIONS.items()
    ]
    write(catalog, "marts.dim_stations", stations)
    seen: list[dict[str, Any]] = [
        {"station_id": station, "observed_at": time}
        for station in STATIONS
        for time in times(station)
    ]
    write(catalog, "weather.observations", seen)
    hours = Counter((row["station_id"], row["observed_at"].astimezone(ZONE).date()) for row in seen)
    # From the first report's day on: June 30 in New York.
    dates = [dt.date(2013, 6, 30) + dt.timedelta(days=number) for number in range(11)]
    coverage: list[dict[str, Any]] = [
        {
            "station_id": station,
            "local_date": date,
            "coverage_percent": 100 * hours[station, date] / 24,
            "hours_reported": hours[station, date],
        }
        for station in STATIONS
        for date in dates
    ]
    write(catalog, "marts.fct_station_coverage", coverage)
    daily = [
        {
            "station_id": station,
            "local_date": date,
            "observations": hours[station, date],
            "hours_observed": hours[station, date],
            "hours_in_day": 24,
            "is_complete": hours[station, date] == 24,
            # A cold day, then a hot one.
            "temperature_min_c": base + 10 * number,
            "temperature_max_c": base + 10 * number + 2,
            "temperature_mean_c": base + 10 * number + 1,
            "precipitation_mm": 0.0,
            "wind_gust_max_mps": 5.0,
            "wind_speed_max_mps": 5.0,
        }
        for base, date in ((-15.0, DAY.before(1)), (30.0, DAY.date))
        for number, station in enumerate(STATIONS)
    ]
    write(catalog, "marts.fct_daily_station_weather", daily)
    anomaly = {"station_id": "KJFK", "local_date": DAY.date, "temperature_mean_anomaly_c": 2.0}
    write(catalog, "marts.fct_daily_anomalies", [anomaly])
    folder: Path = tmp_path_factory.getbasetemp() / "extensions"
    with open_lake(server.uri, "default", folder) as opened:
        yield opened


def test_hours_that_were_never_requested_are_not_missing(lake: Lake) -> None:
    figure = heatmaps.coverage(lake, DAY)[0]
    assert isinstance(figure, Figure)
    cells = {(row["id"], row["date"]): row for row in figure.data["coverage"]}
    assert len(cells) == 2 * 30

    def shown(station: str, date: str) -> tuple[str, int | None, int | None]:
        cell = cells[station, date]
        return cell["class"], cell["hours"], cell["requested"]

    nothing = ("not requested", None, None)
    for station in STATIONS:
        assert shown(station, "2013-06-29") == nothing
        # UTC days begin and end in the evening of New York.
        assert shown(station, "2013-06-30") == ("all", 4, 4)
        assert shown(station, "2013-07-01") == ("all", 24, 24)
        assert shown(station, "2013-07-03") == ("all", 20, 20)
        assert all(shown(station, f"2013-07-0{day}") == nothing for day in (4, 5, 6, 7))
        assert shown(station, "2013-07-08") == ("all", 4, 4)
        # An outage of two hours is missing, although no station reported in it.
        assert shown(station, "2013-07-10") == ("90 % or more", 18, 20)
    assert shown("KJFK", "2013-07-09") == ("all", 24, 24)
    assert shown("KLGA", "2013-07-09") == ("half or more", 21, 24)


def test_the_coverage_of_the_day_is_of_requested_hours(lake: Lake) -> None:
    cards, words = headline.section(lake, DAY)
    assert isinstance(cards, Cards)
    assert isinstance(words, Words)
    (coverage,) = [card.value for card in cards.cards if card.label == "Coverage"]
    assert coverage == "90.0 %"
    assert "2 stations: not all hours of the day were requested, 20 of 24." in words.text


def test_a_colour_is_the_same_temperature_on_every_day(lake: Lake) -> None:
    scales = []
    for day in (DAY, replace(DAY, date=DAY.before(1))):
        for block in (*places.section(lake, day), *heatmaps.calendar(lake, day)):
            assert isinstance(block, Figure)
            if block.name in {"map-temperature", "calendar"}:
                (color,) = colors(block.chart.to_dict())
                scales.append(color["scale"])
    assert len(scales) == 4
    assert scales[0]["domain"] == [-20, -10, 0, 10, 20, 30, 40]
    assert scales == scales[:1] * 4


def colors(spec: dict[str, Any]) -> list[dict[str, Any]]:
    """Give the colour encodings of a chart."""
    charts = spec.get("layer", [spec])
    return [chart["encoding"]["color"] for chart in charts if "color" in chart["encoding"]]


def test_the_story_of_the_day(lake: Lake) -> None:
    told = story.story(lake, DAY)
    assert told.place == "New York"
    assert [sentence.replace("\N{NO-BREAK SPACE}", " ") for sentence in told.sentences] == [
        (
            "The highest temperature was 42.0 °C (108 °F) at New York, KLGA, the lowest 30.0 °C"
            " (86 °F) at New York, KJFK. The mean was 2.0 °C (4 °F) above normal."
        ),
        "No precipitation was measured.",
        "Strongest wind: 5.0 m/s (11 mph) at New York, KJFK.",
    ]
    assert told.alerts == []


def test_a_day_without_reports_says_so(lake: Lake) -> None:
    page = build(lake, Day(dt.date(2013, 8, 1)))
    assert "<h1>Thursday 1 August 2013</h1>" in page
    assert '<p class="story">No station reported on 2013-08-01.</p>' in page
