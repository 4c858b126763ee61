"""Wind roses: frequency of wind directions and speeds."""

import math

import altair as alt

from jobs.report.blocks import NONE, Block, Day, Figure, Words, percent
from jobs.report.lake import Lake, Rows
from jobs.report.scales import FULL

_SPAN = 30
_TURN = 2 * math.pi
_SECTORS = 16
# Upper bounds in m/s; a class above the last.
_CLASSES = (2.0, 4.0, 6.0, 8.0, 11.0)
_COLORS = ["#bcd3ea", "#8cb4dc", "#5b8fc7", "#3a6aa8", "#7a4fa0", "#c2417c"]
_NAMES = "N NNE NE ENE E ESE SE SSE S SSW SW WSW W WNW NW NNW".split()  # noqa: SIM905 - a compass

_WIND = """
    with hours as (
        select station_id as id, wind_speed_mps as speed, wind_direction_deg as direction
        from lake.marts.fct_observations_hourly
        where list_contains($stations, station_id) and wind_speed_mps is not null
            and hour_utc >= $end - interval 30 day and hour_utc < $end
    )
    select id, (round(direction / 22.5)::int) % 16 as sector,
        {speed_class} as class,
        count(*) as hours, sum(count(*)) over (partition by id) as all_hours
    from hours group by id, sector, class
    order by id, sector, class
"""
_SQL = _WIND.format(speed_class=" + ".join(f"(speed >= {bound})::int" for bound in _CLASSES))


def section(lake: Lake, day: Day) -> list[Block]:
    """Return a wind rose of each chosen station."""
    found = lake.ask(_SQL, stations=list(day.stations), end=day.end)
    blown = [row for row in found if row["sector"] is not None]
    if not blown:
        return [Words("No wind is known in the last 30 days.", "empty")]
    petals = _petals(blown)
    stations = sorted({row["id"] for row in blown})
    return [
        Words(
            f"The {_SPAN} days up to the end of the day. Each petal is the share of the"
            " station's hours in which the wind came from there."
        ),
        *(_figure(station, found, petals) for station in stations),
    ]


def _figure(station: str, found: Rows, petals: Rows) -> Figure:
    own = [petal for petal in petals if petal["id"] == station]
    edge, step = _rings(max(petal["outer"] for petal in own))
    rows = [row for row in found if row["id"] == station]
    still = sum(row["hours"] for row in rows if row["sector"] is None)
    most = max(own, key=lambda petal: petal["outer"])["direction"]
    return Figure(
        f"wind-{station}",
        station,
        f"Wind rose of {station} over {_SPAN} days, by sixteen directions and six classes of"
        f" speed: most often from {most}.",
        _rose(f"wind-{station}", edge, step, _quietest(own)),
        {f"wind-{station}": [{k: v for k, v in p.items() if k != "id"} for p in own]},
        f"Most often from {most}. Calm or of no one direction:"
        f" {percent(100 * still / rows[0]['all_hours'])} of {rows[0]['all_hours']:,.0f} hours.",
        size="third",
    )


def _quietest(petals: Rows) -> float:
    """Return the direction in degrees that the shortest petal has: room for labels."""
    reach = dict.fromkeys(_NAMES, 0.0)
    for petal in petals:
        reach[petal["direction"]] = max(reach[petal["direction"]], petal["outer"])
    # The four main directions have labels of their own.
    free = [name for name in _NAMES if len(name) > 1]
    return _NAMES.index(min(free, key=lambda name: reach[name])) * 360 / _SECTORS


