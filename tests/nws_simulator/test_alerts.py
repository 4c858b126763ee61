"""Alerts: derived from true reports by the published criteria, in the service's shape."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jobs.nws.client import WeatherClient
from jobs.nws.errors import BadRequest
from jobs.nws_simulator import Faults, Source, airports, make_app
from jobs.nws_simulator.alerts import FIPS
from jobs.nws_simulator.criteria import heat_index_f

Connect = Callable[..., WeatherClient]

YEAR = datetime(2013, 1, 1, tzinfo=UTC), datetime(2014, 1, 1, tzinfo=UTC)
# The year's hottest week in New York.
WEEK = datetime(2013, 7, 14, tzinfo=UTC), datetime(2013, 7, 21, tzinfo=UTC)

# Every property of the OpenAPI document's schema Alert.
PROPERTIES = {
    *("id", "areaDesc", "geocode", "affectedZones", "references"),
    *("sent", "effective", "onset", "expires", "ends"),
    *("status", "messageType", "category", "severity", "certainty", "urgency", "response"),
    *("event", "sender", "senderName", "headline", "description", "instruction", "parameters"),
}


def events(found: list[dict[str, Any]]) -> Counter[str]:
    return Counter(one["properties"]["event"] for one in found)


def sent(one: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(one["properties"]["sent"])


# Of the service's own chart, https://www.weather.gov/safety/heat-index: rounded to whole degrees.
@pytest.mark.parametrize(
    ("temperature", "humidity", "index"),
    [(80, 40, 80), (86, 65, 93), (90, 70, 105), (96, 50, 108), (100, 40, 109), (110, 40, 136)],
)
def test_the_heat_index_is_the_published_one(temperature: int, humidity: int, index: int) -> None:
    assert heat_index_f(temperature, humidity) == pytest.approx(index, abs=1)


def test_there_is_no_heat_index_in_the_cold() -> None:
    assert heat_index_f(79.9, 90) is None


def test_alerts_of_a_week(connect: Connect, year: Source) -> None:
    found = connect(make_app(year)).alerts(["NY", "NJ"], *WEEK)
    assert events(found)["Excessive Heat Warning"] >= 3
    assert [sent(one) for one in found] == sorted(map(sent, found), reverse=True)
    assert all(WEEK[0] <= sent(one) <= WEEK[1] for one in found)
    assert len({one["id"] for one in found}) == len(found)


def test_an_alert_has_the_service_s_shape(connect: Connect, year: Source) -> None:
    for one in connect(make_app(year)).alerts("NY,NJ", *YEAR):
        properties = one["properties"]
        assert PROPERTIES | {"@id", "@type"} == set(properties)
        assert (
            one["id"] == properties["@id"] == f"https://api.weather.gov/alerts/{properties['id']}"
        )
        assert re.fullmatch(r"urn:oid:2\.49\.0\.1\.840\.0\.[0-9a-f]{40}\.001\.1", properties["id"])
        assert properties["status"] == "Test"
        assert properties["category"] == "Met"
        zone = properties["geocode"]["UGC"][0]
        assert zone in {"NJZ108", "NYZ178", "NYZ176", "NYC081", "NJC039"}
        assert properties["affectedZones"][0].endswith(f"/{zone}")
        assert properties["geocode"]["SAME"] == [{"NJ": "034039", "NY": "036081"}[zone[:2]]]
        # Times carry the offset of the place.
        assert sent(one).utcoffset() in {timedelta(hours=-4), timedelta(hours=-5)}
        assert sent(one) < datetime.fromisoformat(properties["ends"])


def test_the_criteria_are_met_and_nothing_is_missed(connect: Connect, year: Source) -> None:
    """Count the days by their own arithmetic: fog, and wind without the impossible one."""
    expected: Counter[str] = Counter()
    for held in year.observations.values():
        days: dict[str, set[str]] = {"Dense Fog Advisory": set(), "wind": set()}
        for one in held:
            told = one.render(one.time)["properties"]
            day = told["timestamp"][:10]
            seen, gust, wind = (
                told[field]["value"] for field in ("visibility", "windGust", "windSpeed")
            )
            if seen is not None and seen <= 402.4:
                days["Dense Fog Advisory"].add(day)
            if wind is not None and wind < 400 and max(wind / 31, (gust or 0) / 46) >= 1.609:
                days["wind"].add(day)
        expected.update({name: len(those) for name, those in days.items()})
    found = connect(make_app(year)).alerts([], *YEAR)
    windy = {
        (one["properties"]["areaDesc"], sent(one).astimezone(UTC).date())
        for one in found
        if one["properties"]["event"] in {"Wind Advisory", "High Wind Warning"}
    }
    assert events(found)["Dense Fog Advisory"] == expected["Dense Fog Advisory"] > 40
    assert len(windy) == expected["wind"] > 20


def test_what_goes_on_past_midnight_is_an_update(connect: Connect, year: Source) -> None:
    found = connect(make_app(year)).alerts(["NY", "NJ"], *YEAR)
    known = {one["properties"]["id"]: one for one in found}
    updates = [one for one in found if one["properties"]["messageType"] == "Update"]
    assert len(updates) >= 3
    for one in found:
        references = one["properties"]["references"]
        assert bool(references) == (one["properties"]["messageType"] == "Update")
        for reference in references:
            earlier = known[reference["identifier"]]
            assert earlier["properties"]["sent"] == reference["sent"]
            assert sent(earlier) < sent(one)


def test_an_area_has_its_own_alerts(connect: Connect, year: Source) -> None:
    client = connect(make_app(year))
    both, one = client.alerts("NY,NJ", *WEEK), client.alerts(["NJ"], *WEEK)
    assert 0 < len(one) < len(both)
    assert all(a["properties"]["geocode"]["UGC"][0].startswith("NJ") for a in one)
    assert client.alerts(["CA"], *WEEK) == []
    assert client.alerts([], *WEEK) == both


def test_pages_are_followed(
    connect: Connect, year: Source, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    client = connect(make_app(year))
    whole = client.alerts(["NY"], *YEAR)
    monkeypatch.setattr("jobs.nws_simulator.query.MAX_LIMIT", 20)
    monkeypatch.setattr("jobs.nws.pages.PAGE_SIZE", 20)
    asked.clear()
    assert client.alerts(["NY"], *YEAR) == whole
    assert len(asked) == -(-len(whole) // 20) > 2
    assert "area%5B0%5D=NY" in asked[1]


def test_a_list_that_never_ends_is_read_once(
    connect: Connect, year: Source, asked: list[str]
) -> None:
    whole = connect(make_app(year)).alerts(["NY"], *WEEK)
    asked.clear()
    endless = connect(make_app(year, Faults({"endless-alerts": 1.0})))
    assert endless.alerts(["NY"], *WEEK) == whole
    assert len(asked) == 2


def test_alerts_follow_the_clock(connect: Connect) -> None:
    source = airports()
    noon = datetime(2013, 7, 18, 16, tzinfo=UTC)
    client = connect(make_app(source, now=lambda: noon))
    known = client.alerts(["NY", "NJ"], *WEEK)
    assert known
    assert all(sent(one) <= noon for one in known)
    later = connect(make_app(source)).alerts(["NY", "NJ"], *WEEK)
    assert {one["id"] for one in known} < {one["id"] for one in later}


def test_an_unknown_area_is_a_bad_request(connect: Connect, year: Source) -> None:
    with pytest.raises(BadRequest, match=r"query\.area.*'New York'"):
        connect(make_app(year)).alerts("New York", *WEEK)


def test_a_span_has_an_order(connect: Connect, year: Source) -> None:
    with pytest.raises(ValueError, match="must come before"):
        connect(make_app(year)).alerts("NY", WEEK[1], WEEK[0])


def test_every_state_has_its_code() -> None:
    assert len(FIPS) == len(set(FIPS.values())) == 51
    assert (FIPS["NY"], FIPS["NJ"], FIPS["WY"]) == ("36", "34", "56")
