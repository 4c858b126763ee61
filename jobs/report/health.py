"""Health of the pipeline: runs, loads, quarantine, freshness, schema drift."""

from typing import Any

import altair as alt

from jobs.lake import iceberg
from jobs.report.blocks import NONE, Block, Day, Figure, Table, Words, count, moment, text
from jobs.report.lake import Lake, committed
from jobs.report.scales import FULL, by_category, whole_axis

_RUNS = """
    select task, period, status, started_at, seconds, models_built, tests_passed, tests_failed,
        tests_warned, rows_changed, message, count(*) over () as runs
    from lake.weather.pipeline_runs order by started_at desc, run_id limit 12
"""
_QUARANTINE = """
    select kind, reason_class as reason, sum(records)::bigint as records,
        min(first_at) as first_at, max(last_at) as last_at,
        any_value(example_reason) as example
    from lake.marts.fct_quarantine_overview
    group by kind, reason_class order by records desc, kind, reason limit 15
"""
_FRESHNESS = """
    select freshness, count(*) as stations, max(as_of) as as_of
    from lake.marts.fct_station_freshness group by freshness
"""
_DRIFT = """
    select kind, path, detail, example, first_seen
    from lake.weather.schema_drift order by first_seen desc, path limit 15
"""
_COLORS = {
    "fresh": "#2f9e6e",
    "late": "#b8c94a",
    "stale": "#f2a93b",
    "silent": "#d9503f",
    "never": "#8a8f98",
}
_LOADS = 12


def runs(lake: Lake, day: Day) -> list[Block]:
    """Return a table of the newest runs."""
    rows = lake.ask(_RUNS)
    if not rows:
        return [Words("No run is on record yet.", "empty")]
    table = Table(
        f"The newest of {count(rows[0]['runs'], 'run')}",
        ("Task", "Period", "Status", "Started", "Seconds", "Models", "Tests", "Message"),
        [
            (
                text(row["task"]),
                text(row["period"]),
                text(row["status"]),
                moment(row["started_at"], day.zone),
                text(None if row["seconds"] is None else f"{row['seconds']:.1f}"),
                text(row["models_built"]),
                _tests(row),
                text(row["message"]),
            )
            for row in rows
        ],
        frozenset({"Seconds", "Models"}),
    )
    return [table]


def loads(lake: Lake, day: Day) -> list[Block]:
    """Return a table of the newest commits to the raw tables."""
    commits = [
        (committed(snapshot), name, snapshot.summary)
        for name in ("weather.observations", "weather.stations", "weather.alerts")
        for snapshot in lake.snapshots(name)
        if snapshot.summary is not None
    ]
    if not commits:
        return [Words("Nothing has been loaded yet.", "empty")]
    commits.sort(key=lambda commit: commit[:2], reverse=True)
    table = Table(
        f"The newest of {count(len(commits), 'commit')} that the tables' histories keep",
        ("Committed", "Table", "Operation", "Rows added", "Rows removed", "Load"),
        [
            (
                moment(time, day.zone),
                name,
                summary.operation.value,
                f"{int(summary.get('added-records') or 0):,}",
                f"{int(summary.get('deleted-records') or 0):,}",
                (summary.get(iceberg.LOAD_ID) or "by another hand").split("/", 1)[-1][:24],
            )
            for time, name, summary in commits[:_LOADS]
        ],
        frozenset({"Rows added", "Rows removed"}),
    )
    return [table]


def quarantine(lake: Lake, day: Day) -> list[Block]:
    """Return a table of quarantined records, counted by reason."""
    rows = lake.ask(_QUARANTINE)
    if not rows:
        return [Words("Nothing is in quarantine: every record could be read.", "empty")]
    table = Table(
        f"{count(sum(row['records'] for row in rows), 'record')} quarantined, by reason",
        ("Kind", "Reason", "Records", "First", "Last", "Example"),
        [
            (
                row["kind"],
                row["reason"],
                f"{row['records']:,}",
                moment(row["first_at"], day.zone),
                moment(row["last_at"], day.zone),
                text(row["example"])[:160],
            )
            for row in rows
        ],
        frozenset({"Records"}),
    )
    return [table]


def freshness(lake: Lake, day: Day) -> list[Block]:
    """Return a chart of how many stations are fresh, late, stale or silent."""
    rows = lake.ask(_FRESHNESS)
    if not rows:
        return [Words("No station is known.", "empty")]
    data = [
        {
            "state": row["freshness"],
            "stations": row["stations"],
            "order": list(_COLORS).index(row["freshness"]),
        }
        for row in rows
    ]
    words = ", ".join(f"{row['stations']:,} {row['freshness']}" for row in rows)
    figure = Figure(
        "freshness",
        "Stations by the age of their newest report",
        f"Bar of the stations by freshness: {words}.",
        _bar(sum(row["stations"] for row in rows)),
        {"freshness": data},
        f"As of {moment(rows[0]['as_of'], day.zone)}: fresh up to 2 hours, late up to 6, stale up"
        " to 48, then silent.",
    )
    return [figure]


def _bar(stations: int) -> alt.TopLevelMixin:
    chart: alt.TopLevelMixin = (
        alt.Chart(alt.NamedData("freshness"))
        .mark_bar(height=26)
        .encode(
            x=alt.X("stations:Q", axis=whole_axis("stations", stations)),
            order="order:Q",
            color=by_category("state:N", _COLORS, title=None, columns=5),
            tooltip=[alt.Tooltip("state:N"), alt.Tooltip("stations:Q")],
        )
        .properties(width=FULL, height=44)
    )
    return chart


def drift(lake: Lake, day: Day) -> list[Block]:
    """Return a table of the newest fields, codes and units that the pipeline does not know."""
    rows = lake.ask(_DRIFT)
    if not rows:
        return [Words("The weather service sent nothing unknown.", "empty")]
    return [
        Table(
            "What the weather service sent that the pipeline had not known; it is kept",
            ("Kind", "Path", "Detail", "Example", "First seen"),
            [
                (
                    text(row["kind"]),
                    text(row["path"]),
                    text(row["detail"]),
                    text(row["example"])[:80],
                    moment(row["first_seen"], day.zone),
                )
                for row in rows
            ],
        )
    ]


def _tests(row: dict[str, Any]) -> str:
    found = {word: row[f"tests_{word}"] for word in ("passed", "warned", "failed")}
    if found["passed"] is None:
        return NONE
    return ", ".join(f"{number} {word}" for word, number in found.items() if number)
