"""The top of the page: where, what was warned of, and what the day was like."""

from typing import Any

from jobs.report import alerts, extremes
from jobs.report.blocks import Day, Notice, Story, celsius, count, joined, millimetres, speed
from jobs.report.headline import EXTREMES, daily, extreme
from jobs.report.lake import Lake, Rows

_MOST_CITIES = 3
_MOST_EVENTS = 3
# Differences from the normal below this, in °C, are not worth a comparison.
_NOTABLE = 0.5

_ANOMALY = """
    select avg(temperature_mean_anomaly_c) as anomaly from lake.marts.fct_daily_anomalies
    where local_date = $date
"""


def story(lake: Lake, day: Day) -> Story:
    """Return the day's story; what its tables do not hold is left out."""
    rows = lake.held(lambda: daily(lake, day))
    if not rows:
        return Story("", [] if rows is None else [f"No station reported on {day.date}."])
    warned = lake.held(lambda: alerts.in_force(lake, day)) or []
    sentences = [
        _temperature(rows, lake.held(lambda: lake.ask(_ANOMALY, date=day.date)) or []),
        *_records(lake.held(lambda: extremes.records_set(lake, day)) or []),
        _rain(rows),
        _wind(rows),
    ]
    return Story(
        _place(rows),
        [sentence for sentence in sentences if sentence],
        _notices(warned, day),
    )


def _place(rows: Rows) -> str:
    """Return the stations' cities, or how many stations there are in which states."""
    names = [row["station_name"] or row["station_id"] for row in rows]
    cities = list(dict.fromkeys(name.partition(",")[0] for name in names))
    if len(cities) <= _MOST_CITIES:
        return joined(cities)
    states = sorted({row["state"] for row in rows if row["state"]})
    few = joined(states) if len(states) <= _MOST_CITIES else f"{len(states)} states"
    return count(len(rows), "station") + (f" in {few}" if states else "")


def _notices(warned: Rows, day: Day) -> list[Notice]:
    """Return the most severe events with one alert of each, and how many more there are."""
    events: dict[tuple[str, str | None], dict[str, Any]] = {}
    for row in warned:
        events.setdefault((alerts.event(row), row["severity"]), row)
    notices = []
    for (event, severity), row in list(events.items())[:_MOST_EVENTS]:
        detail = f"{alerts.where(row, 100)}, {alerts.span(row, day)}"
        more = f", and {row['alike'] - 1:,} more" if row["alike"] > 1 else ""
        notices.append(Notice(severity or "Unknown", event, detail + more))
    if len(events) > len(notices):
        more = count(warned[0]["alerts"], "alert")
        notices.append(Notice("Unknown", "More alerts", f"{more} in all, listed below"))
    return notices


def _temperature(rows: Rows, anomalies: Rows) -> str:
    warmest, coldest = extreme(rows, "warmest"), extreme(rows, "coldest")
    if warmest is None or coldest is None:
        return ""
    high, low = celsius(warmest["temperature_max_c"]), celsius(coldest["temperature_min_c"])
    words = f"The highest temperature was {high} at {_station(warmest)}, the lowest {low}"
    words += "." if warmest is coldest else f" at {_station(coldest)}."
    anomaly = anomalies[0]["anomaly"] if anomalies else None
    if anomaly is None:
        return words
    if abs(anomaly) < _NOTABLE:
        return f"{words} The mean was what is normal for the time of year."
    difference = f"{abs(anomaly):.1f} °C ({abs(anomaly) * 1.8:.0f} °F)"
    return f"{words} The mean was {difference} {'above' if anomaly > 0 else 'below'} normal."


def _records(found: Rows) -> list[str]:
    """Return a sentence for each kind of record, with the stations that set it."""
    kinds = dict.fromkeys(row["record"] for row in found)
    by_kind = {kind: [row for row in found if row["record"] == kind] for kind in kinds}
    return [
        f"{extremes.NAMES[kind].capitalize()} of all"
        f" {min(row['days'] for row in rows):,} days held:"
        f" {joined([row['station_id'] for row in rows[:4]])}"
        f"{f' and {len(rows) - 4:,} more' if rows[4:] else ''}."
        for kind, rows in by_kind.items()
    ]


def _rain(rows: Rows) -> str:
    wettest = extreme(rows, "wettest")
    if wettest is not None:
        depth = millimetres(wettest["precipitation_mm"])
        return f"Most precipitation: {depth} at {_station(wettest)}."
    dry = all(row["precipitation_mm"] == 0 for row in rows)
    return "No precipitation was measured." if dry else ""


def _wind(rows: Rows) -> str:
    windiest = extreme(rows, "windiest")
    if windiest is None:
        return ""
    return f"Strongest wind: {speed(windiest[EXTREMES['windiest'][0]])} at {_station(windiest)}."


def _station(row: dict[str, Any]) -> str:
    """Return a station's name, without the city if the rest has it: "Newark, Newark Airport"."""
    name = str(row["station_name"] or row["station_id"])
    city, _, rest = name.partition(", ")
    return rest if city in rest else name
