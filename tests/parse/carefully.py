"""Observations read record by record: slow and plain, what the fast reader must agree with."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, cast

import pyarrow as pa

from jobs.lake.tables import FETCHED_AT, OBSERVATIONS
from jobs.parse.batches import Tally
from jobs.parse.ranges import strike
from jobs.parse.records import (
    Reject,
    Row,
    parse_observation,
    reject,
    unreadable_values,
)


def read_carefully(answers: Iterable[dict[str, Any]], tally: Tally) -> pa.Table:
    """Read answers into rows, one per station and time."""
    rows: list[Row] = []
    for answer in answers:
        told = answer.get(FETCHED_AT)
        fetched_at = datetime.fromisoformat(told) if told else None
        tally.stations.setdefault(answer["station_id"], 0)
        for feature in answer["features"]:
            row = read_one(feature, tally)
            if row is not None:
                rows.append({**row, FETCHED_AT: fetched_at})
                tally.stations[answer["station_id"]] += 1
    kept = dedupe_observations(rows)
    tally.duplicates += len(rows) - len(kept)
    return pa.Table.from_pylist([dict(row) for row in kept], schema=OBSERVATIONS.schema)


def read_one(feature: Any, tally: Tally) -> Row | None:
    """Read a record, and tell of it."""
    tally.records += 1
    row = parse_observation(feature)
    if isinstance(row, Reject):
        tally.reject(row)
        return None
    tally.notice("observation", feature)
    tally.unreadable += len(unreadable_values(feature))
    for reason in strike(cast("dict[str, Any]", row)):
        tally.reject(reject("value", feature, reason))
    return row


def dedupe_observations(rows: Iterable[Row]) -> list[Row]:
    """Keep one row per station and time, sorted by them: the fullest, of equals the latest."""
    best: dict[tuple[str, datetime], Row] = {}
    for row in rows:
        key = (row["station_id"], row["observed_at"])
        held = best.get(key)
        if held is None or _filled(row) >= _filled(held):
            best[key] = row
    return [best[key] for key in sorted(best)]


def _filled(row: Row) -> int:
    return sum(value is not None for value in row.values())
