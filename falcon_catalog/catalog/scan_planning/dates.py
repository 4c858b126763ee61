"""Days, months and years of the proleptic Gregorian calendar, also beyond the year 9999.

Dates are days since 1970-01-01; timestamps are micro- or nanoseconds since that midnight.
"""

MICROS_PER_DAY = 86_400_000_000
NANOS_PER_MICRO = 1000
HOURS_PER_DAY = 24
_EPOCH_YEAR = 1970
_MONTHS = 12
_DAYS_OF_400_YEARS = 146_097
_DAYS_TO_EPOCH = 719_468  # from 0000-03-01
_FEBRUARY = 2

PER_DAY = {
    "date": 1,
    "timestamp": MICROS_PER_DAY,
    "timestamptz": MICROS_PER_DAY,
    "timestamp_ns": MICROS_PER_DAY * NANOS_PER_MICRO,
    "timestamptz_ns": MICROS_PER_DAY * NANOS_PER_MICRO,
}
"""The length of a day in the unit of each type."""


def days_of(year: int, month: int, day: int) -> int:
    """Return the days since 1970-01-01 of a valid date."""
    # Years begin in March here, so that a leap day is the last day of its year.
    shifted = year - (month <= _FEBRUARY)
    era, of_era = divmod(shifted, 400)
    day_of_year = (153 * ((month + 9) % _MONTHS) + 2) // 5 + day - 1
    day_of_era = of_era * 365 + of_era // 4 - of_era // 100 + day_of_year
    return era * _DAYS_OF_400_YEARS + day_of_era - _DAYS_TO_EPOCH


def date_of(days: int) -> tuple[int, int, int]:
    """Return year, month and day of the days since 1970-01-01."""
    era, of_era = divmod(days + _DAYS_TO_EPOCH, _DAYS_OF_400_YEARS)
    years = (of_era - of_era // 1460 + of_era // 36_524 - of_era // 146_096) // 365
    day_of_year = of_era - (365 * years + years // 4 - years // 100)
    shifted = (5 * day_of_year + 2) // 153
    day = day_of_year - (153 * shifted + 2) // 5 + 1
    month = (shifted + 2) % _MONTHS + 1
    return years + era * 400 + (month <= _FEBRUARY), month, day


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
