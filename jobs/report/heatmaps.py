"""Heat maps: a calendar of daily highs, and each station's coverage by day."""

from typing import Any

import altair as alt

from jobs.report.blocks import Block, Day, Figure, Words, count
from jobs.report.lake import Lake, Rows
from jobs.report.requested import REQUESTED
from jobs.report.scales import FULL, by_category, temperature

_DAYS = """
    select station_id as id, strftime(local_date, '%Y-%m') as month, day(local_date) as day,
        strftime(local_date, '%a %-d %b %Y') as date, round(temperature_max_c, 1) as high,
        round(temperature_mean_c, 1) as mean, round(anomaly, 1) as anomaly
    from lake.marts.fct_daily_station_weather
    left join (
        select station_id, local_date, temperature_mean_anomaly_c as anomaly
        from lake.marts.fct_daily_anomalies
    ) using (station_id, local_date)
    where list_contains($stations, station_id) and temperature_max_c is not null
        and local_date between date_trunc('month', $date::date) - interval 11 month and $date
    order by id, local_date
"""
_COVERAGE = f"""
    with {REQUESTED},
    days as (
        select station_id as id, coverage.local_date, hours_reported as hours, requested,
            100.0 * least(hours_reported, requested) / requested as coverage
        from lake.marts.fct_station_coverage as coverage
        join lake.marts.dim_stations using (station_id)
        join requested
            on zone = local_time_zone and requested.local_date = coverage.local_date
        where coverage.local_date between $first and $date
    ),
    worst as (
        select id from days group by id
        order by list_contains($stations, id) desc, avg(coverage), id limit $most
    ),
    shown as (
        select
            id,
            unnest(generate_series($first::date, $date::date, interval 1 day))::date as local_date
        from worst
    )
    select id, strftime(local_date, '%Y-%m-%d') as date, coverage,
        hours, requested, (select count(distinct id) from days) as stations
    from shown left join days using (id, local_date)
    order by id, date
"""  # noqa: S608 - our own
# A class for each share of the requested hours that a station reported, down to its lower bound.
_CLASSES = {"all": 100, "90 % or more": 90, "half or more": 50, "less than half": 0}
_NOT_REQUESTED = "not requested"
_COLORS = {
    "all": "#2f9e6e",
    "90 % or more": "#b8c94a",
    "half or more": "#f2a93b",
    "less than half": "#d9503f",
    _NOT_REQUESTED: "#9aa5b433",
}
_SPAN = 30
_MOST = 40


def calendar(lake: Lake, day: Day) -> list[Block]:
    """Return a calendar of twelve months of daily highs, one station at a time."""
    rows = lake.ask(_DAYS, stations=list(day.stations), date=day.date)
    if not rows:
        return [Words("No day of these stations is known.", "empty")]
    days = {row["date"] for row in rows}
    figure = Figure(
        "calendar",
        "Highest temperature of each day",
        f"Calendar of the highest temperature of {count(len(days), 'day')}, months down and days"
        f" across, from {min(row['high'] for row in rows):.1f} to"
        f" {max(row['high'] for row in rows):.1f} °C.",
        _calendar(rows),
        {"calendar": rows},
        "The twelve months that end with the day of this report. Days without a report are left"
        " out. Normals and anomalies are the station's own.",
    )
    return [figure]


def coverage(lake: Lake, day: Day) -> list[Block]:
    """Return a heat map of the share of requested hours that each station reported, by day."""
    rows = lake.ask(
        _COVERAGE,
        stations=list(day.stations),
        first=day.before(_SPAN - 1),
        date=day.date,
        most=_MOST,
    )
    if not rows:
        return [Words("No station reported in these days.", "empty")]
    stations, shown = rows[0]["stations"], len({row["id"] for row in rows})
    known = [row["coverage"] for row in rows if row["coverage"] is not None]
    mean = sum(known) / len(known)
    blocks: list[Block] = [
        Figure(
            "coverage",
            "Share of the requested hours with a report",
            f"Heat map of {count(shown, 'station')} over {_SPAN} days by the share of"
            f" requested hours with a report; the mean is {mean:.0f} %.",
            _coverage(rows),
            {"coverage": [_cell(row) for row in rows]},
            "Hours count as requested if any station reported in them, or if they lie in a gap of"
            " less than six hours.",
        )
    ]
    if shown < stations:
        text = f"Shown are the stations looked at closer and the worst, {shown} of {stations:,}."
        blocks.append(Words(text))
    return blocks


def _cell(row: dict[str, Any]) -> dict[str, Any]:
    """Return a cell of the coverage with its class, which the colours are of."""
    share = row["coverage"]
    reached = [name for name, least in _CLASSES.items() if share is not None and share >= least]
    kept = {key: row[key] for key in ("id", "date", "hours", "requested")}
    return {**kept, "class": reached[0] if reached else _NOT_REQUESTED}


def _calendar(rows: Rows) -> alt.TopLevelMixin:
    stations = sorted({row["id"] for row in rows})
    choose = alt.param(
        name="calendar_station",
        value=stations[0],
        bind=alt.binding_select(options=stations, name="Station "),
    )
    months = len({row["month"] for row in rows})
    chart: alt.TopLevelMixin = (
        alt.Chart(alt.NamedData("calendar"))
        .transform_filter("datum.id === calendar_station")
        .mark_rect(cornerRadius=2)
        .encode(
            x=alt.X(
                "day:O",
                axis=alt.Axis(title="day of the month", labelAngle=0, labelOverlap=True),
                scale=alt.Scale(domain=list(range(1, 32)), padding=0.06),
            ),
            y=alt.Y("month:O", axis=alt.Axis(title=None), scale=alt.Scale(padding=0.06)),
            color=temperature("high:Q", "°C / °F"),
            tooltip=[
                alt.Tooltip("date:N", title="day"),
                alt.Tooltip("high:Q", title="highest °C"),
                alt.Tooltip("mean:Q", title="mean °C"),
                alt.Tooltip("anomaly:Q", title="mean less its normal °C"),
            ],
        )
        .properties(width=FULL, height=24 * months)
        .add_params(choose)
    )
    return chart


def _coverage(rows: Rows) -> alt.TopLevelMixin:
    stations = len({row["id"] for row in rows})
    chart: alt.TopLevelMixin = (
        alt.Chart(alt.NamedData("coverage"))
        .mark_rect(cornerRadius=2)
        .encode(
            x=alt.X(
                "date:O",
                axis=alt.Axis(
                    title=None,
                    labelAngle=0,
                    labelOverlap="parity",
                    labelSeparation=6,
                    labelExpr="timeFormat(timeParse(datum.value, '%Y-%m-%d'), '%-d %b')",
                ),
                scale=alt.Scale(padding=0.06),
            ),
            y=alt.Y("id:N", axis=alt.Axis(title=None), scale=alt.Scale(padding=0.06)),
            color=by_category("class:N", _COLORS, title=None, columns=5),
            tooltip=[
                alt.Tooltip("id:N", title="station"),
                alt.Tooltip("date:N", title="day"),
                alt.Tooltip("hours:Q", title="hours with a report"),
                alt.Tooltip("requested:Q", title="hours requested"),
            ],
        )
        .properties(width=FULL, height=max(26, 480 // max(stations, 18)) * stations)
    )
    return chart
