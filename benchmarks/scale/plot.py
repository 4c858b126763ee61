"""The plot of docs/scale.md: load, commit and list against the number of tables."""

from pathlib import Path

import altair as alt

from benchmarks.scale.section import Section

_SERIES = {
    "load, ms": "load a table",
    "commit, ms": "commit to a table",
    "create, ms": "create a table",
    "last page, ms": "list a page of 1,000 names",
}
_COLORS = ("#4269d0", "#ff725c", "#3ca951", "#9467bd")
_WIDTH, _HEIGHT = 300, 240


def write(tables: Section, file: Path) -> None:
    """Write the plot of the section ``tables`` as SVG; both axes are logarithmic."""
    values = [
        {"store": store, "tables": number, "what": what, "ms": value}
        for column, what in _SERIES.items()
        for store, number, value in zip(
            tables.column("store"), tables.column("tables"), tables.column(column), strict=True
        )
    ]
    counts = sorted({float(number) for number in tables.column("tables") if number})
    x = alt.X(
        "tables:Q",
        title="tables in the catalog",
        scale=alt.Scale(type="log"),
        axis=alt.Axis(values=counts, format="~s", grid=False),
    )
    powers = alt.Axis(values=[10**power for power in range(-2, 6)], format="~")
    y = alt.Y("ms:Q", title="milliseconds", scale=alt.Scale(type="log"), axis=powers)
    color = alt.Color(
        "what:N",
        title=None,
        sort=list(_SERIES.values()),
        scale=alt.Scale(domain=list(_SERIES.values()), range=list(_COLORS)),
        legend=alt.Legend(orient="bottom"),
    )
    lines = (
        alt.Chart(alt.InlineData(values=values))
        .mark_line(point=True)
        .encode(x=x, y=y, color=color)
        .properties(width=_WIDTH, height=_HEIGHT)
        .facet(column=alt.Column("store:N", title=None, sort=["SQLite", "PostgreSQL"]))
        .configure(background="white", font="sans-serif")
    )
    file.parent.mkdir(parents=True, exist_ok=True)
    lines.save(str(file), format="svg")
