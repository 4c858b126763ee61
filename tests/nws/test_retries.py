"""Bad days: what is sat out, what is raised, and what the log tells of it."""

from __future__ import annotations

import logging
import re
import socket
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from jobs.nws.client import WeatherClient
from jobs.nws.errors import (
    NoConnection,
    NotFound,
    Refused,
    Throttled,
    Unavailable,
    Unreachable,
    Unreadable,
    WeatherError,
)
from jobs.nws.reach import why_unreachable
from jobs.nws_simulator import Faults, Source, make_app, running
from tests.nws.handmade import page, serving

Connect = Callable[..., WeatherClient]

DAY = datetime(2013, 7, 2, tzinfo=UTC)
NEXT_DAY = DAY + timedelta(days=1)


ANSWERS = {
    "forbidden": Throttled,
    "throttle": Throttled,
    "throttle-bare": Throttled,
    "unavailable": Throttled,
    "unavailable-bare": Throttled,
    "error": Unavailable,
    "truncate": Unreachable,
    "timeout": Unreachable,
    "null-features": Unreadable,
}


@pytest.mark.parametrize("fault", ANSWERS)
def test_a_fault_that_passes_is_sat_out(
    connect: Connect, year: Source, fault: str, asked: list[str], waits: list[float]
) -> None:
    app = make_app(year, Faults(script=[fault, fault]), hang=30)
    client = connect(app, timeout=1.0 if fault == "timeout" else 20)
    assert len(client.observations("KJFK", DAY, NEXT_DAY)) == 24
    assert asked[0] == asked[1] == asked[2]
    assert len(waits) == 2
    least = 5 if fault in {"forbidden", "throttle-bare", "unavailable-bare"} else 1
    assert all(wait >= least for wait in waits)


@pytest.mark.parametrize("fault", ANSWERS)
def test_a_fault_that_stays_is_raised(
    connect: Connect, year: Source, fault: str, asked: list[str], waits: list[float]
) -> None:
    app = make_app(year, Faults({fault: 1.0}, in_a_row=1000), hang=30)
    client = connect(app, max_attempts=3, timeout=1.0 if fault == "timeout" else 20)
    with pytest.raises(ANSWERS[fault]) as caught:
        client.observations("KJFK", DAY, NEXT_DAY)
    assert (len(asked), len(waits)) == (3, 2)
    assert caught.value.__notes__ == ["given up after 3 attempt(s)"]


def test_a_service_that_was_never_reached_is_told_without_another_try(
    monkeypatch: pytest.MonkeyPatch, waits: list[float]
) -> None:
    monkeypatch.setattr("jobs.nws.service.REACH_SECONDS", 0.2)
    with socket.socket() as bound:  # bound but not listening: connections are refused
        bound.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{bound.getsockname()[1]}"
        with (
            WeatherClient(url, user_agent="t", sleep=waits.append) as client,
            pytest.raises(NoConnection, match=r"refused.* is there a network.*`make demo` needs"),
        ):
            client.observations("KJFK", DAY, NEXT_DAY)
    assert waits == []


def test_a_resolver_that_hangs_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: [released.wait(60)][:0])
    assert why_unreachable("api.weather.gov", 443, 0.1) == "no answer within 0.1 s"
    released.set()


def test_a_service_that_goes_away_is_tried_again(year: Source, waits: list[float]) -> None:
    with running(make_app(year)) as url:
        client = WeatherClient(url, user_agent="t", max_attempts=2, sleep=waits.append)
        assert list(client.stations())
    with client, pytest.raises(Unreachable, match="no answer"):
        client.observations("KJFK", DAY, NEXT_DAY)
    assert len(waits) == 1


def limited(retry_after: str) -> Any:
    return serving((429, {"Retry-After": retry_after}, b""), page())


def test_retry_after_in_seconds_is_honoured(connect: Connect, waits: list[float]) -> None:
    assert list(connect(limited("90")).stations()) == []
    assert waits == [90.0]


def test_retry_after_as_a_date_is_honoured(connect: Connect, waits: list[float]) -> None:
    moment = datetime.now(UTC) + timedelta(seconds=100)
    assert list(connect(limited(format_datetime(moment, usegmt=True))).stations()) == []
    assert 60 < waits[0] <= 100


