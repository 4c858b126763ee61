"""Lists: followed to their end, never elsewhere, and never without end."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jobs.nws.client import WeatherClient
from jobs.nws.errors import Refused, Unavailable
from jobs.nws_simulator import Source, make_app
from tests.nws.handmade import observation, page, serving, times

Connect = Callable[..., WeatherClient]

DAY = datetime(2013, 7, 2, tzinfo=UTC)
NEXT_DAY = DAY + timedelta(days=1)


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

    monkeypatch.setattr("jobs.nws.pages.MAX_PAGES", 20)
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


def test_a_short_first_page_is_followed_until_one_is_empty(
    connect: Connect, year: Source, asked: list[str]
) -> None:
    assert len(connect(make_app(year)).observations("KJFK", DAY, NEXT_DAY)) == 24
    assert len(asked) == 2


@pytest.mark.parametrize("size", [1, 24, 200, 249, 250, 288])
def test_288_observations_come_whatever_the_size_of_a_page(connect: Connect, size: int) -> None:
    moments = [NEXT_DAY - timedelta(minutes=5 * number) for number in range(1, 289)]
    parts = [moments[first : first + size] for first in range(0, 288, size)]
    answers = [page(*map(observation, part), following=f"/o?cursor={part[-1]}") for part in parts]
    found = connect(serving(*answers, page())).observations("KJFK", DAY, NEXT_DAY)
    assert times(found) == [moment.isoformat() for moment in moments]


API = "https://api.weather.gov"


@pytest.mark.parametrize("prefix", ["", "/nws"])
@pytest.mark.parametrize("api", [API, "http://api.weather.gov:80", "//API.weather.gov"])
def test_a_next_page_at_the_apis_own_host_is_requested_from_base_url(
    monkeypatch: pytest.MonkeyPatch, connect: Connect, asked: list[str], api: str, prefix: str
) -> None:
    app = serving(page({"id": "a"}, following=f"{api}/stations?cursor=x%3D&id%5B0%5D=K"), page())
    client = connect(app)
    monkeypatch.setattr(client, "_base_url", client._base_url.rstrip("/") + f"{prefix}/")
    assert [f["id"] for f in client.stations()] == ["a"]
    assert asked == [
        f"{prefix}/stations?limit=500",
        f"{prefix}/stations?cursor=x%3D&id%5B0%5D=K",
    ]


def test_a_redirect_to_the_apis_own_host_is_not_followed(connect: Connect) -> None:
    with pytest.raises(Refused, match="another origin"):
        list(connect(serving((302, {"Location": f"{API}/stations"}, b""))).stations())


@pytest.mark.parametrize("following", ["/o?cursor=2", "http://localhost:1/o"])
def test_the_error_of_a_later_page_has_the_records_of_the_earlier_ones(
    connect: Connect, following: str
) -> None:
    moments = [NEXT_DAY - timedelta(minutes=5 * number) for number in range(1, 3)]
    broken = (500, {}, b"")
    app = serving(page(*map(observation, moments), following=following), broken)
    client = connect(app, max_attempts=1)
    with pytest.raises((Unavailable, Refused)) as caught:
        client.observations("KJFK", DAY, NEXT_DAY)
    assert times(caught.value.received) == [moment.isoformat() for moment in moments]
    app = serving(page({"id": "a"}, following=following), broken)
    with pytest.raises((Unavailable, Refused)) as caught:
        connect(app, max_attempts=1).alerts("NY", DAY, NEXT_DAY)
    assert caught.value.received == [{"id": "a"}]


def test_a_next_page_may_be_short(connect: Connect) -> None:
    minutes = [DAY + timedelta(minutes=600 - number) for number in range(400)]
    parts = [minutes[:300], minutes[300:310], minutes[310:]]
    answers = [page(*map(observation, part), following=f"/o?cursor={part[-1]}") for part in parts]
    found = connect(serving(*answers, page())).observations("KJFK", DAY, NEXT_DAY)
    assert len(found) == 400
