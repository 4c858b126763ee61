"""Filters that cover rows: all that a load has to look at among the stored ones."""

import datetime as dt

import pyarrow as pa
import pyarrow.compute as pc


def times(rows: pa.Table, column: str) -> str:
    """Cover whole hours, so that the filter reads well and an hour's overwrite is an hour's."""
    span = pc.min_max(rows.column(column)).as_py()
    first = span["min"].replace(minute=0, second=0, microsecond=0)
    after = span["max"].replace(minute=0, second=0, microsecond=0) + dt.timedelta(hours=1)
    return f"{column} >= '{first.isoformat()}' and {column} < '{after.isoformat()}'"


def station_times(rows: pa.Table) -> str:
    """Cover the hours of the stations from the first to the last one; batches go by their names."""
    stations = pc.min_max(rows.column("station_id")).as_py()
    within = f"station_id >= '{stations['min']}' and station_id <= '{stations['max']}'"
    return f"{times(rows, 'observed_at')} and {within}"
