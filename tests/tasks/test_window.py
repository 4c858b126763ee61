"""Which hours a run fetches: the trailing ones, the UTC day and the station's own, no gap."""

import datetime as dt
import itertools
from typing import Any

import pytest

from jobs.tasks.periods import Period, chunks, served

DAY = dt.date(2013, 7, 2)


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
    assert Period.of_day(DAY).window(zone, 6) == (start, end)


def test_days_the_clocks_change() -> None:
    spring = Period.of_day(dt.date(2013, 3, 10)).window("America/New_York", 6)
    autumn = Period.of_day(dt.date(2013, 11, 3)).window("America/New_York", 6)
    assert spring == (utc(2013, 3, 10), utc(2013, 3, 11, 4))
    assert autumn == (utc(2013, 11, 3), utc(2013, 11, 4, 5))


def test_several_days_are_one_window() -> None:
    days = Period(dt.date(2013, 7, 1), DAY)
    assert days.window("America/New_York", 6) == (utc(2013, 7, 1), utc(2013, 7, 3, 4))


def test_an_hour_is_read_with_those_before_it_whatever_the_zone() -> None:
    hour = Period.of_hour(dt.datetime(2013, 7, 2, 1))  # noqa: DTZ001 - as Luigi gives it
    assert hour.window("America/New_York", 6) == (utc(2013, 7, 1, 20), utc(2013, 7, 2, 2))
    assert hour.window(None, 0) == (utc(2013, 7, 2, 1), utc(2013, 7, 2, 2))


def test_hours_to_come_are_left_to_the_next_run() -> None:
    now = utc(2013, 7, 3, 1, 30, 12, 345)
    window = Period.of_day(DAY).window("America/New_York", 6)
    assert served(window, now, 0) == (utc(2013, 7, 2), utc(2013, 7, 3, 1, 30, 12))


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (utc(2013, 7, 8, 0), (utc(2013, 7, 2), utc(2013, 7, 3))),
        (utc(2013, 7, 8, 6), (utc(2013, 7, 2, 6), utc(2013, 7, 3))),
        (utc(2013, 7, 9, 0), None),
    ],
)
def test_hours_that_the_service_has_dropped_are_not_asked_for(
    now: dt.datetime, expected: Any
) -> None:
    assert served((utc(2013, 7, 2), utc(2013, 7, 3)), now, 144) == expected


@pytest.mark.parametrize("text", ["2013-07-02", "2013-07-02T14", "2013-06-03_2013-07-02"])
def test_a_period_reads_as_it_is_written(text: str) -> None:
    assert str(Period.parse(text)) == text


@pytest.mark.parametrize(
    "text", ["2013-7-2", "2013-07-02T24", "2013-07-02_2013-07-01", "yesterday", "2013-02-30"]
)
def test_what_is_no_period_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"2013|no period|no hour|day is out of range"):
        Period.parse(text)


@pytest.mark.parametrize(("days", "most"), [(1, 30), (30, 30), (31, 30), (365, 30), (5, 0)])
def test_chunks_cover_every_day_once(days: int, most: int) -> None:
    found = chunks(DAY, days, most)
    spans = [(one.first, one.last) for one in found]
    assert (spans[0][0], spans[-1][1]) == (DAY - dt.timedelta(days=days - 1), DAY)
    assert all(b[0] - a[1] == dt.timedelta(days=1) for a, b in itertools.pairwise(spans))
    assert all((last - first).days < max(1, most) for first, last in spans)


@pytest.mark.parametrize("zone", ["America/New_York", "Pacific/Guam", None])
def test_days_leave_no_gap(zone: str | None) -> None:
    days = [dt.date(2013, 1, 1) + dt.timedelta(days=number) for number in range(365)]
    windows = [Period.of_day(day).window(zone, 6) for day in days]
    assert all(following[0] <= end for (_, end), following in itertools.pairwise(windows))
