"""Colours and axes that several charts share; the page's style sheet adapts to light and dark."""

from collections.abc import Mapping

import altair as alt

COLD_TO_WARM = ["#2c5fa8", "#5b9bd5", "#9fd0e8", "#fbe3a2", "#f9b25f", "#e8683c", "#b3202c"]
FRESH_TO_OLD = ["#2f9e6e", "#b8c94a", "#f2a93b", "#d9503f"]
RAIN = "#3f83e0"
WARM = "#e2574c"
MOIST = "#2a9d8f"
WIND = "#5b7fb5"
GUST = "#b79a3f"
PRESSURE = "#9467bd"

# The page replaces this width by that of the chart's container.
FULL = "container"

BOTH_DEGREES = "format(datum.value, '.0f') + '° / ' + format(datum.value * 1.8 + 32, '.0f') + '°'"
BOTH_SPEEDS = "format(datum.value, '.0f') + ' / ' + format(datum.value / 0.44704, '.0f')"
BOTH_DEPTHS = "format(datum.value, '.1~f') + ' / ' + format(datum.value / 25.4, '.2~f')"
LOCAL_HOURS = (
    "utchours(datum.value) === 0 ? utcFormat(datum.value, '%a %-d %b')"
    " : utcFormat(datum.value, '%H:%M')"
)
_EXTENT = 66


def left_axis(label: str = "format(datum.value, ',')", title: str | None = None) -> alt.Axis:
    """Return a vertical axis of fixed width, so that charts below one another line up."""
    return alt.Axis(title=title, labelExpr=label, minExtent=_EXTENT, maxExtent=_EXTENT, tickCount=5)


def local_time() -> alt.X:
    """Return a horizontal axis of a station's local time, whatever the reader's time zone."""
    axis = alt.Axis(title=None, labelExpr=LOCAL_HOURS, tickCount=6, labelOverlap=True)
    return alt.X("t:T", scale=alt.Scale(type="utc"), axis=axis)


def by_category(
    field: str, colors: Mapping[str, str], *, title: str | None, columns: int
) -> alt.Color:
    """Return a colour encoding for named categories, with the legend below the chart."""
    return alt.Color(
        field,
        scale=alt.Scale(domain=list(colors), range=list(colors.values())),
        legend=alt.Legend(title=title, orient="bottom", columns=columns),
    )


def temperature(field: str, title: str) -> alt.Color:
    """Return a colour encoding of degrees Celsius: a colour means the same on every page."""
    degrees = list(range(-20, 41, 10))
    scale = alt.Scale(range=COLD_TO_WARM, domain=degrees, interpolate="lab", clamp=True)
    legend = alt.Legend(
        title=title,
        orient="bottom",
        labelExpr=BOTH_DEGREES,
        gradientLength=250,
        values=degrees[::2],
    )
    return alt.Color(field, scale=scale, legend=legend)


def whole_axis(title: str, most: float) -> alt.Axis:
    """Return an axis of counts, whose ticks are whole numbers."""
    step = max(1, round(most / 5))
    return alt.Axis(title=title, values=list(range(0, int(most) + 1, step)), format="d")
