"""One station that breaks every page it is on: the others are read, and what is missing is told."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

import pytest

from jobs.nws.client import WeatherClient
from jobs.nws.errors import Throttled, Unavailable
from jobs.nws.pages import cursor
from jobs.nws_simulator import Faults, Source, make_app

Connect = Callable[..., WeatherClient]


def bad(**more: float) -> Faults:
    return Faults({"bad-station": 1.0, **more}, in_a_row=1)


def names(features: Any) -> list[str]:
    return [feature["properties"]["stationIdentifier"] for feature in features]


def test_a_state_is_read_but_for_its_bad_station(
    connect: Connect, states: Source, caplog: pytest.LogCaptureFixture
) -> None:
    whole = names(connect(make_app(states)).stations(states=["TX"]))
    caplog.set_level(logging.WARNING, "jobs.nws")
    found = names(connect(make_app(states, bad()), max_attempts=2).stations(states=["TX"]))
    middle = len(whole) // 2
    assert found == whole[:middle] + whole[middle + 1 :]
    (told,) = [line for line in caplog.messages if "left out" in line]
    assert f"1 record(s) of stations state=TX, at place(s) {middle} of the list" in told
    assert "HTTP 500" in told
    assert "correlation id" in told


def test_the_country_has_many_pages_and_one_bad_station(connect: Connect, states: Source) -> None:
    whole = names(connect(make_app(states)).stations())
    assert len(whole) == 2673
    found = names(connect(make_app(states, bad()), max_attempts=2).stations())
    assert found == whole[:1336] + whole[1337:]


def test_on_a_busy_day_too_only_the_bad_station_is_missing(
    connect: Connect, states: Source
) -> None:
    whole = names(connect(make_app(states)).stations(states=["TX"]))
    busy = bad(**{"throttle-bare": 0.3, "truncate": 0.2})
    found = names(connect(make_app(states, busy)).stations(states=["TX"]))
    assert found == whole[:110] + whole[111:]


def test_what_is_left_out_can_be_asked_for_by_its_id(connect: Connect, states: Source) -> None:
    client = connect(make_app(states, bad()), max_attempts=2)
    whole = set(names(connect(make_app(states)).stations(states=["VT"])))
    (missing,) = whole - set(names(client.stations(states=["VT"])))
    assert names(client.stations(ids=[missing])) == [missing]


def test_a_good_day_costs_no_more_requests(
    connect: Connect, states: Source, asked: list[str]
) -> None:
    assert len(list(connect(make_app(states)).stations(states=["NY", "NJ"]))) == 68
    assert len(asked) == 2


def test_a_service_that_is_down_is_not_a_bad_station(
    connect: Connect, states: Source, asked: list[str]
) -> None:
    app = make_app(states, Faults({"error": 1.0}, in_a_row=10_000))
    with pytest.raises(Unavailable):
        list(connect(app, max_attempts=3).stations(states=["NY"]))
    assert len(asked) == 3 + 2 + 2  # the page, and two records by themselves


def test_a_throttle_is_not_a_bad_station(
    connect: Connect, states: Source, asked: list[str]
) -> None:
    app = make_app(states, Faults({"unavailable": 1.0}, in_a_row=10_000))
    with pytest.raises(Throttled):
        list(connect(app, max_attempts=3).stations(states=["NY"]))
    assert len(asked) == 3


def test_a_state_of_one_bad_station_fails(connect: Connect, year: Source) -> None:
    """Nothing else tells that the service is well."""
    with pytest.raises(Unavailable):
        list(connect(make_app(year, bad()), max_attempts=2).stations(states=["NJ"]))


def test_too_many_bad_records_are_an_outage(connect: Connect) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        query = parse_qs(environ["QUERY_STRING"])
        (told,) = query.get("cursor", [cursor(0)])
        place = json.loads(base64.b64decode(told))["s"]
        # Every second record is bad, so that pages of one can be made and no others.
        if query["limit"] == ["1"] and place % 2 == 0:
            start_response("200 OK", [])
            return [json.dumps({"features": [{"id": str(place)}]}).encode()]
        start_response("500 Oops", [])
        return [b""]

    with pytest.raises(Unavailable):
        list(connect(app, max_attempts=1).stations(states=["NY"]))


def test_other_cursors_cannot_be_made_up(connect: Connect, asked: list[str]) -> None:
    """The first page came with a cursor of another kind, and the second fails."""

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        if "cursor" in environ["QUERY_STRING"]:
            start_response("500 Oops", [])
            return [b""]
        start_response("200 OK", [])
        link = "/stations?cursor=eyJ0IjoiYWJjIn0="
        return [b'{"features": [{"id": "a"}], "pagination": {"next": "%s"}}' % link.encode()]

    with pytest.raises(Unavailable):
        list(connect(app, max_attempts=1).stations(states=["NY"]))
    assert len(asked) == 2
