"""The day's headline figures, and the stations that its meteograms show."""

from typing import Any

from jobs.report.blocks import (
    Block,
    Card,
    Cards,
    Day,
    Words,
    celsius,
    count,
    millimetres,
    percent,
    speed,
)
from jobs.report.lake import Lake, Rows
from jobs.report.requested import requested_hours

CLOSER = 4

_DAILY = """
    select daily.*, stations.station_name, stations.state, stations.local_time_zone
    from lake.marts.fct_daily_station_weather as daily
    left join lake.marts.dim_stations as stations using (station_id)
    where local_date = $date
    order by station_id
"""
# Column of each extreme, and 1 if the highest value is the extreme, -1 if the lowest is.
EXTREMES = {
    "warmest": ("temperature_max_c", 1),
    "coldest": ("temperature_min_c", -1),
    "wettest": ("precipitation_mm", 1),
    "windiest": ("wind_max_mps", 1),
}


def daily(lake: Lake, day: Day) -> Rows:
    """Return the day's rows of the daily mart; ``wind_max_mps`` is the gust or strongest wind."""
    rows = lake.ask(_DAILY, date=day.date)
    for row in rows:
        winds = [row["wind_gust_max_mps"], row["wind_speed_max_mps"]]
        row["wind_max_mps"] = max((wind for wind in winds if wind is not None), default=None)
    return rows


def extreme(rows: Rows, kind: str) -> dict[str, Any] | None:
    """Return the row of the warmest, coldest, wettest or windiest station, if any was measured."""
    column, sign = EXTREMES[kind]
    known = [row for row in rows if row[column] is not None]
    if kind == "wettest":
        known = [row for row in known if row[column] > 0]
    return max(known, key=lambda row: sign * row[column], default=None)


def closer(lake: Lake, day: Day) -> tuple[str, ...]:
    """Return the stations of the meteograms: the extremes, then those with the most hours."""
    rows = daily(lake, day)
    found = [row for kind in EXTREMES if (row := extreme(rows, kind))]
    fullest = sorted(rows, key=lambda row: (-row["hours_observed"], row["station_id"]))
    names = dict.fromkeys(row["station_id"] for row in [*found, *fullest])
    return tuple(sorted(list(names)[:CLOSER]))


def section(lake: Lake, day: Day) -> list[Block]:
    """Return the day's eight headline figures."""
    rows = daily(lake, day)
    if not rows:
        return [Words(f"No station reported on {day.date}.", "empty")]
    requested = lake.held(lambda: requested_hours(lake, day.date)) or {}
    expected = [_expected(row, requested) for row in rows]
    observed = [row["hours_observed"] for row in rows]
    covered = 100 * sum(map(min, observed, expected)) / sum(expected)
    (known,) = lake.ask("select count(*) as stations from lake.marts.dim_stations")
    reports = sum(row["observations"] for row in rows)
    means = [row["temperature_mean_c"] for row in rows if row["temperature_mean_c"] is not None]
    cards = [
        *(_standout(rows, kind) for kind in EXTREMES),
        Card(
            "Mean temperature",
            celsius(sum(means) / len(means) if means else None),
            "of all stations",
        ),
        Card("Stations", f"{len(rows):,}", f"reported, of {known['stations']:,} known"),
        Card("Observations", f"{reports:,}", "reports of the day"),
        Card("Coverage", percent(covered), "of the requested hours have a report"),
    ]
    partial = sum(map(int.__lt__, observed, expected))
    note = "Every requested hour of every station has a report."
    if partial:
        note = f"{partial:,} of {len(rows):,} stations have requested hours without a report."
    late = [
        f"{hours} of {row['hours_in_day']}"
        for row, hours in zip(rows, expected, strict=True)
        if hours < row["hours_in_day"]
    ]
    if late:
        note += (
            f" {count(len(late), 'station')}: not all hours of the day were requested, {late[0]}."
        )
    return [Cards(cards), Words(f"Days are the stations' own, in their own time zones. {note}")]


def _expected(row: dict[str, Any], requested: dict[str, int]) -> int:
    """Return how many of a station's hours were requested."""
    hours: int = row["hours_in_day"]
    return min(hours, requested.get(row["local_time_zone"] or "UTC", hours))


def _standout(rows: Rows, kind: str) -> Card:
    row = extreme(rows, kind)
    if row is None:
        return Card(kind.capitalize(), "none", "no rain was measured" if kind == "wettest" else "")
    write = {"wettest": millimetres, "windiest": speed}.get(kind, celsius)
    name = row["station_name"] or "name unknown"
    return Card(kind.capitalize(), write(row[EXTREMES[kind][0]]), f"{row['station_id']} · {name}")
