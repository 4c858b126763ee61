"""The client against the real stand-in, over a socket, on good and bad days."""

from __future__ import annotations

import itertools
import json
import logging
import multiprocessing
import re
import socket
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from jobs.standin import Faults, Source, make_app
from jobs.weather import (
    BadRequest,
    NotFound,
    Refused,
    Throttled,
    Unavailable,
    Unreachable,
    Unreadable,
    WeatherClient,
    WeatherError,
)

Connect = Callable[..., WeatherClient]

DAY = datetime(2013, 7, 2, tzinfo=UTC)
NEXT_DAY = DAY + timedelta(days=1)


def serving(*answers: tuple[int, dict[str, str], bytes]) -> Any:
    """Serve these answers one after the other, the last one for ever."""
    left = list(answers)

    def app(_: Any, start_response: Any) -> list[bytes]:
        status, headers, body = left.pop(0) if len(left) > 1 else left[0]
        start_response(f"{status} Whatever", list(headers.items()))
        return [body]

    return app


def page(*features: Any, following: str | None = None) -> tuple[int, dict[str, str], bytes]:
    pagination = {"pagination": {"next": following}} if following else {}
    body = {"type": "FeatureCollection", "features": list(features)} | pagination
    return 200, {"Content-Type": "application/geo+json"}, json.dumps(body).encode()


def observation(moment: datetime) -> dict[str, Any]:
    return {"id": f"o/{moment.isoformat()}", "properties": {"timestamp": moment.isoformat()}}


def times(features: list[dict[str, Any]]) -> list[str]:
    return [feature["properties"]["timestamp"] for feature in features]


def test_stations_of_states(connect: Connect, year: Source) -> None:
    client = connect(make_app(year))
    found = [f["properties"]["stationIdentifier"] for f in client.stations(states=["NY", "NJ"])]
    assert found == ["KEWR", "KJFK", "KLGA"]
    assert [f["id"][-4:] for f in client.stations(states=["NJ"])] == ["KEWR"]
    assert [f["id"][-4:] for f in client.stations(ids=["KLGA", "KXXX"])] == ["KLGA"]
    assert list(client.stations(states=["CA"])) == []


def test_a_walk_ends_though_a_next_page_is_always_offered(
    connect: Connect, year: Source, asked: list[str]
) -> None:
    client = connect(make_app(year))
    assert len(list(client.stations())) == 3
    assert len(asked) == 2
    assert asked[1].endswith("cursor=eyJzIjo1MDB9")


def test_many_ids_are_asked_for_in_parts(connect: Connect, year: Source, asked: list[str]) -> None:
    ids = [f"K{number:03}" for number in range(250)] + ["KJFK"]
    found = list(connect(make_app(year)).stations(ids=ids))
    assert [f["id"][-4:] for f in found] == ["KJFK"]
    assert len([url for url in asked if "cursor" not in url]) == 3


def test_a_day_of_observations(connect: Connect, year: Source) -> None:
    found = connect(make_app(year)).observations("KJFK", DAY, NEXT_DAY)
    assert len(found) == 24
    assert times(found)[0] == "2013-07-02T23:00:00+00:00"
    assert times(found)[-1] == "2013-07-02T00:00:00+00:00"


def test_all_pages_of_a_year(connect: Connect, year: Source, asked: list[str]) -> None:
    start, end = datetime(2013, 1, 1, tzinfo=UTC), datetime(2014, 1, 1, tzinfo=UTC)
    client = connect(make_app(year))
    total = sum(len(client.observations(s, start, end)) for s in ("KEWR", "KJFK", "KLGA"))
    assert total == 26_115
    assert len(asked) == 3 * 19  # 18 pages of 500 and the empty one each


def test_the_end_is_excluded_and_the_start_is_not(connect: Connect, year: Source) -> None:
    client = connect(make_app(year))
    hour = timedelta(hours=1)
    assert times(client.observations("KJFK", DAY, DAY + hour)) == [DAY.isoformat()]
    late = DAY + timedelta(microseconds=1)
    assert times(client.observations("KJFK", late, late + hour)) == [(DAY + hour).isoformat()]


def test_a_time_in_any_zone_is_the_same_time(connect: Connect, year: Source) -> None:
    client = connect(make_app(year))
    there = datetime.fromisoformat("2013-07-01T20:00:00-04:00")
    assert client.observations("KJFK", there, NEXT_DAY) == client.observations(
        "KJFK", DAY, NEXT_DAY
    )


