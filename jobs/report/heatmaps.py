"""Heat maps: a calendar of daily highs, and each station's coverage by day."""

import altair as alt

from jobs.report.blocks import Block, Day, Figure, Words, count
from jobs.report.lake import Lake, Rows
from jobs.report.scales import BOTH_DEGREES, COLD_TO_WARM, FULL

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
_COVERAGE = """
    with days as (
        select station_id as id, local_date, coverage_percent as coverage, hours_reported as hours
        from lake.marts.fct_station_coverage where local_date between $first and $date
    ), worst as (
        select id from days group by id
        order by list_contains($stations, id) desc, avg(coverage), id limit $most
    )
    select id, strftime(local_date, '%Y-%m-%d') as date, round(coverage) as coverage, hours,
        (select count(distinct id) from days) as stations
    from days where id in (from worst)
    order by id, date
"""
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
    """Return a heat map of the share of hours that each station reported, by day."""
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
    mean = sum(row["coverage"] for row in rows) / len(rows)
    blocks: list[Block] = [
        Figure(
            "coverage",
            "Hours with a report, % of each day",
            f"Heat map of {count(shown, 'station')} over {_SPAN} days by the share of hours with"
            f" a report; the mean is {mean:.0f} %.",
            _coverage(rows),
            {"coverage": [{k: v for k, v in row.items() if k != "stations"} for row in rows]},
        )
    ]
    if shown < stations:
        text = f"Shown are the stations looked at closer and the worst, {shown} of {stations:,}."
        blocks.append(Words(text))
    return blocks


def _calendar(rows: Rows) -> alt.TopLevelMixin:
    stations = sorted({row["id"] for row in rows})
    choose = alt.param(
        name="calendar_station",
        value=stations[0],
        bind=alt.binding_select(options=stations, name="Station "),
    )
    months = len({row["month"] for row in rows})
    legend = alt.Legend(title="°C / °F", orient="bottom", labelExpr=BOTH_DEGREES, tickCount=5)
    highs = [row["high"] for row in rows]
    scale = alt.Scale(
        range=COLD_TO_WARM, domain=[min(highs), max(*highs, min(highs) + 1)], interpolate="lab"
    )
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
            color=alt.Color("high:Q", scale=scale, legend=legend),
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
    scale = alt.Scale(
        range=["#c8443c", "#eba94a", "#d9d36b", "#2f9e6e"], domain=[0, 60, 95, 100], type="linear"
    )
    chart: alt.TopLevelMixin = (
        alt.Chart(alt.NamedData("coverage"))
        .mark_rect(cornerRadius=2)
        .encode(
            x=alt.X(
                "date:O",
                axis=alt.Axis(
                    title=None,
                    labelAngle=0,
                    labelOverlap="greedy",
                    labelSeparation=6,
                    labelExpr="slice(datum.value, 5)",
                ),
                scale=alt.Scale(padding=0.06),
            ),
            y=alt.Y("id:N", axis=alt.Axis(title=None), scale=alt.Scale(padding=0.06)),
            color=alt.Color(
                "coverage:Q",
                scale=scale,
                legend=alt.Legend(title="% of hours", orient="bottom", gradientLength=200),
            ),
            tooltip=[
                alt.Tooltip("id:N", title="station"),
                alt.Tooltip("date:N", title="day"),
                alt.Tooltip("coverage:Q", title="% of hours"),
                alt.Tooltip("hours:Q", title="hours with a report"),
            ],
        )
        .properties(width=FULL, height=max(26, 480 // max(stations, 18)) * stations)
    )
    return chart
