"""The weather pipeline's hot spots: goal 13."""

import datetime as dt
import functools
import gzip
import json
import statistics
from pathlib import Path
from typing import Any

import pyarrow as pa

from benchmarks import appends, fetched
from benchmarks.bench import Bench
from benchmarks.rounds import Line, interleave, quotients
from jobs.lake.schemas import QUANTITIES, qc_column
from jobs.lake.tables import FETCHED_AT, OBSERVATIONS
from jobs.parse.units import DECIMALS, UNITS


def goal(bench: Bench) -> list[Line]:
    """Goal 13: observations become Arrow, and Arrow becomes a snapshot."""
    return [_parsed(bench), *appends.lines(bench)]


def _parsed(bench: Bench) -> Line:
    features = 500 if bench.quick else 5000
    file = fetched.write(bench.place("parsing") / "observations.json.gz", features)
    ways = {"ours": fetched.read, "loop": _row_by_row}
    first, second = (read(file) for read in ways.values())
    if not first.equals(second):
        raise ValueError("the pipeline and the row loop do not read the same")
    cells = {
        name: functools.partial(appends.rows_a_second, functools.partial(read, file), features)
        for name, read in ways.items()
    }
    found = interleave(bench.rounds, cells)
    return Line(
        "13",
        "observations to Arrow: rows a second over json and a row loop",
        quotients(found["ours"], found["loop"]),
        at_least=3,
        note=f"{statistics.median(found['ours']):,.0f} rows a second",
    )


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