@pytest.mark.parametrize("odd", ["soon", "-5", "Mon, 99 Foo 2013"])
def test_an_unreadable_retry_after_is_as_none(
    connect: Connect, waits: list[float], odd: str
) -> None:
    assert list(connect(limited(odd)).stations()) == []
    assert 5 <= waits[0] <= 70


def test_a_retry_after_in_the_past_means_soon(connect: Connect, waits: list[float]) -> None:
    assert list(connect(limited("Tue, 02 Jul 2013 00:00:00 GMT")).stations()) == []
    assert 1 <= waits[0] <= 3


def test_a_retry_after_beyond_the_budget_ends_it(
    connect: Connect, asked: list[str], waits: list[float]
) -> None:
    with pytest.raises(Throttled) as caught:
        list(connect(limited("3600")).stations())
    assert caught.value.retry_after == 3600
    assert (len(asked), waits) == (1, [])


def test_waiting_ends_with_the_budget(connect: Connect, year: Source, waits: list[float]) -> None:
    app = make_app(year, Faults({"throttle-bare": 1.0}, in_a_row=1000))
    with pytest.raises(Throttled):
        list(connect(app, max_attempts=1000, max_wait=60.0).stations())
    assert 10 < sum(waits) <= 60


def test_each_retry_and_the_failure_are_logged_with_their_correlation_id(
    connect: Connect, year: Source, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "jobs.nws")
    app = make_app(year, Faults({"error": 1.0}, in_a_row=1000))
    with pytest.raises(Unavailable) as caught:
        connect(app, max_attempts=3).observations("KJFK", DAY, NEXT_DAY)
    lines = [record.getMessage() for record in caplog.records if record.name == "jobs.nws"]
    told = [re.search(r"HTTP 500.*correlation id ([0-9a-f]{32})", line) for line in lines]
    assert [bool(match) for match in told] == [True] * 3
    assert len({match[1] for match in told if match}) == 3
    assert lines[-1].endswith("given up after 3 attempt(s)")
    assert caught.value.correlation_id
    assert caught.value.correlation_id in lines[-1]


def test_a_cdn_page_is_quoted_by_its_reference(connect: Connect, year: Source) -> None:
    app = make_app(year, Faults({"forbidden": 1.0}, in_a_row=1000))
    with pytest.raises(Throttled, match=r"reference 18\.5fa71402\.1357\.2013"):
        connect(app, max_attempts=1).observations("KJFK", DAY, NEXT_DAY)


def test_a_batch_is_told_in_one_line(
    connect: Connect, year: Source, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "jobs.nws")
    client = connect(make_app(year, Faults(script=["", "throttle"])))
    list(client.stations())  # before the batch: not counted
    caplog.clear()
    with client.batch("batch 7"):
        for station in ("KEWR", "KJFK", "KLGA"):
            client.observations(station, DAY, NEXT_DAY)
        with pytest.raises(NotFound):
            client.observations("KNOPE", DAY, NEXT_DAY)
    told = [record.getMessage() for record in caplog.records if record.levelno == logging.INFO]
    (line,) = [line for line in told if line.startswith("batch 7: ")]
    assert "7 requests (0 not modified, 0 tried again, 1 given up), 0.1 MB in " in line
    assert re.search(r"last correlation id [0-9a-f]{32}$", line)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ((200, {}, b"<html>"), Unreadable),
        ((200, {}, b"[]"), Unreadable),
        ((200, {}, b"\xff\xfe"), Unreadable),
        ((200, {}, b'{"features": {}}'), Unreadable),
        ((502, {}, b"bad gateway"), Unavailable),
        ((504, {}, b""), Throttled),
        ((403, {"Content-Type": "application/problem+json"}, b'{"title": "No"}'), Refused),
        ((204, {}, b""), Refused),
        ((410, {}, b"[]"), Refused),
    ],
)
def test_each_odd_answer_has_its_error(
    connect: Connect, answer: tuple[int, dict[str, str], bytes], error: type[WeatherError]
) -> None:
    with pytest.raises(error) as caught:
        list(connect(serving(answer), max_attempts=2).stations())
    assert type(caught.value) is error
