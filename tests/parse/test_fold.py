"""The back-fill on executors: rows and tallies are those of the local path."""

import datetime as dt
import gzip
import json
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.lake.merging import compare
from jobs.lake.tables import OBSERVATIONS
from jobs.parse.batches import Tally, read_batch, read_observations
from jobs.spark.backfill import PARSED, fold, parse, unpack

START = dt.datetime(2013, 7, 1, tzinfo=dt.UTC)
KEYS = st.tuples(st.sampled_from(["KJFK", "KLGA"]), st.integers(0, 2))
VALUES = st.tuples(
    st.sampled_from([None, 1.0, 2.0]), st.sampled_from([None, "a", "b"]), st.integers(0, 3)
)
FILES = st.lists(st.dictionaries(KEYS, VALUES, max_size=4), max_size=6)


def table(file: dict[tuple[str, int], tuple[float | None, str | None, int]]) -> pa.Table:
    return pa.Table.from_pylist(
        [
            {
                "station_id": station,
                "observed_at": START + dt.timedelta(hours=hour),
                "temperature_c": temperature,
                "raw_message": message,
                "fetched_at": START + dt.timedelta(days=day),
            }
            for (station, hour), (temperature, message, day) in file.items()
        ],
        schema=OBSERVATIONS.schema,
    )


@given(FILES)
def test_fold_is_the_merge_of_one_file_after_the_other(
    files: list[dict[tuple[str, int], tuple[float | None, str | None, int]]],
) -> None:
    expected = OBSERVATIONS.schema.empty_table()
    parsed = [PARSED.empty_table()]
    for number, file in enumerate(files):
        rows = table(file)
        found = compare(OBSERVATIONS, expected, rows)
        expected = pa.concat_tables([found.kept, found.changed, found.new])
        rows = rows.append_column("_order", pa.array([number] * rows.num_rows, pa.int64()))
        rows = rows.append_column("_tally", pa.nulls(rows.num_rows, pa.string()))
        parsed.append(rows.cast(PARSED))
    order = [(name, "ascending") for name in OBSERVATIONS.key]
    folded = fold(pa.concat_tables(reversed(parsed)))
    assert folded.sort_by(order).to_pylist() == expected.sort_by(order).to_pylist()


def written(folder: Path, name: str, *features: object) -> Path:
    answer = {"station_id": "KJFK", "fetched_at": START.isoformat(), "features": features}
    path = folder / f"observations-{name}.json.gz"
    path.write_bytes(gzip.compress(json.dumps([answer]).encode()))
    return path


def test_rows_and_tallies_are_those_of_the_local_path(tmp_path: Path) -> None:
    feature = {
        "properties": {
            "stationId": "KJFK",
            "timestamp": "2013-07-01T00:00:00+00:00",
            "temperature": {"value": 900, "unitCode": "wmoUnit:degC"},
            "dewpoint": {"value": 1, "unitCode": "wmoUnit:furlong"},
            "snowDepth": 3,
        }
    }
    files = [
        written(tmp_path, "1", feature, feature, {"properties": {}}),
        written(tmp_path, "2", feature, "nothing"),
    ]
    local, rows = Tally(), []
    for file in files:
        rows += read_observations(read_batch(file), local).to_pylist()
    given = pa.RecordBatch.from_pylist(
        [{"number": number, "path": str(file)} for number, file in enumerate(files)]
    )
    parsed = pa.Table.from_batches(parse([given]), PARSED).to_pylist()
    packed = [row["_tally"] for row in parsed if row["_tally"] is not None]
    assert unpack(packed) == local
    assert local.rejects
    assert local.drift
    names = OBSERVATIONS.schema.names
    there = [{name: row[name] for name in names} for row in parsed if row["_tally"] is None]
    assert there == rows
    assert {row["_order"] for row in parsed} == {0, 1}


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    path = tmp_path / "observations-1.json.gz"
    path.write_bytes(b"cut short")
    given = pa.RecordBatch.from_pylist([{"number": 0, "path": str(path)}])
    with pytest.raises(ValueError, match=r"observations-1\.json\.gz cannot be read: Not a gzipped"):
        list(parse([given]))
