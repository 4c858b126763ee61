"""Time travel: the day's rows at earlier snapshots of the observations."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import altair as alt
from pyiceberg.table.snapshots import Snapshot

from jobs.report.blocks import (
    NONE,
    Block,
    Day,
    Figure,
    Table,
    Words,
    celsius,
    count,
    moment,
)
from jobs.report.lake import Lake, committed
from jobs.report.scales import FULL, left_axis

TABLE = "weather.observations"
# Snapshots read at first, evenly spread, and the limit of all that are read.
_FIRST_LOOK = 16
_LOOKS = 60

# The local day of each station, and the UTC days around it, so that few files are read.
_AT = """
    from lake.weather.observations as observations at (version => {version})
    join (
        select station_id, local_time_zone as zone from lake.marts.dim_stations
    ) using (station_id)
    where observed_at >= $date::timestamptz - interval 1 day
        and observed_at < $date::timestamptz + interval 2 day
        and timezone(zone, observed_at)::date = $date
"""
_KNOWN = """
    select count(*) as rows, count(distinct station_id) as stations,
        avg(temperature_c) as mean,
        bit_xor(hash(station_id, observed_at, {values})) as fingerprint
"""
_VALUES = (
    "temperature_c",
    "dewpoint_c",
    "wind_speed_mps",
    "wind_gust_mps",
    "precipitation_last_hour_mm",
    "sea_level_pressure_pa",
)
_KINDS = ("added", "corrected", "gone")
_CHANGES = """
    with old as (select station_id, observed_at, {values} {old}),
        now as (select station_id, observed_at, {values} {now})
    select count(*) filter (old.station_id is null) as added,
        count(*) filter (now.station_id is null) as gone,
        count(*) filter (({differ}) and old.station_id is not null
            and now.station_id is not null) as corrected
    from old full join now using (station_id, observed_at)
"""


@dataclass(frozen=True)
class Known:
    """What was known of the day when a snapshot was committed."""

    snapshot: Snapshot
    rows: int
    stations: int
    mean: float | None
    fingerprint: int | None

    @property
    def state(self) -> tuple[int, int | None]:
        """The key by which two states of the day are compared."""
        return self.rows, self.fingerprint


def section(lake: Lake, day: Day) -> list[Block]:
    """Return how the day's observations changed from snapshot to snapshot."""
    snapshots = lake.snapshots(TABLE)
    if not snapshots:
        return [
            Words("No observation has been loaded, so there is nothing to look back on.", "empty")
        ]
    states = _states(lake, day, snapshots)
    if not states:
        return [Words(f"No snapshot knows an observation of {day.date}.", "empty")]
    lead = (
        f"The table {TABLE} keeps {count(len(snapshots), 'snapshot')}, from"
        f" {moment(committed(snapshots[0]), day.zone)} to"
        f" {moment(committed(snapshots[-1]), day.zone)}."
    )
    if snapshots[0].parent_snapshot_id is not None:
        lead += " What was known before has expired: snapshots are kept for some time only."
    if len(states) == 1:
        lead += (
            f" All of them that know this day agree on its {count(states[0].rows, 'row')}:"
            " nothing was added or corrected since."
        )
        return [Words(lead), _table(states, [], day)]
    changes = [_changes(lake, day, *pair) for pair in pairwise(states)]
    added, corrected, gone = (sum(change[kind] for change in changes) for kind in _KINDS)
    first = states[0]
    words = (
        f"At {moment(committed(first.snapshot), day.zone)} {count(first.rows, 'row')} of the day"
        " were known."
        f" Since then {count(added, 'row')} came, {corrected:,} got other values and {gone:,} went."
        f" The mean temperature was {celsius(first.mean)}; it is {celsius(states[-1].mean)}."
    )
    return [Words(lead), Words(words), _figure(states, day), _table(states, changes, day)]