def _rings(furthest: float) -> tuple[int, int]:
    """Return the outermost ring and the distance between rings, in percent."""
    steps = (1, 2, 5, 10, 20, 25)
    step = next((step for step in steps if furthest / step <= 4), 50)  # noqa: PLR2004 - four rings
    return step * -int(-furthest // step), step


def _petals(rows: Rows) -> Rows:
    """Return the petals, speed classes stacked outwards, in percent of the station's hours."""
    petals: Rows = []
    reached: dict[tuple[str, int], float] = {}
    half = 180 / _SECTORS
    for row in rows:
        key = row["id"], row["sector"]
        share = 100 * row["hours"] / row["all_hours"]
        inner = reached.get(key, 0.0)
        reached[key] = inner + share
        middle = row["sector"] * 360 / _SECTORS
        petals.append(
            {
                "id": row["id"],
                "from": middle - half * 0.88,
                "to": middle + half * 0.88,
                "inner": round(inner, 3),
                "outer": round(inner + share, 3),
                "class": row["class"],
                "speed": _words(row["class"]),
                "direction": _NAMES[row["sector"]],
                "share": round(share, 1),
            }
        )
    return petals


def _words(number: int) -> str:
    bounds = (0.0, *_CLASSES)
    low = bounds[number]
    if number == len(_CLASSES):
        return f"over {low:.0f} m/s ({low / 0.44704:.0f} mph)"
    high = bounds[number + 1]
    metric, imperial = (f"{low / unit:.0f}{NONE}{high / unit:.0f}" for unit in (1, 0.44704))
    return f"{metric} m/s ({imperial} mph)"


def _rose(source: str, edge: int, step: int, labels_at: float) -> alt.TopLevelMixin:
    rings = [
        {"ring": ring, "label": f"{ring} %", "at": labels_at}
        for ring in range(step, edge + 1, step)
    ]
    compass = [{"ring": edge, "label": name, "at": 90 * at} for at, name in enumerate("NESW")]
    circles = (
        alt.Chart(alt.InlineData(rings))
        .mark_arc(fill=None, strokeWidth=1, theta=0, theta2=_TURN, tooltip=None, stroke="#8886")
        .encode(radius=_out("ring", edge), radius2="ring:Q")
    )
    layers = [
        circles,
        _petal_chart(source, edge),
        _texts(rings, edge).mark_text(fontSize=10),
        _texts(compass, edge).mark_text(fontSize=13, fontWeight="bold", radiusOffset=12),
    ]
    return alt.layer(*layers).properties(width=FULL, usermeta={"aspect": 0.95})


def _petal_chart(source: str, edge: int) -> alt.Chart:
    classes = [_words(number) for number in range(len(_COLORS))]
    color = alt.Color(
        "speed:N",
        sort=classes,
        scale=alt.Scale(domain=classes, range=_COLORS),
        legend=alt.Legend(title=None, orient="bottom", columns=2),
    )
    tooltip = [
        alt.Tooltip("direction:N", title="from"),
        alt.Tooltip("speed:N"),
        alt.Tooltip("share:Q", title="% of hours"),
    ]
    chart = alt.Chart(alt.NamedData(source)).mark_arc()
    angles = {"theta": _around("from"), "theta2": "to:Q"}
    radii = {"radius": _out("inner", edge), "radius2": "outer:Q"}
    petals: alt.Chart = chart.encode(color=color, tooltip=tooltip, **angles, **radii)
    return petals


def _texts(rows: Rows, edge: int) -> alt.Chart:
    chart: alt.Chart = alt.Chart(alt.InlineData(rows)).encode(
        theta=_around("at"), radius=_out("ring", edge), text="label:N"
    )
    return chart


def _around(name: str) -> alt.Theta:
    """Return an angle in degrees, clockwise from north."""
    return alt.Theta(f"{name}:Q", scale=alt.Scale(domain=[0, 360], range=[0, _TURN]), stack=None)


def _out(name: str, edge: int) -> alt.Radius:
    """Return a radius up to the outermost ring, with room for the compass."""
    room = {"expr": "min(width, height) / 2 - 22"}
    scale = alt.Scale(domain=[0, edge], range=[0, room])
    return alt.Radius(f"{name}:Q", scale=scale, stack=None)
