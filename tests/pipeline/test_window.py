"""Which hours a day's run fetches: the UTC day and the station's own, without gaps."""

import datetime as dt
import itertools

import pytest

from jobs.observations import window

DAY = dt.date(2013, 7, 2)
LATER = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)


def utc(*parts: int) -> dt.datetime:
    return dt.datetime(*parts, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("zone", "start", "end"),
    [
        ("America/New_York", utc(2013, 7, 2), utc(2013, 7, 3, 4)),
        ("Pacific/Honolulu", utc(2013, 7, 2), utc(2013, 7, 3, 10)),
        ("Pacific/Guam", utc(2013, 7, 1, 14), utc(2013, 7, 3)),
        ("UTC", utc(2013, 7, 2), utc(2013, 7, 3)),
        (None, utc(2013, 7, 2), utc(2013, 7, 3)),
        ("Mars/Olympus_Mons", utc(2013, 7, 2), utc(2013, 7, 3)),
        ("../../etc/passwd", utc(2013, 7, 2), utc(2013, 7, 3)),
    ],
)
def test_window_covers_both_days(zone: str | None, start: dt.datetime, end: dt.datetime) -> None:
    assert window(DAY, zone, LATER) == (start, end)


def test_days_the_clocks_change() -> None:
    spring = window(dt.date(2013, 3, 10), "America/New_York", LATER)
    autumn = window(dt.date(2013, 11, 3), "America/New_York", LATER)
    assert spring == (utc(2013, 3, 10), utc(2013, 3, 11, 4))
    assert autumn == (utc(2013, 11, 3), utc(2013, 11, 4, 5))


def test_hours_to_come_are_left_to_the_next_day() -> None:
    now = utc(2013, 7, 3, 1, 30, 12, 345)
    assert window(DAY, "America/New_York", now) == (utc(2013, 7, 2), utc(2013, 7, 3, 1, 30, 12))


@pytest.mark.parametrize("zone", ["America/New_York", "Pacific/Guam", None])
def test_days_leave_no_gap(zone: str | None) -> None:
    days = [dt.date(2013, 1, 1) + dt.timedelta(days=number) for number in range(365)]
    windows = [window(day, zone, LATER) for day in days]
    assert all(following[0] <= end for (_, end), following in itertools.pairwise(windows))
