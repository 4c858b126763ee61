"""A meteogram per station: three days of temperature, wind, precipitation and pressure."""

from typing import Any

import altair as alt

from jobs.report.blocks import Block, Day, Figure, Words
from jobs.report.lake import Lake, Rows
from jobs.report.scales import (
    BOTH_DEGREES,
    BOTH_DEPTHS,
    BOTH_SPEEDS,
    FULL,
    GUST,
    MOIST,
    PRESSURE,
    RAIN,
    WARM,
    WIND,
    left_axis,
    local_time,
)

# The day and the two before it, in the station's local time.
_HOURS = """
    select hours.station_id as id, station_name as name, local_time_zone as zone,
        epoch_ms(timezone(local_time_zone, hour_utc)) as t,
        strftime(timezone(local_time_zone, hour_utc), '%a %-d %b %H:%M') as clock,
        round(temperature_c, 1) as temperature, round(dewpoint_c, 1) as dewpoint,
        round(wind_speed_mps, 1) as wind, round(wind_gust_mps, 1) as gust,
        round(wind_direction_deg) as direction, round(precipitation_mm, 2) as rain,
        round(sea_level_pressure_pa / 100, 1) as pressure
    from lake.marts.fct_observations_hourly as hours
    join lake.marts.dim_stations using (station_id)
    where list_contains($stations, hours.station_id)
        and hour_utc >= $first::timestamptz - interval 1 day
        and hour_utc < $date::timestamptz + interval 3 day
        and timezone(local_time_zone, hour_utc)::date between $first and $date
    order by id, hour_utc
"""
_TOOLTIP = [
    alt.Tooltip("clock:N", title="local time"),
    alt.Tooltip("temperature:Q", title="temperature °C"),
    alt.Tooltip("fahrenheit:Q", title="temperature °F"),
    alt.Tooltip("dewpoint:Q", title="dew point °C"),
    alt.Tooltip("wind:Q", title="wind m/s"),
    alt.Tooltip("gust:Q", title="gust m/s"),
    alt.Tooltip("direction:Q", title="wind from °"),
    alt.Tooltip("rain:Q", title="rain mm"),
    alt.Tooltip("pressure:Q", title="pressure hPa"),
]


def section(lake: Lake, day: Day) -> list[Block]:
    """Return a meteogram of each chosen station."""
    if not day.stations:
        return [Words("No station reported on this day.", "empty")]
    rows = lake.ask(_HOURS, stations=list(day.stations), first=day.before(2), date=day.date)
    if not rows:
        return [Words("The chosen stations did not report in these three days.", "empty")]
    blocks: list[Block] = [
        Words("Three days by each station's own clock; the last is the day of this report.")
    ]
    for station in day.stations:
        own = [row for row in rows if row["id"] == station]
        nothing = Words(f"{station}: no report in these three days.", "empty")
        blocks.append(_meteogram(station, own) if own else nothing)
    return blocks


def _meteogram(station: str, rows: Rows) -> Figure | Words:
    name, zone = rows[0]["name"] or "name unknown", rows[0]["zone"]
    temperatures = [row["temperature"] for row in rows if row["temperature"] is not None]
    span = (
        f"temperature from {min(temperatures):.1f} to {max(temperatures):.1f} °C"
        if temperatures
        else "no temperature known"
    )
    source = f"hours-{station}"
    panels: list[Any] = [
        make(source) for columns, make in _PANELS.values() if _known(rows, columns)
    ]
    if not panels:
        return Words(f"{station}: reports, but no value in them, in these three days.", "empty")
    chart = alt.vconcat(*panels, spacing=14).resolve_scale(x="shared")
    return Figure(
        f"meteogram-{station}",
        f"{station} · {name}",
        f"Meteogram of {station}, {name}: {span} in {len(rows)} hours.",
        chart,
        {source: [_hour(row) for row in rows]},
        f"Hours of {zone}. {_unknown(rows)}".strip(),
    )


def _known(rows: Rows, columns: tuple[str, ...]) -> bool:
    """Return whether the columns have anything to draw; rain must be above 0."""
    values = {row[column] for row in rows for column in columns}
    return bool(values - ({None, 0} if columns == ("rain",) else {None}))


def _unknown(rows: Rows) -> str:
    missing = [
        words
        for words, (columns, _) in _PANELS.items()
        if all(row[column] is None for row in rows for column in columns)
    ]
    dry = {row["rain"] for row in rows} - {None} == {0}
    windy = any(row["direction"] is not None for row in rows)
    return " ".join(
        [
            *(["Arrows point where the wind blows to."] if windy else []),
            *(["No precipitation was measured."] if dry else []),
            *([f"Not reported: {', '.join(missing)}."] if missing else []),
        ]
    )


