"""What the demo shows of the lakehouse: the daily mart by DuckDB, the snapshots by PyIceberg."""

import datetime as dt
from pathlib import Path

import duckdb
from pyiceberg.catalog import Catalog
from tabulate import tabulate

from jobs import iceberg
from jobs.transform import EXTENSIONS, install_extensions

DAILY = """
    select station_id as station, local_date as day, hours_observed as hours,
        temperature_min_c as "min °C", temperature_mean_c as "mean °C",
        temperature_max_c as "max °C", precipitation_mm as "rain mm",
        wind_speed_mean_mps as "wind m/s", wind_gust_max_mps as "gust m/s"
    from lake.marts.fct_daily_station_weather
    where local_date between ? and ?
    order by station_id, local_date
"""


def daily(uri: str, weather: Path, first: dt.date, last: dt.date) -> str:
    """Write the days from first to last of the daily mart as a table."""
    extensions = weather / "duckdb-extensions"
    install_extensions(extensions)
    with duckdb.connect(config={"extension_directory": str(extensions)}) as connection:
        for name in EXTENSIONS:
            connection.load_extension(name)
        connection.execute(
            f"ATTACH 'default' AS lake (TYPE iceberg, ENDPOINT '{uri}', AUTHORIZATION_TYPE 'none')"
        )
        found = connection.execute(DAILY, [first, last])
        headers = [column[0] for column in found.description or []]
        return tabulate(found.fetchall(), headers, missingval="-", floatfmt=".1f")


def snapshots(catalog: Catalog) -> str:
    """Write every snapshot of every table as a table."""
    rows = [
        (
            name,
            snapshot.snapshot_id,
            f"{dt.datetime.fromtimestamp(snapshot.timestamp_ms / 1000, dt.UTC):%Y-%m-%d %H:%M:%S}Z",
            summary.operation.value,
            summary.get("added-records", "-"),
            (summary.get(iceberg.LOAD_ID) or "dbt")[:40],
        )
        for namespace in ("weather", "marts")
        for name in sorted(".".join(table) for table in catalog.list_tables(namespace))
        for snapshot in catalog.load_table(name).snapshots()
        if (summary := snapshot.summary) is not None
    ]
    headers = ["table", "snapshot", "committed", "operation", "rows added", "made by"]
    return tabulate(rows, headers, disable_numparse=True, colalign=("left",) * 4 + ("right",))
