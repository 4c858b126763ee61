"""What the demo shows of the lakehouse: the daily mart by DuckDB, the snapshots by PyIceberg."""

import datetime as dt
from pathlib import Path

import duckdb
from pyiceberg.catalog import Catalog
from pyiceberg.table.snapshots import Operation
from tabulate import tabulate

from jobs.lake import iceberg
from jobs.targets import read_json
from jobs.transform.running import EXTENSIONS, install_extensions

DAILY = """
    select station_id as station, local_date as day, hours_observed as hours,
        temperature_min_c as "min °C", temperature_mean_c as "mean °C",
        temperature_max_c as "max °C", precipitation_mm as "rain mm",
        heat_index_max_c as "heat index °C", wind_gust_max_mps as "gust m/s"
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


def hours(weather: Path) -> str:
    """Write what each hour's ingestion did as a table."""
    rows = [
        [summary["hour"], load["table"], load["rows_in"], load["rows_new"], load["rows_changed"]]
        for path in sorted(weather.glob("*T*/*/ingestion.json"))
        for summary in [read_json(path)]
        for load in summary["loads"]
    ]
    return tabulate(rows, ["hour (UTC)", "table", "rows read", "new", "changed"], intfmt="")


def runs(catalog: Catalog) -> str:
    """Write the runs that the pipeline keeps account of as a table."""
    found = catalog.load_table("weather.pipeline_runs").scan().to_arrow().sort_by("started_at")
    rows = [
        [
            run[name]
            for name in ("task", "period", "status", "models_built", "tests_passed", "seconds")
        ]
        for run in found.to_pylist()
    ]
    headers = ["task", "period", "status", "models", "tests passed", "seconds"]
    return tabulate(rows, headers, missingval="-", floatfmt=".1f")


def snapshots(catalog: Catalog) -> str:
    """Write every snapshot of every table as a table."""
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
