"""Filters that select the stored rows that a load has to compare."""

import datetime as dt

import pyarrow as pa
import pyarrow.compute as pc


def times(rows: pa.Table, column: str) -> str:
    """Return a filter for the whole hours that contain the rows' times."""
    span = pc.min_max(rows.column(column)).as_py()
    first = span["min"].replace(minute=0, second=0, microsecond=0)
    after = span["max"].replace(minute=0, second=0, microsecond=0) + dt.timedelta(hours=1)
    return f"{column} >= '{first.isoformat()}' and {column} < '{after.isoformat()}'"


def station_times(rows: pa.Table) -> str:
    """Return a filter for the rows' hours, and the stations from the first to the last by name."""
    stations = pc.min_max(rows.column("station_id")).as_py()
    within = f"station_id >= '{stations['min']}' and station_id <= '{stations['max']}'"
    return f"{times(rows, 'observed_at')} and {within}"