def _hour(row: dict[str, Any]) -> dict[str, Any]:
    temperature = row["temperature"]
    fahrenheit = None if temperature is None else round(temperature * 1.8 + 32, 1)
    kept = {key: value for key, value in row.items() if key not in {"id", "name", "zone"}}
    return {**kept, "fahrenheit": fahrenheit}


def _chart(source: str) -> alt.Chart:
    return alt.Chart(alt.NamedData(source))


def _panel(
    *layers: alt.Chart, source: str, title: str, height: int, lift: int = 4
) -> alt.TopLevelMixin:
    # An invisible rule per hour shows the tooltip wherever in the panel the pointer is.
    hover = alt.selection_point(
        name=f"hour_{title.partition(' ')[0].lower()}",
        on="pointerover",
        nearest=True,
        fields=["t"],
        empty=False,
        clear="pointerout",
    )
    rule = (
        _chart(source)
        .mark_rule(strokeDash=[2, 2])
        .encode(
            x=local_time(),
            opacity=alt.condition(hover, alt.value(0.7), alt.value(0)),
            tooltip=_TOOLTIP,
        )
        .add_params(hover)
    )
    heading = alt.Title(title, anchor="start", frame="bounds", offset=lift)
    return alt.layer(*layers, rule).properties(width=FULL, height=height, title=heading)


def _temperature(source: str) -> alt.TopLevelMixin:
    axis = left_axis(BOTH_DEGREES)
    scale = alt.Scale(zero=False, nice=True)
    lines = [
        _chart(source)
        .mark_line(color=color, strokeWidth=2.2, strokeDash=dash)
        .encode(x=local_time(), y=alt.Y(f"{column}:Q", axis=axis, scale=scale))
        for column, color, dash in (("dewpoint", MOIST, [5, 3]), ("temperature", WARM, [1, 0]))
    ]
    title = "Temperature, dew point (dashed), °C / °F"
    return _panel(*lines, source=source, title=title, height=130)


def _wind(source: str) -> alt.TopLevelMixin:
    axis = left_axis(BOTH_SPEEDS)
    area = (
        _chart(source)
        .mark_area(color=WIND, opacity=0.35, line={"color": WIND})
        .encode(x=local_time(), y=alt.Y("wind:Q", axis=axis))
    )
    gusts = (
        _chart(source)
        .mark_tick(color=GUST, thickness=3, size=7, orient="horizontal")
        .encode(x=local_time(), y=alt.Y("gust:Q", axis=axis))
    )
    arrows = (
        _chart(source)
        .transform_filter("utchours(datum.t) % 6 === 3 && isValid(datum.direction)")
        .transform_calculate(to="datum.direction + 180")
        .mark_point(shape="arrow", size=240, filled=True, opacity=1, color=WIND)
        .encode(
            x=local_time(),
            y=alt.value(-9),
            angle=alt.Angle("to:Q", scale=None),
        )
    )
    title = "Wind, gusts (ticks), m/s / mph"
    return _panel(area, gusts, arrows, source=source, title=title, height=90, lift=20)


def _rain(source: str) -> alt.TopLevelMixin:
    bars = (
        _chart(source)
        .mark_bar(color=RAIN, binSpacing=0, orient="vertical")
        .transform_calculate(until="datum.t + 3600000")
        .encode(
            x=local_time(),
            x2="until:T",
            y=alt.Y("rain:Q", axis=left_axis(BOTH_DEPTHS)),
            y2=alt.datum(0),
        )
    )
    return _panel(bars, source=source, title="Precipitation of the hour, mm / in", height=70)


def _pressure(source: str) -> alt.TopLevelMixin:
    line = (
        _chart(source)
        .mark_line(color=PRESSURE, strokeWidth=2, point=alt.OverlayMarkDef(size=9, color=PRESSURE))
        .encode(
            x=local_time(),
            y=alt.Y(
                "pressure:Q",
                axis=left_axis("format(datum.value, '.0f')"),
                scale=alt.Scale(zero=False),
            ),
        )
    )
    return _panel(line, source=source, title="Sea level pressure, hPa", height=70)


# By what is measured: the columns that show it, and the function that draws them.
_PANELS = {
    "temperature": (("temperature", "dewpoint"), _temperature),
    "wind": (("wind",), _wind),
    "precipitation": (("rain",), _rain),
    "pressure": (("pressure",), _pressure),
}
