"""Raw files of observations and stations, parsed into tables; rejects and schema drift."""

import bisect
import datetime as dt
import gc
import gzip
import itertools
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from jobs.lake.merging import ends_of_runs, filled
from jobs.lake.schemas import OBSERVATION_SCHEMA, QUANTITIES
from jobs.lake.tables import FETCHED_AT, OBSERVATIONS, STATIONS
from jobs.parse import columns
from jobs.parse.ranges import strike
from jobs.parse.records import (
    Reject,
    Row,
    parse_observation,
    parse_station,
    properties_of,
    reject,
    unreadable_values,
)
from jobs.parse.schema_drift import Drift, example, notice

_NUMBER, _FILLED = "_number", "_filled"
_NUMBERED = pa.field(_NUMBER, pa.int64())
# Features whose columns are made together: so few that the processor's cache holds them.
_BLOCK = 2000


class RawAnswer(msgspec.Struct, frozen=True, gc=False):
    """What the service said of one station: the text of its features, and when it said so."""

    station_id: str
    features: msgspec.Raw
    fetched_at: str | None = None


def read_batch(path: Path) -> list[RawAnswer]:
    """Return the responses of a batch's file, with the features not parsed yet."""
    data = gzip.decompress(path.read_bytes())
    try:
        return msgspec.json.decode(data, type=list[RawAnswer])
    except msgspec.DecodeError:
        # Half of a surrogate pair, NaN: Python reads what the service should not have sent.
        return list(map(raw_answer, json.loads(data)))


def raw_answer(answer: dict[str, object]) -> RawAnswer:
    """Return the raw answer of a parsed one."""
    return msgspec.convert(
        answer | {"features": msgspec.Raw(json.dumps(answer["features"]).encode())}, RawAnswer
    )


@contextmanager
def collector_paused() -> Iterator[None]:
    """Pause the garbage collector while a document is parsed.

    A document of a million values is a million new objects, none of them garbage, and each would
    be visited many times.
    """
    paused = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if paused:
            gc.enable()


@dataclass
class Tally:
    """Counts of records, duplicates, rejects by reason, unreadable values and schema drift."""

    records: int = 0
    duplicates: int = 0
    unreadable: int = 0
    rejects: list[Reject] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)
    drift: dict[Drift, str] = field(default_factory=dict)
    stations: dict[str, int] = field(default_factory=dict)

    def reject(self, one: Reject) -> None:
        """Add a reject, and count its reason without the values in it."""
        self.rejects.append(one)
        kind, colon, rest = one.reason.partition(": ")
        out_of_range = colon and kind == "out of range"
        reason = f"{kind}: {rest.split()[0]}" if out_of_range else kind[:60]
        self.reasons[f"{one.kind}: {reason}"] += 1

    def notice(self, kind: Any, feature: Any) -> None:
        """Add the schema drift of a record, with the first example."""
        for drift, value in notice(kind, properties_of(feature)):
            if drift not in self.drift:
                self.drift[drift] = example(value)


def read_stations(features: Iterable[Any], fetched_at: dt.datetime, tally: Tally) -> pa.Table:
    """Return rows of ``weather.stations`` that are valid from when they were fetched."""
    validity = {"valid_from": fetched_at, "valid_to": None, "is_current": True}
    rows: dict[str, dict[str, Any]] = {}
    for feature in features:
        tally.records += 1
        row = parse_station(feature)
        if isinstance(row, Reject):
            tally.reject(row)
            continue
        tally.notice("station", feature)
        tally.duplicates += row["station_id"] in rows
        rows[row["station_id"]] = {**row, **validity}
    return pa.Table.from_pylist(list(rows.values()), schema=STATIONS.schema)