def _states(lake: Lake, day: Day, snapshots: Sequence[Snapshot]) -> list[Known]:
    """Return the snapshots at which the day's rows changed, oldest first.

    Evenly spread snapshots are read first; where two neighbours differ, the interval between them
    is bisected. A change that was reverted between two equal snapshots is not found.
    """
    seen: dict[int, Known] = {}

    def look(index: int) -> Known:
        if index not in seen:
            seen[index] = _known(lake, day, snapshots[index])
        return seen[index]

    last = len(snapshots) - 1
    steps = min(_FIRST_LOOK, last) or 1
    spread = sorted({round(step * last / steps) for step in range(steps + 1)})
    for index in spread:
        look(index)
    gaps = list(pairwise(spread))
    while gaps and len(seen) < _LOOKS:
        low, high = gaps.pop(0)
        if high - low > 1 and look(low).state != look(high).state:
            middle = (low + high) // 2
            look(middle)
            gaps += [(low, middle), (middle, high)]
    states: list[Known] = []
    for index in sorted(seen):
        known = seen[index]
        if (known.rows or states) and (not states or states[-1].state != known.state):
            states.append(known)
    return states


def _known(lake: Lake, day: Day, snapshot: Snapshot) -> Known:
    sql = _KNOWN.format(values=", ".join(_VALUES)) + _at(snapshot)
    (row,) = lake.ask(sql, date=day.date)
    return Known(snapshot, row["rows"], row["stations"], row["mean"], row["fingerprint"])


def _changes(lake: Lake, day: Day, first: Known, last: Known) -> dict[str, Any]:
    differ = " or ".join(f"old.{name} is distinct from now.{name}" for name in _VALUES)
    sql = _CHANGES.format(
        values=", ".join(_VALUES),
        old=_at(first.snapshot),
        now=_at(last.snapshot),
        differ=differ,
    )
    (row,) = lake.ask(sql, date=day.date)
    return row


def _at(snapshot: Snapshot) -> str:
    return _AT.format(version=snapshot.snapshot_id)


def _figure(states: Sequence[Known], day: Day) -> Figure:
    rows = [
        {
            "step": index + 1,
            "time": moment(committed(known.snapshot), day.zone),
            "rows": known.rows,
            "mean": None if known.mean is None else round(known.mean, 2),
        }
        for index, known in enumerate(states)
    ]
    base = alt.Chart(alt.NamedData("history")).encode(
        x=alt.X(
            "step:O",
            axis=alt.Axis(title="change of the day, in the order of the snapshots", labelAngle=0),
        ),
        y=alt.Y("rows:Q", axis=left_axis(title="rows known")),
        tooltip=[
            alt.Tooltip("time:N", title="committed"),
            alt.Tooltip("rows:Q", title="rows known"),
            alt.Tooltip("mean:Q", title="mean °C as known then"),
        ],
    )
    chart = alt.layer(
        base.mark_bar(color="#7d8fb3", cornerRadiusEnd=3, width={"band": 0.7}),
        base.mark_text(dy=-7).encode(text="rows:Q"),
    ).properties(width=FULL, height=180)
    return Figure(
        "history",
        "Rows of the day known after each change",
        f"Bars of the day's rows known at {count(len(states), 'snapshot')}, from"
        f" {states[0].rows:,} to {states[-1].rows:,}.",
        chart,
        {"history": rows},
    )


def _table(states: Sequence[Known], changes: Sequence[dict[str, Any]], day: Day) -> Table:
    return Table(
        "What each of these snapshots knows of the day, and what it changed",
        ("", "Committed", "Snapshot", "Rows", "New", "Corrected", "Gone", "Mean temperature"),
        [
            (
                f"{index}",
                f"{committed(known.snapshot).astimezone(ZoneInfo(day.zone)):%Y-%m-%d %H:%M:%S %Z}",
                f"{known.snapshot.snapshot_id}",
                f"{known.rows:,}",
                *(f"{change[kind]:,}" if change else NONE for kind in _KINDS),
                celsius(known.mean),
            )
            for index, (known, change) in enumerate(zip(states, [None, *changes], strict=True), 1)
        ],
        frozenset({"Rows", "New", "Corrected", "Gone"}),
    )
