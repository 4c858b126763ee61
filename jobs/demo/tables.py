"""The tables that the demo prints: the daily mart by DuckDB, the others by PyIceberg."""

import datetime as dt
from pathlib import Path

from pyiceberg.catalog import Catalog
from pyiceberg.table.snapshots import Operation
from tabulate import tabulate

from jobs.lake import iceberg
from jobs.report.lake import open_lake
from jobs.targets import read_json

DAILY = """
    select station_id as station, local_date as day, hours_observed as hours,
        temperature_min_c as "min °C", temperature_mean_c as "mean °C",
        temperature_max_c as "max °C", precipitation_mm as "rain mm",
        heat_index_max_c as "heat index °C", wind_gust_max_mps as "gust m/s"
    from lake.marts.fct_daily_station_weather
    where local_date between $first and $last
    order by station_id, local_date
"""


def daily(uri: str, weather: Path, first: dt.date, last: dt.date) -> str:
    """Return the days from first to last of the daily mart."""
    with open_lake(uri, "default", weather / "duckdb-extensions") as lake:
        rows = lake.ask(DAILY, first=first, last=last)
    return tabulate(rows, headers="keys", missingval="-", floatfmt=".1f")


def hours(weather: Path) -> str:
    """Return the loads of each hour's ingestion."""
    rows = [
        [summary["hour"], load["table"], load["rows_in"], load["rows_new"], load["rows_changed"]]
        for path in sorted(weather.glob("*T*/*/ingestion.json"))
        for summary in [read_json(path)]
        for load in summary["loads"]
    ]
    return tabulate(rows, ["hour (UTC)", "table", "rows read", "new", "changed"], intfmt="")


def runs(catalog: Catalog) -> str:
    """Return the recorded runs of the pipeline."""
    found = catalog.load_table("weather.pipeline_runs").scan().to_arrow().sort_by("started_at")
    names = ("task", "period", "status", "models_built", "tests_passed", "seconds")
    rows = [[run[name] for name in names] for run in found.to_pylist()]
    headers = ["task", "period", "status", "models", "tests passed", "seconds"]
    return tabulate(rows, headers, missingval="-", floatfmt=".1f")


def snapshots(catalog: Catalog) -> str:
    """Return every snapshot of every table."""
    rows = [
        (
            ".".join(name),
            snapshot.snapshot_id,
            f"{dt.datetime.fromtimestamp(snapshot.timestamp_ms / 1000, dt.UTC):%Y-%m-%d %H:%M:%S}Z",
            summary.operation.value,
            summary.get("added-records", "-"),
            "maintenance"
            if summary.operation is Operation.REPLACE
            else (summary.get(iceberg.LOAD_ID) or "dbt")[:40],
        )
        for namespace in ("weather", "marts")
        for name in sorted(catalog.list_tables(namespace))
        for snapshot in catalog.load_table(name).snapshots()
        if (summary := snapshot.summary) is not None
    ]
    headers = ["table", "snapshot", "committed", "operation", "rows added", "made by"]
    return tabulate(rows, headers, disable_numparse=True, colalign=("left",) * 4 + ("right",))
