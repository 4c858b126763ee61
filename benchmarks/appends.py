"""The pipeline's commits beside bare Parquet: the second half of goal 13."""

import datetime as dt
import functools
import gc
import random
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyiceberg.catalog import Catalog

from benchmarks import fetched, servers
from benchmarks.bench import Bench
from benchmarks.rounds import Line, interleave, quotients
from jobs.lake import commits, filters, iceberg
from jobs.lake.rest import connect
from jobs.lake.tables import OBSERVATIONS

_HISTORY = 100
_PARSED = 5000
_FIRST = fetched.FIRST
_STATIONS = fetched.STATIONS


def lines(bench: Bench) -> list[Line]:
    """Measure appends to a short history, to a longer one, and a whole load."""
    place = bench.place("appending")
    with servers.ours(place) as ours:
        catalog = connect(f"http://{ours.address[0]}:{ours.address[1]}", "default")
        catalog.create_namespace("bench")
        sizes: dict[int, float | None] = {100_000: 0.45, 1_000_000: 0.8}
        if bench.quick:
            sizes = {10_000: None}
        found = [_appended(bench, catalog, place, rows, bound) for rows, bound in sizes.items()]
        rows = min(sizes)
        return [*found, _after_many(bench, catalog, rows), _loaded(bench, catalog, place, rows)]


def _appended(bench: Bench, catalog: Catalog, place: Path, rows: int, bound: float | None) -> Line:
    data = _columns(rows)
    table = catalog.create_table(f"bench.rows{rows}", data.schema)
    found = _compared(
        bench,
        rows,
        iceberg=functools.partial(commits.append, table, data, _summary()),
        parquet=functools.partial(_write_parquet, data, place / f"{rows}.parquet"),
    )
    return Line(
        "13",
        f"Iceberg append of {rows:,} rows: rows a second over raw Parquet",
        quotients(found["iceberg"], found["parquet"]),
        at_least=bound,
        note=_told(found["iceberg"]),
    )


def _after_many(bench: Bench, catalog: Catalog, rows: int) -> Line:
    """Append to a table that has been appended to before, as PyIceberg itself does, too."""
    data = _columns(rows)
    ours, theirs = (
        catalog.create_table(f"bench.{name}", data.schema) for name in ("ours", "theirs")
    )
    for table in (ours, theirs):
        for _ in range(_HISTORY):
            commits.append(table, data.slice(0, 1), _summary())
    found = _compared(
        bench,
        rows,
        ours=functools.partial(commits.append, ours, data, _summary()),
        theirs=functools.partial(theirs.append, data, _summary()),
    )
    return Line(
        "13",
        f"the same, {rows:,} rows to {_HISTORY} snapshots: over PyIceberg's own append",
        quotients(found["ours"], found["theirs"]),
        note=_told(found["ours"]),
    )


def _loaded(bench: Bench, catalog: Catalog, place: Path, rows: int) -> Line:
    """Load observations as the pipeline does, into its own table: look, compare, append."""
    months = _months(_observations(place, rows))
    first = next(months)
    found = _compared(
        bench,
        rows,
        ours=lambda: _load(catalog, next(months)),
        parquet=functools.partial(_write_parquet, first, place / "observations.parquet"),
    )
    return Line(
        "13",
        f"a whole load of {rows:,} new observations: rows a second over raw Parquet",
        quotients(found["ours"], found["parquet"]),
        note=_told(found["ours"]),
    )


def _load(catalog: Catalog, rows: pa.Table) -> None:
    scope = filters.station_times(rows)
    loaded = iceberg.load(catalog, OBSERVATIONS, rows, load_id=scope, scope=scope)
    if loaded.rows_new != rows.num_rows:
        raise ValueError(f"{loaded.rows_new} of {rows.num_rows} observations were new")


def _compared(bench: Bench, rows: int, **ways: Callable[[], Any]) -> dict[str, list[float]]:
    """Measure the rows a second of each way, after a first time that does not count."""
    for way in ways.values():
        way()
    cells = {name: functools.partial(rows_a_second, way, rows) for name, way in ways.items()}
    return interleave(bench.rounds, cells)


def rows_a_second(work: Callable[[], Any], rows: int) -> float:
    """Return how fast a piece of work is, without the garbage of what went before.

    What the benchmark itself keeps is no part of the work, so no collection walks over it.
    """
    gc.collect()
    gc.freeze()
    try:
        started = time.perf_counter()
        work()
        return rows / (time.perf_counter() - started)
    finally:
        gc.unfreeze()


def _told(rates: list[float]) -> str:
    return f"{statistics.median(rates):,.0f} rows a second"


def _summary() -> dict[str, str]:
    return {iceberg.LOAD_ID: "bench"}


def _write_parquet(data: pa.Table, path: Path) -> None:
    path.unlink(missing_ok=True)
    pq.write_table(data, path, compression="zstd")


def _columns(rows: int) -> pa.Table:
    """Return observations as columns: values as a station tells them, to a tenth."""
    drawn = random.Random(13)  # noqa: S311 - weather, not secrets
    hours = [_FIRST + dt.timedelta(hours=one // _STATIONS) for one in range(rows)]
    return pa.table(
        {
            "station_id": pa.array([f"K{one % _STATIONS:03d}" for one in range(rows)]),
            "observed_at": pa.array(hours, pa.timestamp("us", "UTC")),
            **{
                name: pa.array([drawn.randrange(500) / 10 for _ in range(rows)])
                for name in ("temperature_c", "dewpoint_c", "wind_speed_mps", "visibility_m")
            },
        }
    )


def _observations(place: Path, rows: int) -> pa.Table:
    """Return observations in all columns: some hours of 500 stations, and the hours after them."""
    part = fetched.read(fetched.write(place / "observations.json.gz", _PARSED))
    hours = dt.timedelta(hours=_PARSED // _STATIONS)
    return pa.concat_tables(_later(part, hours * one) for one in range(rows // _PARSED))


def _months(rows: pa.Table) -> Iterator[pa.Table]:
    month = 0
    while True:
        yield _later(rows, dt.timedelta(days=30 * month))
        month += 1


def _later(rows: pa.Table, span: dt.timedelta) -> pa.Table:
    place = rows.schema.get_field_index("observed_at")
    moved = pc.add(rows.column(place), pa.scalar(span, pa.duration("us")))
    return rows.set_column(place, rows.schema.field(place), moved)