def test_a_span_without_data_is_empty(connect: Connect, year: Source) -> None:
    long_ago = datetime(1999, 1, 1, tzinfo=UTC)
    assert connect(make_app(year)).observations("KJFK", long_ago, long_ago.replace(day=2)) == []


@pytest.mark.parametrize(
    ("start", "end", "rule"),
    [
        (DAY.replace(tzinfo=None), NEXT_DAY, "time zone"),
        (DAY, NEXT_DAY.replace(tzinfo=None), "time zone"),
        (DAY, DAY, "must come before"),
        (NEXT_DAY, DAY, "must come before"),
    ],
)
def test_a_senseless_span_is_refused(
    connect: Connect, year: Source, start: datetime, end: datetime, rule: str
) -> None:
    with pytest.raises(ValueError, match=rule):
        connect(make_app(year)).observations("KJFK", start, end)


def test_an_unknown_station_is_not_asked_for_twice(
    connect: Connect, year: Source, asked: list[str], waits: list[float]
) -> None:
    with pytest.raises(NotFound, match="KNOPE does not exist") as caught:
        connect(make_app(year)).observations("KNOPE", DAY, NEXT_DAY)
    assert caught.value.status == 404
    assert caught.value.correlation_id
    assert caught.value.correlation_id in str(caught.value)
    assert caught.value.url in str(caught.value)
    assert (len(asked), waits) == (1, [])


def test_a_bad_request_is_not_repeated_and_names_the_parameter(
    connect: Connect, year: Source, asked: list[str]
) -> None:
    with pytest.raises(BadRequest, match=r"query\.state.*'new york'"):
        list(connect(make_app(year)).stations(states=["new york"]))
    assert len(asked) == 1


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


def test_a_dead_service_is_unreachable(waits: list[float]) -> None:
    with socket.socket() as bound:  # bound but not listening: connections are refused
        bound.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{bound.getsockname()[1]}"
        client = WeatherClient(url, user_agent="t", max_attempts=2, sleep=waits.append)
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
    caplog.set_level(logging.INFO, "jobs.weather")
    app = make_app(year, Faults({"error": 1.0}, in_a_row=1000))
    with pytest.raises(Unavailable) as caught:
        connect(app, max_attempts=3).observations("KJFK", DAY, NEXT_DAY)
    lines = [record.getMessage() for record in caplog.records if record.name == "jobs.weather"]
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
    caplog.set_level(logging.INFO, "jobs.weather")
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
    assert "4 requests (0 not modified, 0 tried again, 1 given up), 0.1 MB in " in line
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


def test_a_next_page_elsewhere_is_not_followed(connect: Connect) -> None:
    app = serving(page({"id": "a"}, following="http://localhost:1/stations?cursor=x"))
    with pytest.raises(Refused, match="another origin"):
        list(connect(app).stations())


def test_a_list_without_end_is_refused(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, asked: list[str]
) -> None:
    numbers = itertools.count()

    def app(_: Any, start_response: Any) -> list[bytes]:
        number = next(numbers)
        status, headers, body = page({"id": str(number)}, following=f"/stations?cursor={number}")
        start_response(f"{status} OK", list(headers.items()))
        return [body]

    monkeypatch.setattr("jobs.weather_pages.MAX_PAGES", 20)
    with pytest.raises(Refused, match="more than 20 pages"):
        list(connect(app).stations())
    assert len(asked) == 20


def test_a_redirect_within_the_service_is_followed(connect: Connect, asked: list[str]) -> None:
    app = serving((301, {"Location": "/stations?state=NY"}, b""), page({"id": "a"}))
    assert [f["id"] for f in connect(app).stations()] == ["a"]
    assert asked == ["/stations?limit=500", "/stations?state=NY"]


@pytest.mark.parametrize("place", ["http://localhost:1/stations", "//[::1", "ftp://127.0.0.1/"])
def test_a_redirect_elsewhere_is_not_followed(
    connect: Connect, place: str, asked: list[str]
) -> None:
    with pytest.raises(Refused, match=r"another origin|no URL"):
        list(connect(serving((302, {"Location": place}, b""))).stations())
    assert len(asked) == 1


def test_redirects_in_a_circle_are_refused(connect: Connect, asked: list[str]) -> None:
    with pytest.raises(Refused, match="more than 3 redirects"):
        list(connect(serving((307, {"Location": "/stations"}, b""))).stations())
    assert len(asked) == 4


