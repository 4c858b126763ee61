"""Read raw files into tables of rows, with what was put aside and what was new."""

import datetime as dt
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, cast

import pyarrow as pa

from jobs.drift import Drift, example, notice
from jobs.ranges import strike
from jobs.records import (
    ObservationRow,
    Reject,
    dedupe_observations,
    parse_observation,
    parse_station,
    properties_of,
    reject,
    unreadable_values,
)
from jobs.schemas import QUANTITIES
from jobs.tables import FETCHED_AT, OBSERVATIONS, STATIONS

_RESERVED = tuple((quantity.field, quantity.column) for quantity in QUANTITIES)


@dataclass
class Tally:
    """What reading met: records, doubles, rejects with their reasons, unreadable values, drift."""

    records: int = 0
    duplicates: int = 0
    unreadable: int = 0
    rejects: list[Reject] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)
    drift: dict[Drift, str] = field(default_factory=dict)
    stations: dict[str, int] = field(default_factory=dict)

    def put_aside(self, one: Reject) -> None:
        """Keep a reject, and count its reason without the values in it."""
        self.rejects.append(one)
        self.reasons[f"{one.kind}: {_general(one.reason)}"] += 1

    def take_rejects(self) -> list[Reject]:
        """Hand over the rejects, which are many of them when much is wrong."""
        rejects, self.rejects = self.rejects, []
        return rejects

    def notice(self, kind: Any, feature: Any) -> None:
        """Keep what is new in a record, with the first example of it."""
        for drift, value in notice(kind, properties_of(feature)):
            if drift not in self.drift:
                self.drift[drift] = example(value)


def read_stations(features: Iterable[Any], fetched_at: dt.datetime, tally: Tally) -> pa.Table:
    """Read stations into rows of ``weather.stations`` that hold from when they were fetched."""
    validity = {"valid_from": fetched_at, "valid_to": None, "is_current": True}
    rows: dict[str, dict[str, Any]] = {}
    for feature in features:
        tally.records += 1
        row = parse_station(feature)
        if isinstance(row, Reject):
            tally.put_aside(row)
            continue
        tally.notice("station", feature)
        tally.duplicates += row["station_id"] in rows
        rows[row["station_id"]] = {**row, **validity}
    return pa.Table.from_pylist(list(rows.values()), schema=STATIONS.schema)


def read_observations(answers: Iterable[dict[str, Any]], tally: Tally) -> pa.Table:
    """Read a batch's answers into rows of ``weather.observations``, one per station and time."""
    rows: list[ObservationRow] = []
    for answer in answers:
        told = answer.get(FETCHED_AT)
        fetched_at = dt.datetime.fromisoformat(told) if told else None
        tally.stations.setdefault(answer["station_id"], 0)
        for feature in answer["features"]:
            row = _read(feature, tally)
            if row is not None:
                rows.append(cast("ObservationRow", {**row, FETCHED_AT: fetched_at}))
                tally.stations[answer["station_id"]] += 1
    kept = dedupe_observations(rows)
    tally.duplicates += len(rows) - len(kept)
    return pa.Table.from_pylist(kept, schema=OBSERVATIONS.schema)


def _read(feature: Any, tally: Tally) -> ObservationRow | None:
    tally.records += 1
    row = parse_observation(feature)
    if isinstance(row, Reject):
        tally.put_aside(row)
        return None
    tally.notice("observation", feature)
    properties = properties_of(feature)
    if any(row[column] is None and _given(properties.get(name)) for name, column in _RESERVED):  # type: ignore[literal-required]
        tally.unreadable += len(unreadable_values(feature))
    for reason in strike(cast("dict[str, Any]", row)):
        tally.put_aside(reject("value", feature, reason))
    return row


def _given(raw: Any) -> bool:
    value = raw.get("value") if isinstance(raw, dict) else raw
    return value is not None


def _general(reason: str) -> str:
    """Name a reason's kind: "out of range: temperature", "no timestamp"."""
    head, colon, rest = reason.partition(": ")
    return f"{head}: {rest.split()[0]}" if colon and head == "out of range" else head[:60]
