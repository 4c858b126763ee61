"""The weather pipeline's hot spots: goal 13."""

import datetime as dt
import functools
import gc
import gzip
import json
import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.catalog.rest import RestCatalog

from benchmarks import servers
from benchmarks.bench import Bench
from benchmarks.rounds import Line, interleave, quotients
from jobs.observations import answers_of
from jobs.ranges import RANGES
from jobs.reading import Tally, read_observations
from jobs.schemas import QUANTITIES, Quantity, qc_column
from jobs.tables import FETCHED_AT, OBSERVATIONS
from jobs.targets import write_json
from jobs.units import DECIMALS, UNITS

_FIRST = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
_SERVICE = "https://api.weather.gov/stations"
_GAPS = 0.3  # of the values
_STATIONS = 500


def goal(bench: Bench) -> list[Line]:
    """Goal 13: observations become Arrow, and Arrow becomes a snapshot."""
    return [*_parsing(bench), *_appending(bench)]


def _parsing(bench: Bench) -> list[Line]:
    features = 500 if bench.quick else 5000
    file = bench.place("parsing") / "observations.json.gz"
    write_json(file, _answers(features))
    ways = {"ours": _as_the_pipeline_does, "loop": _row_by_row}
    first, second = (read(file) for read in ways.values())
    if not first.equals(second):
        raise ValueError("the pipeline and the row loop do not read the same")
    cells = {
        name: functools.partial(_rows_a_second, functools.partial(read, file), features)
        for name, read in ways.items()
    }
    found = interleave(bench.rounds, cells)
    return [
        Line(
            "13",
            "observations to Arrow: rows a second over json and a row loop",
            quotients(found["ours"], found["loop"]),
            at_least=3,
            note=f"{statistics.median(found['ours']):,.0f} rows a second",
        )
    ]


def _as_the_pipeline_does(file: Path) -> pa.Table:
    (answers,) = answers_of([file])
    return read_observations(answers, Tally())


def _row_by_row(file: Path) -> pa.Table:
    """Make the same table in the plainest way, which trusts every record and checks nothing."""
    rows: dict[tuple[str, dt.datetime], dict[str, Any]] = {}
    for answer in json.loads(gzip.decompress(file.read_bytes())):
        fetched_at = dt.datetime.fromisoformat(answer[FETCHED_AT])
        for feature in answer["features"]:
            row = _row(feature)
            rows[row["station_id"], row["observed_at"]] = {**row, FETCHED_AT: fetched_at}
    ordered = [rows[key] for key in sorted(rows)]
    return pa.Table.from_pylist(ordered, schema=OBSERVATIONS.schema)


def _row(feature: dict[str, Any]) -> dict[str, Any]:
    properties = feature["properties"]
    row: dict[str, Any] = {
        "station_id": properties["stationId"],
        "observed_at": dt.datetime.fromisoformat(properties["timestamp"]),
    }
    for quantity in QUANTITIES:
        measured = properties[quantity.field]
        row[quantity.column] = _converted(measured, quantity.unit)
        row[qc_column(quantity.column)] = measured["qualityControl"].removeprefix("qc:")
    row["text_description"] = properties["textDescription"] or None
    row["raw_message"] = properties["rawMessage"] or None
    row["present_weather"] = json.dumps(properties["presentWeather"], separators=(",", ":"))
    row["cloud_layers"] = json.dumps(properties["cloudLayers"], separators=(",", ":"))
    row["longitude"], row["latitude"] = feature["geometry"]["coordinates"]
    row["elevation_m"] = _converted(properties["elevation"], "m")
    return row


def _converted(measured: dict[str, Any], to: str) -> float | None:
    value = measured["value"]
    if value is None:
        return None
    source, target = UNITS[measured["unitCode"].rsplit(":", 1)[-1]], UNITS[to]
    if source != target:
        value = (value * source.factor + source.offset - target.offset) / target.factor
    return float(round(value, DECIMALS) + 0.0)


