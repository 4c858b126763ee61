"""What was warned of on the day: the alerts, and where they were in force."""

from typing import Any
from zoneinfo import ZoneInfo

import altair as alt

from jobs.report.blocks import NONE, Block, Day, Figure, Table, Words, count, moment, text
from jobs.report.lake import Lake, Rows
from jobs.report.scales import FULL, by_category, whole_axis

_MOST = 40
_AREAS = 25
_COLORS = {
    "Extreme": "#a3203f",
    "Severe": "#dd5a2b",
    "Moderate": "#e5a13a",
    "Minor": "#4f9d8a",
    "Unknown": "#8a8f98",
}

_ALERTS = """
    select event, severity, urgency, headline, area_desc, states, status, message_type,
        coalesce(onset, effective, sent) as begins, coalesce(ends, expires) as until,
        count(*) over () as alerts, count(*) over (partition by event, severity, status) as alike
    from lake.weather.alerts
    where coalesce(onset, effective, sent) < $end
        and coalesce(ends, expires, sent) >= $begin
        and coalesce(status, 'Actual') in ('Actual', 'Exercise', 'Test')
        and coalesce(message_type, 'Alert') <> 'Cancel'
    order by coalesce(status, 'Actual') <> 'Actual',
        list_position(['Extreme', 'Severe', 'Moderate', 'Minor'], severity) nulls last,
        begins, alert_id
    limit 40
"""
_BY_AREA = """
    select area, event, alerts, severity, round(active_hours, 1) as hours,
        sum(alerts) over (partition by area) as all_alerts
    from lake.marts.fct_alerts_by_area
    where day_utc = $date and area_kind = $kind
    order by all_alerts desc, area, event
"""


def in_force(lake: Lake, day: Day) -> Rows:
    """Return the alerts in force at any time of the day: actual ones and severe ones first."""
    return lake.ask(_ALERTS, begin=day.begin, end=day.end)


def section(lake: Lake, day: Day) -> list[Block]:
    """Return a table of the alerts in force at any time of the day."""
    rows = in_force(lake, day)
    if not rows:
        return [Words("No alert was in force on this day.", "empty")]
    whole = rows[0]["alerts"]
    caption = count(whole, "alert") + " in force on the day, the most severe first"
    return [
        Table(
            caption if whole <= _MOST else f"{caption}; {_MOST} are shown",
            ("Event", "Severity", "From", "Until", "Where", "Headline"),
            [_row(row, day) for row in rows],
        )
    ]


def by_area(lake: Lake, day: Day) -> list[Block]:
    """Return a chart of the day's alerts by state, or by zone if only one state has any."""
    states, zones = (lake.ask(_BY_AREA, date=day.date, kind=kind) for kind in ("state", "zone"))
    rows = states if len({row["area"] for row in states}) > 1 or not zones else zones
    if not rows:
        return [Words("No alert counts for any area on this day; test messages never do.", "empty")]
    areas = list(dict.fromkeys(row["area"] for row in rows))
    shown = [row for row in rows if row["area"] in areas[:_AREAS]]
    blocks: list[Block] = [
        Figure(
            "alerts-by-area",
            "Alerts of the UTC day by area",
            f"Bars of the number of alerts in {count(len(areas), 'area')}; most are in {areas[0]}.",
            _bars(areas[:_AREAS], max(row["all_alerts"] for row in rows)),
            {"areas": shown},
        )
    ]
    if len(areas) > _AREAS:
        blocks.append(Words(f"The {_AREAS} areas with most alerts, of {len(areas):,}."))
    return blocks


def event(row: dict[str, Any]) -> str:
    """Return what an alert warns of, marked unless it is meant."""
    actual = row["status"] in {None, "Actual"}
    return text(row["event"]) + ("" if actual else f" ({row['status'].lower()})")


def where(row: dict[str, Any], most: int) -> str:
    """Return the area of an alert in so many characters."""
    area = row["area_desc"] or ", ".join(row["states"] or []) or NONE
    return area if len(area) <= most else area[: most - 1] + "…"


def span(row: dict[str, Any], day: Day) -> str:
    """Return the local times of an alert, with the date of those on other days."""
    zone = _zone(row, day)
    begins, until = (
        time and time.astimezone(ZoneInfo(zone)) for time in (row["begins"], row["until"])
    )
    words = [
        NONE if time is None else f"{time:%H:%M}" if time.date() == day.date else f"{time:%a %H:%M}"
        for time in (begins, until)
    ]
    return f"{words[0]} to {words[1]} {begins or until or day.end:%Z}"


def _zone(row: dict[str, Any], day: Day) -> str:
    zones = (day.state_zones.get(state) for state in row["states"] or [])
    return next(filter(None, zones), day.zone)


def _row(row: dict[str, Any], day: Day) -> tuple[str, ...]:
    return (
        event(row),
        text(row["severity"]),
        moment(row["begins"], _zone(row, day)),
        moment(row["until"], _zone(row, day)),
        where(row, 160),
        text(row["headline"]),
    )


def _bars(areas: list[str], most: int) -> alt.TopLevelMixin:
    chart: alt.TopLevelMixin = (
        alt.Chart(alt.NamedData("areas"))
        .mark_bar(cornerRadiusEnd=3)
        .encode(
            x=alt.X("sum(alerts):Q", axis=whole_axis("alerts", most)),
            y=alt.Y("area:N", sort=areas, axis=alt.Axis(title=None)),
            color=by_category("severity:N", _COLORS, title="Severity", columns=3),
            tooltip=[
                alt.Tooltip("area:N"),
                alt.Tooltip("event:N"),
                alt.Tooltip("severity:N"),
                alt.Tooltip("alerts:Q"),
                alt.Tooltip("hours:Q", title="hours in force"),
            ],
        )
        .properties(width=FULL, height=26 * len(areas))
    )
    return chart
