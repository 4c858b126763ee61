"""Tables of the day's extremes: the leading stations, and the records that they set."""

from typing import Any

from jobs.report.blocks import Block, Day, Table, Words, celsius, millimetres, speed, text
from jobs.report.headline import EXTREMES, daily
from jobs.report.lake import Lake, Rows

# Stations per extreme; up to `_FEW` stations are all shown.
_LEADING = 4
_FEW = 12

_RECORDS = """
    select station_id, record, value, unit, value_us, unit_us, days,
        strftime(local_date, '%Y-%m-%d') as day
    from lake.marts.fct_station_records
    where period = 'all' and local_date = $date and days >= 30
    order by station_id, record
"""
NAMES = {
    "highest_max": "highest maximum",
    "lowest_max": "lowest maximum",
    "highest_min": "highest minimum",
    "lowest_min": "lowest minimum",
    "wettest_day": "wettest day",
    "strongest_gust": "strongest gust",
}


def section(lake: Lake, day: Day) -> list[Block]:
    """Return a table of the leading stations."""
    rows = daily(lake, day)
    if not rows:
        return [Words("No station reported on this day.", "empty")]
    shown = rows if len(rows) <= _FEW else _leading(rows)
    shown = sorted(shown, key=lambda row: -(row["temperature_max_c"] or -1e9))
    numbers = ("Highest", "Lowest", "Mean", "Precipitation", "Strongest wind", "Hours")
    return [
        Table(
            "All stations of the day, warmest first"
            if len(shown) == len(rows)
            else f"The {len(shown)} of {len(rows):,} stations that lead, warmest first",
            ("Station", *numbers),
            [_row(row) for row in shown],
            frozenset(numbers),
        )
    ]


def records_set(lake: Lake, day: Day) -> Rows:
    """Return the records that were set on the day, by station."""
    return lake.ask(_RECORDS, date=day.date)


def records(lake: Lake, day: Day) -> list[Block]:
    """Return a table of the records that were set on the day."""
    found = records_set(lake, day)
    if not found:
        return [Words("No station with 30 days or more set a record on this day.", "empty")]
    return [
        Table(
            "The most extreme of all days held, for stations with at least 30",
            ("Station", "Record", "Value", "Of days"),
            [
                (
                    row["station_id"],
                    NAMES[row["record"]],
                    f"{row['value']:.1f} {row['unit']} ({row['value_us']:.1f} {row['unit_us']})",
                    f"{row['days']:,}",
                )
                for row in found[:30]
            ],
            frozenset({"Value", "Of days"}),
        )
    ]


def _leading(rows: Rows) -> Rows:
    kept: dict[str, dict[str, Any]] = {}
    for column, sign in EXTREMES.values():
        known = [row for row in rows if row[column] is not None]
        known.sort(key=lambda row: -sign * row[column])
        kept.update((row["station_id"], row) for row in known[:_LEADING])
    return list(kept.values())


def _row(row: dict[str, Any]) -> tuple[str, ...]:
    return (
        f"{row['station_id']} · {text(row['station_name'])}",
        celsius(row["temperature_max_c"]),
        celsius(row["temperature_min_c"]),
        celsius(row["temperature_mean_c"]),
        millimetres(row["precipitation_mm"]),
        speed(row["wind_max_mps"]),
        f"{row['hours_observed']} of {row['hours_in_day']}".replace(" ", "\N{NO-BREAK SPACE}"),
    )