def test_a_next_link_that_comes_again_ends_the_walk(connect: Connect, asked: list[str]) -> None:
    app = serving(
        page({"id": "a"}, following="/stations?cursor=1"),
        page({"id": "b"}, following="/stations?cursor=1"),
    )
    assert [f["id"] for f in connect(app).stations()] == ["a", "b"]
    assert len(asked) == 2


def test_a_page_without_news_ends_the_walk(connect: Connect, asked: list[str]) -> None:
    app = serving(
        page({"id": "a"}, {"id": "b"}, following="/stations?cursor=1"),
        page({"id": "b"}, {"id": "c"}, following="/stations?cursor=2"),
        page({"id": "c"}, {"id": "a"}, following="/stations?cursor=3"),
    )
    assert [f["id"] for f in connect(app).stations()] == ["a", "b", "c"]
    assert len(asked) == 3


def test_pages_older_than_the_start_end_the_walk(connect: Connect, asked: list[str]) -> None:
    minutes = [DAY + timedelta(minutes=300 - number) for number in range(1500)]
    parts = [minutes[start : start + 300] for start in range(0, 1500, 300)]
    answers = [page(*map(observation, part), following=f"/o?cursor={part[-1]}") for part in parts]
    found = connect(serving(*answers)).observations("KJFK", DAY, NEXT_DAY)
    assert times(found) == [moment.isoformat() for moment in minutes if moment >= DAY]
    assert len(asked) == 3


def test_a_short_first_page_is_the_only_one(
    connect: Connect, year: Source, asked: list[str]
) -> None:
    assert len(connect(make_app(year)).observations("KJFK", DAY, NEXT_DAY)) == 24
    assert len(asked) == 1


def test_a_next_page_may_be_short(connect: Connect) -> None:
    minutes = [DAY + timedelta(minutes=600 - number) for number in range(400)]
    parts = [minutes[:300], minutes[300:310], minutes[310:]]
    answers = [page(*map(observation, part), following=f"/o?cursor={part[-1]}") for part in parts]
    found = connect(serving(*answers, page())).observations("KJFK", DAY, NEXT_DAY)
    assert len(found) == 400


def test_records_without_a_time_are_handed_on(connect: Connect) -> None:
    odd: list[Any] = [{"id": "x"}, None, 7, {"properties": {"timestamp": "yesterday"}}]
    app = serving(page(*odd, observation(DAY)))
    found = connect(app).observations("KJFK", DAY, NEXT_DAY)
    assert found == [*odd, observation(DAY)]


def test_a_station_name_cannot_leave_its_place_in_the_url(
    connect: Connect, asked: list[str]
) -> None:
    assert connect(serving(page())).observations("../alerts?x", DAY, NEXT_DAY) == []
    assert asked[0].startswith("/stations/..%2Falerts%3Fx/observations?")


@pytest.mark.parametrize("agent", ["", "  ", "a\nb", "météo"])
def test_a_user_agent_is_required(agent: str) -> None:
    with pytest.raises(ValueError, match="user_agent"):
        WeatherClient("https://api.weather.gov", user_agent=agent)


@pytest.mark.parametrize("url", ["", "api.weather.gov", "ftp://api.weather.gov", "http://"])
def test_a_base_url_is_http(url: str) -> None:
    with pytest.raises(ValueError, match="not an http"):
        WeatherClient(url, user_agent="t")


def test_a_proxy_of_the_environment_is_not_used_on_this_machine(
    connect: Connect, year: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    assert len(list(connect(make_app(year), max_attempts=1).stations())) == 3


def test_a_fork_gets_connections_of_its_own(connect: Connect, year: Source) -> None:
    client = connect(make_app(year), max_attempts=1)
    expected = client.observations("KJFK", DAY, NEXT_DAY)
    context = multiprocessing.get_context("fork")  # as Luigi's workers do
    answers = context.SimpleQueue()

    def ask() -> None:
        answers.put([client.observations("KJFK", DAY, NEXT_DAY) == expected for _ in range(20)])

    processes = [context.Process(target=ask) for _ in range(3)]
    for process in processes:
        process.start()
    found = [client.observations("KJFK", DAY, NEXT_DAY) == expected for _ in range(20)]
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * 3
    for _ in processes:
        found.extend(answers.get())
    assert found == [True] * 80
