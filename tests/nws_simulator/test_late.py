"""Reports that come late or are corrected: the same ones for every reader, and all in the end."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jobs.nws.client import WeatherClient
from jobs.nws_simulator import Source, make_app

Connect = Callable[..., WeatherClient]
Records = dict[tuple[str, str], dict[str, Any]]

START = datetime(2013, 7, 2, tzinfo=UTC)
HOUR = timedelta(hours=1)
STATIONS = ("KEWR", "KJFK", "KLGA")


def read(client: WeatherClient, start: datetime, end: datetime) -> Records:
    return {
        (station, one["properties"]["timestamp"]): one
        for station in STATIONS
        for one in client.observations(station, start, end)
    }


def test_an_hour_lacks_its_late_reports_and_a_trailing_re_read_finds_them(
    connect: Connect, year: Source
) -> None:
    client = connect(make_app(year, late=0.2))
    whole = read(connect(make_app(year)), START, START + 48 * HOUR)
    at_once: Records = {}
    trailing: Records = {}
    for hour in range(1, 54):
        end = START + hour * HOUR
        at_once |= read(client, end - HOUR, end)
        trailing |= read(client, max(START, end - 6 * HOUR), end)
    missing = [key for key in whole if key not in at_once]
    wrong = [key for key in whole if key in at_once and at_once[key] != whole[key]]
    assert 0.1 < len(missing) / len(whole) < 0.3
    assert 0.1 < len(wrong) / len(whole) < 0.3
    assert {key: trailing[key] for key in whole} == whole


def test_a_correction_changes_what_it_says_and_nothing_else(connect: Connect, year: Source) -> None:
    whole = read(connect(make_app(year)), START, START + 24 * HOUR)
    client = connect(make_app(year, late=0.3))
    hours = [START + number * HOUR for number in range(24)]
    first = {key: one for hour in hours for key, one in read(client, hour, hour + HOUR).items()}
    changed = [(first[key], whole[key]) for key in first if first[key] != whole[key]]
    assert changed
    for before, after in changed:
        assert before["id"] == after["id"]
        told, final = before["properties"], after["properties"]
        assert told["temperature"]["value"] == round(final["temperature"]["value"])
        assert told["temperature"]["qualityControl"] == "Z"
        assert told["windSpeed"]["value"] == final["windSpeed"]["value"]


def test_every_reader_meets_the_same(connect: Connect, year: Source) -> None:
    span = START, START + 6 * HOUR
    one = read(connect(make_app(year, late=0.3)), *span)
    assert read(connect(make_app(year, late=0.3)), *span) == one
    assert one != read(connect(make_app(year)), *span)


def test_by_the_clock_a_report_comes_while_the_window_stays(connect: Connect, year: Source) -> None:
    clock = [START]
    client = connect(make_app(year, late=0.3, now=lambda: clock[0]))
    span = START, START + 12 * HOUR
    counts = []
    for _ in range(16):
        counts.append(len(read(client, *span)))
        clock[0] += HOUR
    whole = read(connect(make_app(year)), *span)
    assert counts == sorted(counts)
    assert counts[0] <= 3
    assert counts[12] < counts[15] == len(whole)
    assert read(client, *span) == whole


def test_what_comes_late_shows_in_last_modified(
    connect: Connect, year: Source, tmp_path: Any
) -> None:
    """A reader who keeps answers reads what one without reads, hour for hour."""
    clock = [START]
    app = make_app(year, late=0.3, now=lambda: clock[0])
    keeping, plain = connect(app, cache=tmp_path), connect(app)
    span = START, START + 6 * HOUR
    for _ in range(60):
        assert read(keeping, *span) == read(plain, *span)
        clock[0] += timedelta(minutes=10)


def test_in_time_is_the_default(connect: Connect, year: Source) -> None:
    end = START + 24 * HOUR
    expected = {
        (station, moment.isoformat()): one.render(moment)
        for station in STATIONS
        for moment, one in year.series(station, end, START, end - HOUR)
    }
    assert read(connect(make_app(year)), START, end) == expected


@pytest.mark.parametrize("share", [-0.1, 0.51, float("nan")])
def test_a_share_is_at_most_half(year: Source, share: float) -> None:
    with pytest.raises(ValueError, match=r"between 0 and 0\.5"):
        make_app(year, late=share)


def test_recorded_answers_stay_as_they_are(recorded: Source, connect: Connect) -> None:
    (newest, _), *_ = recorded.series("KCNK", START)
    span = {"start": newest - 100 * HOUR, "end": newest + timedelta(seconds=1)}
    before = connect(make_app(recorded)).observations("KCNK", **span)
    early = connect(make_app(recorded, late=0.5)).observations("KCNK", **span)
    assert early != before
    assert connect(make_app(recorded)).observations("KCNK", **span) == before
