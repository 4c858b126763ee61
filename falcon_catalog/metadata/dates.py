"""Days, months and years of the proleptic Gregorian calendar, also beyond the year 9999.

Dates are days since 1970-01-01; timestamps are micro- or nanoseconds since that midnight.
"""

from datetime import date

MICROS_PER_DAY = 86_400_000_000
NANOS_PER_MICRO = 1000
HOURS_PER_DAY = 24
_EPOCH_YEAR = 1970
_EPOCH = date(_EPOCH_YEAR, 1, 1).toordinal()
_MONTHS = 12
# The calendar repeats every 400 years; ``datetime`` has only the years from 1 to 9999.
_CYCLE_YEARS, _CYCLE_DAYS = 400, 146_097

PER_DAY = {
    "date": 1,
    "timestamp": MICROS_PER_DAY,
    "timestamptz": MICROS_PER_DAY,
    "timestamp_ns": MICROS_PER_DAY * NANOS_PER_MICRO,
    "timestamptz_ns": MICROS_PER_DAY * NANOS_PER_MICRO,
}
"""The length of a day in the unit of each type."""


def days_of(year: int, month: int, day: int) -> int:
    """Return the days since 1970-01-01 of a date; raise ValueError if there is no such date."""
    cycles, rest = divmod(year - 1, _CYCLE_YEARS)
    return date(rest + 1, month, day).toordinal() + cycles * _CYCLE_DAYS - _EPOCH


def date_of(days: int) -> tuple[int, int, int]:
    """Return year, month and day of the days since 1970-01-01."""
    cycles, rest = divmod(days + _EPOCH - 1, _CYCLE_DAYS)
    found = date.fromordinal(rest + 1)
    return found.year + cycles * _CYCLE_YEARS, found.month, found.day


def ordinal(unit: str, value: int, kind: str) -> int:
    """Return the year, month, day or hour since 1970 of a date or timestamp."""
    if unit == "hour":
        return value // (PER_DAY[kind] // HOURS_PER_DAY)
    days = value // PER_DAY[kind]
    if unit == "day":
        return days
    year, month, _ = date_of(days)
    if unit == "year":
        return year - _EPOCH_YEAR
    return (year - _EPOCH_YEAR) * _MONTHS + month - 1


def start(unit: str, number: int, kind: str) -> int:
    """Return the first date or timestamp of the year, month, day or hour ``number``."""
    if unit == "hour":
        return number * (PER_DAY[kind] // HOURS_PER_DAY)
    if unit == "day":
        return number * PER_DAY[kind]
    if unit == "year":
        return days_of(_EPOCH_YEAR + number, 1, 1) * PER_DAY[kind]
    years, month = divmod(number, _MONTHS)
    return days_of(_EPOCH_YEAR + years, month + 1, 1) * PER_DAY[kind]
