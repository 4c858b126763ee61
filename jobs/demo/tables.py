"""The result that the demo prints: the daily mart, read by DuckDB, and what the lake holds."""

import datetime as dt
from pathlib import Path

from pyiceberg.catalog import Catalog
from tabulate import tabulate

from jobs.report.lake import open_lake

DAILY = """
    select station_id as station, local_date as day, hours_observed as hours,
        temperature_min_c as "min °C", temperature_mean_c as "mean °C",
        temperature_max_c as "max °C", precipitation_mm as "rain mm",
        heat_index_max_c as "heat °C", wind_gust_max_mps as "gust m/s"
    from lake.marts.fct_daily_station_weather
    where local_date between $first and $last
    order by station_id, local_date
"""


def daily(uri: str, weather: Path, first: dt.date, last: dt.date) -> str:
    """Return the days from first to last of the daily mart."""
    with open_lake(uri, "default", weather / "duckdb-extensions") as lake:
        rows = lake.ask(DAILY, first=first, last=last)
    return tabulate(rows, headers="keys", missingval="-", floatfmt=".1f")


def held(catalog: Catalog) -> str:
    """Return how many tables and snapshots there are."""
    names = [name for space in ("weather", "marts") for name in catalog.list_tables(space)]
    snapshots = sum(len(catalog.load_table(name).snapshots()) for name in names)
    return f"{len(names)} tables with {snapshots} snapshots"
