"""The period of a task: an hour, a day or consecutive days, in UTC."""

import datetime as dt
import logging
import re
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import luigi

from jobs.config import FIRST_YEAR, SettingError

log = logging.getLogger("luigi-interface.weather")

_HOUR = dt.timedelta(hours=1)
_DAY = dt.timedelta(days=1)
_NAME = re.compile(r"(\d{4}-\d\d-\d\d)(?:T(\d\d)|_(\d{4}-\d\d-\d\d))?")

Window = tuple[dt.datetime, dt.datetime]


@dataclass(frozen=True)
class Period:
    """The days from first to last, or one hour of one day; its text names folders and loads.

    Raises:
        ValueError: the last day comes before the first, or there is no such hour.
    """

    first: dt.date
    last: dt.date
    hour: int | None = None

    def __post_init__(self) -> None:
        if self.last < self.first:
            raise ValueError(f"the last day {self.last} comes before the first, {self.first}")
        if self.hour is not None and not 0 <= self.hour < 24:  # noqa: PLR2004 - hours of a day
            raise ValueError(f"there is no hour {self.hour}")

    @classmethod
    def of_hour(cls, hour: dt.datetime) -> "Period":
        """Return the hour that begins at a time in UTC, with or without a zone."""
        return cls(hour.date(), hour.date(), hour.hour)

    @classmethod
    def of_day(cls, day: dt.date) -> "Period":
        """Return one day."""
        return cls(day, day)

    @classmethod
    def parse(cls, text: str) -> "Period":
        """Return the period ``2013-07-02T14``, ``2013-07-02`` or ``2013-06-03_2013-07-02``.

        Raises:
            ValueError: it has another form, or there is no such day.
        """
        match = _NAME.fullmatch(text)
        if match is None:
            raise ValueError(
                f"{text!r} is no period: give an hour (2013-07-02T14), a day (2013-07-02)"
                " or days (2013-06-03_2013-07-02)"
            )
        first = dt.date.fromisoformat(match[1])
        last = dt.date.fromisoformat(match[3]) if match[3] else first
        return cls(first, last, int(match[2]) if match[2] else None)

    def __str__(self) -> str:
        if self.hour is not None:
            return f"{self.first}T{self.hour:02}"
        return f"{self.first}" if self.first == self.last else f"{self.first}_{self.last}"

    @property
    def start(self) -> dt.datetime:
        """The start in UTC."""
        return _midnight(self.first, dt.UTC) + (self.hour or 0) * _HOUR

    @property
    def end(self) -> dt.datetime:
        """The end in UTC, exclusive."""
        if self.hour is not None:
            return self.start + _HOUR
        return _midnight(self.last + _DAY, dt.UTC)

    def window(self, time_zone: str | None, trailing_hours: int) -> Window:
        """Return the times [start, end) that one station's observations are read from.

        An hour's are those of the trailing hours that end with it, so that late and corrected
        reports of the hours before it are met. A day's cover the UTC day and the station's local
        day: the UTC days of consecutive runs leave no gap between them wherever the station is,
        and one run alone completes the local day that the daily mart is about.
        """
        if self.hour is not None:
            return self.end - max(1, trailing_hours) * _HOUR, self.end
        zone = _zone(time_zone)
        starts, ends = [self.start], [self.end]
        if zone is not None:
            starts.append(_midnight(self.first, zone))
            ends.append(_midnight(self.last + _DAY, zone))
        return min(starts), max(ends)


def now() -> dt.datetime:
    """Return the time, UTC."""
    return dt.datetime.now(dt.UTC)


def served(window: Window, now: dt.datetime, history_hours: float) -> Window | None:
    """Return the part of a window that the service has, or None.

    `history_hours` is how long the service keeps observations; 0 says for ever.
    """
    start, end = window
    now = now.replace(microsecond=0)
    if history_hours:
        start = max(start, now - dt.timedelta(hours=history_hours))
    end = min(end, now)
    return (start, end) if start < end else None


def chunks(last: dt.date, days: int, most: int) -> list[Period]:
    """Return periods of at most `most` days for the `days` days up to `last`, oldest first."""
    first = last - dt.timedelta(days=max(1, days) - 1)
    periods = []
    while first <= last:
        end = min(last, first + dt.timedelta(days=max(1, most) - 1))
        periods.append(Period(first, end))
        first = end + _DAY
    return periods


class PeriodParameter(luigi.Parameter[Any]):
    """A task's period.

    Raises:
        SettingError: no period, or one that is not over, whose later hours a checkpoint
            would hide.
    """

    def parse(self, x: str) -> Period:
        """Return the period of a name."""
        try:
            return Period.parse(x)
        except ValueError as error:
            raise SettingError(f"{x!r}: {error}") from None

    def normalize(self, x: Period) -> Period:
        """Return the period, which must be over."""
        if x.last == dt.date.max or x.end > dt.datetime.now(dt.UTC):
            raise SettingError(f"period {x} is not over in UTC")
        if x.first.year < FIRST_YEAR:
            raise SettingError(f"period {x}: the first year to load is {FIRST_YEAR}")
        return x

    def serialize(self, x: Period) -> str:
        """Return its name."""
        return str(x)


def _midnight(day: dt.date, zone: dt.tzinfo) -> dt.datetime:
    return dt.datetime.combine(day, dt.time(), zone).astimezone(dt.UTC)


def _zone(name: str | None) -> ZoneInfo | None:
    try:
        return ZoneInfo(name) if name else None
    except (ZoneInfoNotFoundError, ValueError, OSError):
        log.warning("time zone %r is unknown: taking the UTC day", name)
        return None
