"""A report on every station of the country stays small, whole and quick to read."""

import datetime as dt
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.catalog import Catalog

from jobs.report.blocks import Day
from jobs.report.build import build
from jobs.report.lake import Lake, open_lake
from tests.report.browser import DRAWN, Page
from tests.tasks.conftest import CatalogServer

DAY = Day(dt.date(2013, 7, 2))
STATIONS = 2700
ZONE = "America/Chicago"


def stations() -> list[dict[str, Any]]:
    """Spread stations evenly over the mainland; one lies on Guam."""
    columns = 75
    spread = [
        {
            "station_id": f"K{number:04}",
            "station_name": f"Station number {number} of the country's, Municipal Airport",
            "state": ("KS", "NE", "OK", "TX")[number % 4],
            "local_time_zone": ZONE,
            "latitude": 26 + 22 * (number // columns) / (STATIONS / columns),
            "longitude": -124 + 56 * (number % columns) / columns,
        }
        for number in range(STATIONS)
    ]
    spread[-1] |= {"station_id": "PGUM", "latitude": 13.48, "longitude": 144.8}
    return spread


def write(catalog: Catalog, name: str, rows: list[dict[str, Any]], **types: pa.DataType) -> None:
    table = pa.Table.from_pylist(rows)
    for column, kind in types.items():
        index = table.column_names.index(column)
        table = table.set_column(index, column, table.column(column).cast(kind))
    catalog.create_namespace_if_not_exists(name.partition(".")[0])
    catalog.create_table(name, table.schema).append(table)


def fill(catalog: Catalog) -> None:
    known = stations()
    write(catalog, "marts.dim_stations", known)
    days = [
        {
            "station_id": station["station_id"],
            "local_date": DAY.date,
            "observations": 24,
            "hours_observed": 24 - number % 3,
            "hours_in_day": 24,
            "is_complete": number % 3 == 0,
            "temperature_min_c": 40 - station["latitude"] / 2,
            "temperature_max_c": 50 - station["latitude"] / 2 + number / 1e4,
            "temperature_mean_c": 45 - station["latitude"] / 2,
            "precipitation_mm": float(number % 7),
            "wind_gust_max_mps": None if number % 2 else number / 200,
            "wind_speed_max_mps": 5.0,
        }
        for number, station in enumerate(known)
    ]
    write(catalog, "marts.fct_daily_station_weather", days)
    write(
        catalog,
        "marts.fct_station_coverage",
        [
            {
                "station_id": station["station_id"],
                "local_date": DAY.before(back),
                "coverage_percent": 100.0 - number % 50,
                "hours_reported": 24 - number % 12,
            }
            for number, station in enumerate(known)
            for back in range(30)
        ],
    )
    noon = dt.datetime.combine(DAY.date, dt.time(12), dt.UTC)
    seen = [
        {
            "station_id": station["station_id"],
            "observed_at": noon + dt.timedelta(minutes=number % 700),
        }
        for number, station in enumerate(known)
        if number % 10
    ]
    write(catalog, "weather.observations", seen)


@pytest.fixture
def lake(
    make_catalog: Callable[[], CatalogServer], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Lake]:
    server = make_catalog()
    fill(server.connect())
    folder: Path = tmp_path_factory.getbasetemp() / "extensions"
    with open_lake(server.uri, "default", folder) as opened:
        yield opened


def test_every_station_is_on_the_map_and_the_page_stays_small(
    lake: Lake, new_page: Callable[[], Page], tmp_path: Path
) -> None:
    page = tmp_path / "country.html"
    page.write_text(build(lake, DAY))
    assert page.stat().st_size < 1_500_000
    opened = new_page()
    opened.emulate(360)
    opened.open(page)
    opened.wait(DRAWN)
    dots = "document.querySelectorAll('[data-chart=map-temperature] .mark-symbol path[d]').length"
    # Those of the mainland, and a legend of none.
    assert opened.evaluate(dots) == STATIONS - 1
    title = opened.evaluate("document.querySelector('h1').textContent")
    assert title == f"{STATIONS:,} stations in 4 states"
    text = opened.evaluate("document.querySelector('main').textContent")
    assert "Not on the map, but elsewhere: 1 station." in text
    assert "270 stations had no report in the last 30 days" in text
    assert f"of {STATIONS:,} stations that lead, warmest first" in text
    assert f"40 of {STATIONS:,}." in text
    assert opened.evaluate("document.scrollingElement.scrollWidth") <= 360
    assert opened.complaints() == []