def read_observations(answers: Sequence[RawAnswer], tally: Tally) -> pa.Table:
    """Return a batch's rows of ``weather.observations``, one per station and time.

    Well-formed records are read by columns, each of the others by itself.
    """
    for answer in answers:
        tally.stations.setdefault(answer.station_id, 0)
    with collector_paused():
        plain, counts = _plain(answers)
    owners = [answer for answer, count in zip(answers, counts, strict=True) for _ in range(count)]
    rows = _stamped(plain, owners)
    numbers = pa.arange(0, len(owners), 1)
    missing = numbers.filter(pc.invert(pc.is_in(numbers, rows.column(_NUMBER)))).to_pylist()
    others = _one_by_one(answers, counts, missing, tally)
    rows = pa.concat_tables([rows, _stamped(others, owners)])
    for number in rows.column(_NUMBER).to_pylist():
        tally.stations[owners[number].station_id] += 1
    best = _best(rows)
    tally.records += len(owners)
    tally.duplicates += rows.num_rows - best.num_rows
    return best


def _plain(answers: Sequence[RawAnswer]) -> tuple[pa.Table, list[int]]:
    """Return the rows of well-formed features, and how many features each answer has."""
    blocks, counts, first = [], [], 0
    block: list[Any] = []
    for answer in answers:
        features = columns.decode(answer.features)
        counts.append(len(features))
        block += features
        if len(block) >= _BLOCK:
            blocks.append(_block(block, first))
            first += len(block)
            block = []
    blocks.append(_block(block, first))
    return pa.concat_tables(blocks), counts


def _block(features: Sequence[Any], first: int) -> pa.Table:
    numbers = [number for number, feature in enumerate(features, first) if feature is not None]
    rows, sure = columns.read([feature for feature in features if feature is not None])
    return rows.append_column(_NUMBER, pa.array(numbers, pa.int64())).filter(sure)


def _one_by_one(
    answers: Sequence[RawAnswer], counts: Iterable[int], numbers: Iterable[int], tally: Tally
) -> pa.Table:
    """Return the rows of features, given by number over all answers, parsed by `records`."""
    firsts = list(itertools.accumulate(counts, initial=0))
    rows: list[Row] = []
    held, features = -1, []
    for number in numbers:
        answer = bisect.bisect_right(firsts, number) - 1
        if answer != held:
            held, features = answer, json.loads(bytes(answers[answer].features))
        feature = features[number - firsts[answer]]
        row = parse_observation(feature)
        if isinstance(row, Reject):
            tally.reject(row)
            continue
        tally.notice("observation", feature)
        if any(row[quantity.column] is None for quantity in QUANTITIES):
            tally.unreadable += len(unreadable_values(feature))
        for reason in strike(row):
            tally.reject(reject("value", feature, reason))
        rows.append({**row, _NUMBER: number})
    return pa.Table.from_pylist(rows, schema=OBSERVATION_SCHEMA.append(_NUMBERED))


def _stamped(rows: pa.Table, owners: Sequence[RawAnswer]) -> pa.Table:
    """Return rows with the time at which each was fetched."""
    times = {
        text: dt.datetime.fromisoformat(text) if text else None
        for text in {answer.fetched_at for answer in owners}
    }
    fetched = [times[owners[number].fetched_at] for number in rows.column(_NUMBER).to_pylist()]
    field = OBSERVATIONS.schema.field(FETCHED_AT)
    return rows.append_column(field, pa.array(fetched, field.type))


def _best(rows: pa.Table) -> pa.Table:
    """Return one row per station and time, sorted by them.

    The row with the most values wins, of equals the later one, because the service repeats an hour
    corrected, and at times with fewer values.
    """
    count = filled(rows, OBSERVATIONS.schema.names)
    order = [*OBSERVATIONS.key, _FILLED, _NUMBER]
    rows = rows.append_column(_FILLED, count)
    rows = rows.take(pc.sort_indices(rows, [(name, "ascending") for name in order]))
    return rows.filter(ends_of_runs(rows, OBSERVATIONS.key)).select(OBSERVATIONS.schema.names)
