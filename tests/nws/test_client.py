"""The client against the real simulator, over a socket: what is asked for and what comes."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jobs.nws.client import WeatherClient
from jobs.nws.errors import BadRequest, NotFound
from jobs.nws_simulator import Source, make_app
from tests.nws.handmade import observation, page, serving, times

Connect = Callable[..., WeatherClient]

DAY = datetime(2013, 7, 2, tzinfo=UTC)
NEXT_DAY = DAY + timedelta(days=1)


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
