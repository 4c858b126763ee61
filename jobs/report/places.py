"""Maps of the stations: mean temperature, and age of the newest report."""

import math
from pathlib import Path
from typing import Any, Literal

import altair as alt

from jobs.report.blocks import Block, Day, Figure, Words, count, moment
from jobs.report.lake import Lake, Rows
from jobs.report.scales import FRESH_TO_OLD, FULL, temperature

Align = Literal["left", "right", "center"]

STATES = Path(__file__).with_name("us-states.json")

# The ages are those at the end of the day, or at the newest report if the day is not over.
_STATIONS = """
    with latest as (
        select station_id, max(observed_at) as seen from lake.weather.observations
        where observed_at >= $end - interval 30 day and observed_at < $end
        group by station_id
    ),
    held as (
        select least($end, max(observed_at)) as as_of from lake.weather.observations
        where observed_at >= $end - interval 30 day
    )
    select station_id as id, station_name as name, latitude, longitude,
        temperature_mean_c as mean, temperature_min_c as low, temperature_max_c as high, seen,
        dim_stations.local_time_zone as zone, as_of, date_diff('minute', seen, as_of) / 60.0 as age
    from lake.marts.dim_stations
    cross join held
    left join latest using (station_id)
    left join (select * from lake.marts.fct_daily_station_weather where local_date = $date)
        using (station_id)
    where latitude is not null and longitude is not null
    order by station_id
"""
# Stations within this many degrees are shown on a map of their region, not of the country.
_REGION = 12.0
_MARGIN = 0.5
_ASPECT = 0.66
_NAMED = 12
# A label is tried right of its dot, left of it, above and below, on maps of these widths: it is
# left out where it would cover another label or a dot. Sizes are in pixels.
_WIDTHS = (300, 460)
_DOT, _LETTER, _LINE = 9, 6.6, 13
_SIDES = {"right": (12, 0), "left": (-12, 0), "above": (0, -16), "below": (0, 16)}


def section(lake: Lake, day: Day) -> list[Block]:
    """Return both maps."""
    found = lake.ask(_STATIONS, date=day.date, end=day.end)
    rows = [row for row in found if _drawn(row)]
    if not rows:
        return [Words("No station has a known place in the US.", "empty")]
    sides = _sides(rows) if len(rows) <= _NAMED else {}
    data = {"places": [{**_place(row), "side": sides.get(row["id"])} for row in rows]}
    warm = [row for row in rows if row["mean"] is not None]
    fresh = [row for row in rows if row["age"] is not None]
    blocks: list[Block] = [
        _temperature(rows, warm, data)
        if warm
        else Words("No temperature is known for this day.", "empty"),
        _age(rows, fresh, data, day)
        if fresh
        else Words(
            f"No station reported in the 30 days up to {moment(day.end, day.zone)}.", "empty"
        ),
    ]
    silent, outside = len(rows) - len(fresh) if fresh else 0, len(found) - len(rows)
    left_out = [f"{count(silent, 'station')} had no report in the last 30 days."] * bool(silent)
    left_out += [f"Not on the map, but elsewhere: {count(outside, 'station')}."] * bool(outside)
    return [*blocks, *([Words(" ".join(left_out))] if left_out else [])]


def _temperature(rows: Rows, warm: Rows, data: dict[str, Rows]) -> Figure:
    low, high = min(row["mean"] for row in warm), max(row["mean"] for row in warm)
    color = temperature("mean:Q", "°C / °F")
    return Figure(
        "map-temperature",
        "Mean temperature",
        f"Map of {count(len(warm), 'station')} coloured by the day's mean temperature, from"
        f" {low:.1f} to {high:.1f} °C.",
        _map(rows, color, "isValid(datum.mean)", "datum.id + format(datum.mean, ' .0f') + '°'"),
        data,
        size="half",
    )


def _age(rows: Rows, fresh: Rows, data: dict[str, Rows], day: Day) -> Figure:
    oldest, as_of = max(row["age"] for row in fresh), moment(rows[0]["as_of"], day.zone)
    scale = alt.Scale(range=FRESH_TO_OLD, domain=[0, 1, 6, 24], type="linear", clamp=True)
    legend = alt.Legend(title="hours", orient="bottom", gradientLength=220, tickCount=5)
    return Figure(
        "map-age",
        "Age of the newest report",
        f"Map of {count(len(fresh), 'station')} coloured by the age of the newest report at"
        f" {as_of}; the oldest is {oldest:.1f} hours.",
        _map(
            rows, alt.Color("age:Q", scale=scale, legend=legend), "isValid(datum.age)", "datum.id"
        ),
        data,
        f"At {as_of}.",
        size="half",
    )


