"""Maps of the stations: mean temperature, and age of the newest report."""

from pathlib import Path
from typing import Any

import altair as alt

from jobs.report.blocks import Block, Day, Figure, Words, count, moment
from jobs.report.lake import Lake, Rows
from jobs.report.scales import BOTH_DEGREES, COLD_TO_WARM, FRESH_TO_OLD, FULL

STATES = Path(__file__).with_name("us-states.json")

# The newest report is that of the end of the UTC day.
_STATIONS = """
    with latest as (
        select station_id, max(observed_at) as seen from lake.weather.observations
        where observed_at >= $end - interval 30 day and observed_at < $end
        group by station_id
    )
    select station_id as id, station_name as name, latitude, longitude,
        temperature_mean_c as mean, temperature_min_c as low, temperature_max_c as high, seen,
        date_diff('minute', seen, $end) / 60.0 as age
    from lake.marts.dim_stations
    left join latest using (station_id)
    left join (select * from lake.marts.fct_daily_station_weather where local_date = $date)
        using (station_id)
    where latitude is not null and longitude is not null
    order by station_id
"""
# Stations within this many degrees are shown on a map of their region, not of the country.
_REGION = 12.0
_MARGIN = 1.0
_NAMED = 12


def section(lake: Lake, day: Day) -> list[Block]:
    """Return both maps."""
    found = lake.ask(_STATIONS, date=day.date, end=day.end)
    rows = [row for row in found if _drawn(row)]
    if not rows:
        return [Words("No station has a known place in the US.", "empty")]
    data = {"places": [_place(row) for row in rows]}
    warm = [row for row in rows if row["mean"] is not None]
    fresh = [row for row in rows if row["age"] is not None]
    blocks: list[Block] = [
        _temperature(rows, warm, data)
        if warm
        else Words("No temperature is known for this day.", "empty"),
        _age(rows, fresh, data, day)
        if fresh
        else Words(f"No station reported in the 30 days up to {moment(day.end)}.", "empty"),
    ]
    silent, outside = len(rows) - len(fresh) if fresh else 0, len(found) - len(rows)
    left_out = [f"{count(silent, 'station')} had no report in the last 30 days."] * bool(silent)
    left_out += [f"Not on the map, but elsewhere: {count(outside, 'station')}."] * bool(outside)
    return [*blocks, *([Words(" ".join(left_out))] if left_out else [])]


def _temperature(rows: Rows, warm: Rows, data: dict[str, Rows]) -> Figure:
    low, high = min(row["mean"] for row in warm), max(row["mean"] for row in warm)
    scale = alt.Scale(range=COLD_TO_WARM, domain=[low, max(high, low + 1)], interpolate="lab")
    legend = _legend("Mean temperature, °C / °F", BOTH_DEGREES)
    return Figure(
        "map-temperature",
        "Mean temperature",
        f"Map of {count(len(warm), 'station')} coloured by the day's mean temperature, from"
        f" {low:.1f} to {high:.1f} °C.",
        _map(rows, alt.Color("mean:Q", scale=scale, legend=legend), "isValid(datum.mean)"),
        data,
        size="half",
    )


def _age(rows: Rows, fresh: Rows, data: dict[str, Rows], day: Day) -> Figure:
    oldest = max(row["age"] for row in fresh)
    scale = alt.Scale(range=FRESH_TO_OLD, domain=[0, 1, 6, 24], type="linear", clamp=True)
    legend = _legend("Hours since the newest report", "datum.value")
    return Figure(
        "map-age",
        "Age of the newest report",
        f"Map of {count(len(fresh), 'station')} coloured by the age of the newest report at"
        f" {moment(day.end)}; the oldest is {oldest:.1f} hours.",
        _map(rows, alt.Color("age:Q", scale=scale, legend=legend), "isValid(datum.age)"),
        data,
        f"As of {moment(day.end)}, the end of the UTC day.",
        size="half",
    )


def _legend(title: str, labels: str) -> alt.Legend:
    return alt.Legend(
        title=title, orient="bottom", labelExpr=labels, gradientLength=220, tickCount=5
    )


def _map(rows: Rows, color: alt.Color, known: str) -> alt.TopLevelMixin:
    outline = (
        alt.Chart(
            alt.NamedData("states", format=alt.TopoDataFormat(type="topojson", feature="states"))
        )
        .mark_geoshape(clip=True)
        .encode(tooltip=alt.value(None))
    )
    number = len(rows)
    size = 220 if number <= 20 else 60 if number <= 300 else 22  # noqa: PLR2004 - looks
    points = (
        alt.Chart(alt.NamedData("places"))
        .transform_filter(known)
        .mark_circle(size=size, opacity=0.9, stroke="#0006", strokeWidth=0.5, clip=True)
        .encode(
            longitude="longitude:Q",
            latitude="latitude:Q",
            color=color,
            tooltip=[
                alt.Tooltip("id:N", title="station"),
                alt.Tooltip("name:N"),
                alt.Tooltip("mean:Q", title="mean °C", format=".1f"),
                alt.Tooltip("low:Q", title="lowest °C", format=".1f"),
                alt.Tooltip("high:Q", title="highest °C", format=".1f"),
                alt.Tooltip("seen:N", title="newest report"),
                alt.Tooltip("age:Q", title="age, hours", format=".1f"),
            ],
        )
    )
    layers = [outline, points, *([_names(known)] if len(rows) <= _NAMED else [])]
    return alt.layer(*layers).properties(
        width=FULL, projection=_projection(rows), usermeta={"aspect": 0.66}
    )


def _names(known: str) -> alt.Chart:
    names: alt.Chart = (
        alt.Chart(alt.NamedData("places"))
        .transform_filter(known)
        .mark_text(dx=12, align="left", baseline="middle", fontSize=11, clip=True)
        .encode(longitude="longitude:Q", latitude="latitude:Q", text="id:N")
    )
    return names


def _projection(rows: Rows) -> alt.Projection:
    west, east = (edge(row["longitude"] for row in rows) for edge in (min, max))
    south, north = (edge(row["latitude"] for row in rows) for edge in (min, max))
    middle = {"expr": "[width / 2, height / 2]"}
    if max(east - west, north - south) > _REGION:
        return alt.Projection(type="albersUsa", scale={"expr": "width * 1.25"}, translate=middle)
    degrees = max(east - west + 2 * _MARGIN, 2 * (north - south + 2 * _MARGIN))
    return alt.Projection(
        type="mercator",
        center=[(west + east) / 2, (south + north) / 2],
        scale={"expr": f"width * {57.3 / degrees:.3f}"},
        translate=middle,
    )


def _drawn(row: dict[str, Any]) -> bool:
    """Return whether the map of the US, with Alaska and Hawaii but no islands, shows a place."""
    latitude, longitude = row["latitude"], row["longitude"]
    mainland = 24 <= latitude <= 50 and -125.5 <= longitude <= -66  # noqa: PLR2004 - a box
    alaska = 51 <= latitude <= 72 and (longitude <= -129 or longitude >= 172)  # noqa: PLR2004
    hawaii = 18 <= latitude <= 23 and -161 <= longitude <= -154  # noqa: PLR2004
    return bool(mainland or alaska or hawaii)


def _place(row: dict[str, Any]) -> dict[str, Any]:
    rounded = {"latitude": 3, "longitude": 3, "mean": 1, "low": 1, "high": 1, "age": 1}
    return {
        **row,
        "seen": moment(row["seen"]),
        **{
            name: None if row[name] is None else round(row[name], digits)
            for name, digits in rounded.items()
        },
    }