def _answers(number: int) -> list[dict[str, Any]]:
    """Return observations as the weather service sends them and a batch keeps them."""
    drawn = random.Random(13)  # noqa: S311 - weather, not secrets
    hours = number // _STATIONS or 1
    return [
        {
            "station_id": f"K{station:03d}",
            FETCHED_AT: _FIRST.isoformat(),
            "features": [_feature(drawn, f"K{station:03d}", hour) for hour in range(hours)],
        }
        for station in range(number // hours)
    ]


def _feature(drawn: random.Random, station: str, hour: int) -> dict[str, Any]:
    moment = (_FIRST + dt.timedelta(hours=hour)).isoformat()
    url = f"{_SERVICE}/{station}"
    place = [round(drawn.uniform(-120, -70), 4), round(drawn.uniform(25, 48), 4)]
    return {
        "id": f"{url}/observations/{moment}",
        "type": "Feature",
        "geometry": {"type": "Point", "coordinates": place},
        "properties": {
            "@id": f"{url}/observations/{moment}",
            "@type": "wx:ObservationStation",
            "elevation": {"unitCode": "wmoUnit:m", "value": float(drawn.randrange(2000))},
            "station": url,
            "stationId": station,
            "stationName": f"Airport {station}",
            "timestamp": moment,
            "rawMessage": f"{station} 010053Z 29012KT 10SM FEW050 07/M03 A3012",
            "textDescription": drawn.choice(("Clear", "Cloudy", "Light Rain")),
            "icon": None,
            "presentWeather": [],
            **{each.field: _measured(drawn, each) for each in QUANTITIES},
            "cloudLayers": [{"base": {"unitCode": "wmoUnit:m", "value": 1520}, "amount": "FEW"}],
        },
    }


def _measured(drawn: random.Random, quantity: Quantity) -> dict[str, Any]:
    low, high = RANGES[quantity.column]
    share = drawn.uniform(0.4, 0.5) if quantity.field == "dewpoint" else drawn.uniform(0.6, 0.8)
    value = None if drawn.random() < _GAPS else round(low + share * (high - low), 1)
    code = f"wmoUnit:{quantity.unit}"
    if quantity.unit == "m_s-1":  # the service tells wind in km/h
        value, code = None if value is None else round(value * 3.6, 1), "wmoUnit:km_h-1"
    return {"unitCode": code, "value": value, "qualityControl": "qc:V"}


def _rows_a_second(work: Callable[[], Any], rows: int) -> float:
    gc.collect()
    started = time.perf_counter()
    work()
    return rows / (time.perf_counter() - started)


def _appending(bench: Bench) -> list[Line]:
    place = bench.place("appending")
    sizes: dict[int, float | None] = {10_000: None}
    if not bench.quick:
        sizes = {100_000: 0.45, 1_000_000: 0.8}
    lines = []
    with servers.ours(place) as ours:
        catalog = RestCatalog("bench", uri=f"http://{ours.address[0]}:{ours.address[1]}")
        catalog.create_namespace("bench")
        for rows, bound in sizes.items():
            data = _columns(rows)
            table = catalog.create_table(f"bench.rows{rows}", data.schema)
            write = functools.partial(_write_parquet, data, place / f"{rows}.parquet")
            cells = {
                "iceberg": functools.partial(
                    _rows_a_second, functools.partial(table.append, data), rows
                ),
                "parquet": functools.partial(_rows_a_second, write, rows),
            }
            for cell in cells.values():
                cell()
            found = interleave(bench.rounds, cells)
            lines.append(
                Line(
                    "13",
                    f"Iceberg append of {rows:,} rows: rows a second over raw Parquet",
                    quotients(found["iceberg"], found["parquet"]),
                    at_least=bound,
                    note=f"{statistics.median(found['iceberg']):,.0f} rows a second",
                )
            )
    return lines


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