def _map(rows: Rows, color: alt.Color, known: str, label: str) -> alt.TopLevelMixin:
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
    named = _SIDES if number <= _NAMED else ()
    layers = [outline, points, *(_names(known, label, side) for side in named)]
    return alt.layer(*layers).properties(
        width=FULL, projection=_projection(rows), usermeta={"aspect": _ASPECT}
    )


def _names(known: str, label: str, side: str) -> alt.Chart:
    across, down = _SIDES[side]
    align: Align = "left" if across > 0 else "right" if across < 0 else "center"
    names: alt.Chart = (
        alt.Chart(alt.NamedData("places"))
        .transform_filter(f"{known} && datum.side === '{side}'")
        .transform_calculate(label=label)
        .mark_text(dx=across, dy=down, align=align, baseline="middle", fontSize=11, clip=True)
        .encode(longitude="longitude:Q", latitude="latitude:Q", text="label:N")
    )
    return names


def _sides(rows: Rows) -> dict[str, str]:
    """Return the side of each dot on which its label covers no other label and no dot."""
    length = _LETTER * (max(len(row["id"]) for row in rows) + 4)
    sides: dict[str, str] = {}
    for row in rows:
        for side in _SIDES:
            if not any(
                _covers(rows, row["id"], {**sides, row["id"]: side}, length, width)
                for width in _WIDTHS
            ):
                sides[row["id"]] = side
                break
    return sides


def _covers(rows: Rows, station: str, sides: dict[str, str], length: float, width: int) -> bool:
    """Return whether a station's label lies over a dot or another label."""
    scale = _scale(rows, width, width * _ASPECT)
    dots = {row["id"]: _at(row, scale) for row in rows}
    boxes = {name: _box(*dots[name], side, length) for name, side in sides.items()}
    own = boxes.pop(station)
    taken = [*boxes.values(), *((x - _DOT, y - _DOT, x + _DOT, y + _DOT) for x, y in dots.values())]
    return any(
        own[0] < right and left < own[2] and own[1] < bottom and top < own[3]
        for left, top, right, bottom in taken
    )


def _box(x: float, y: float, side: str, length: float) -> tuple[float, float, float, float]:
    across, down = _SIDES[side]
    left = x + across - (0 if across > 0 else length if across < 0 else length / 2)
    return left, y + down - _LINE / 2, left + length, y + down + _LINE / 2


def _at(row: dict[str, Any], scale: float) -> tuple[float, float]:
    """Return a place on a map in pixels, right of and below longitude and latitude 0."""
    return scale * math.radians(row["longitude"]), -scale * _mercator(row["latitude"])


def _mercator(latitude: float) -> float:
    return math.log(math.tan(math.pi / 4 + math.radians(latitude) / 2))


def _extent(rows: Rows) -> tuple[float, float]:
    """Return the width and height that a map of the stations' region shows, in radians."""
    west, east = (edge(row["longitude"] for row in rows) for edge in (min, max))
    south, north = (edge(row["latitude"] for row in rows) for edge in (min, max))
    across = math.radians(east - west + 2 * _MARGIN)
    return across, _mercator(north + _MARGIN) - _mercator(south - _MARGIN)


def _scale(rows: Rows, width: float, height: float) -> float:
    across, down = _extent(rows)
    return min(width / across, height / down)


def _projection(rows: Rows) -> alt.Projection:
    west, east = (edge(row["longitude"] for row in rows) for edge in (min, max))
    south, north = (edge(row["latitude"] for row in rows) for edge in (min, max))
    middle = {"expr": "[width / 2, height / 2]"}
    if max(east - west, north - south) > _REGION:
        return alt.Projection(type="albersUsa", scale={"expr": "width * 1.25"}, translate=middle)
    across, down = _extent(rows)
    return alt.Projection(
        type="mercator",
        center=[(west + east) / 2, (south + north) / 2],
        scale={"expr": f"min(width / {across:.5f}, height / {down:.5f})"},
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
    kept = {key: value for key, value in row.items() if key not in {"zone", "as_of"}}
    return {
        **kept,
        "seen": moment(row["seen"], row["zone"] or "UTC"),
        **{
            name: None if row[name] is None else round(row[name], digits)
            for name, digits in rounded.items()
        },
    }
