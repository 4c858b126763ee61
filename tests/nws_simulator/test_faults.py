"""Faults: chosen fairly and repeatably; spoiled data that still reads as the same rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest

from jobs.nws.client import WeatherClient
from jobs.nws_simulator import Faults, Source, make_app
from jobs.nws_simulator.faults import ANSWER_FAULTS, DATA_FAULTS, parse, spoil
from jobs.parse.records import (
    Reject,
    Row,
    parse_observation,
    unreadable_values,
)
from tests.parse.carefully import dedupe_observations

Connect = Callable[..., WeatherClient]

START = datetime(2013, 7, 1, tzinfo=UTC)
END = START + timedelta(days=25)


def rows_of(features: list[Any]) -> tuple[list[Row], list[Reject]]:
    parsed = [parse_observation(feature) for feature in features]
    rows = [one for one in parsed if not isinstance(one, Reject)]
    return dedupe_observations(rows), [one for one in parsed if isinstance(one, Reject)]


def values_of(rows: list[Row]) -> list[dict[str, Any]]:
    """Keep what a fault may not change: keys and values, but not the flags of nulls."""
    return [
        {
            key: pytest.approx(value, abs=2e-6) if isinstance(value, float) else value
            for key, value in row.items()
            if not key.endswith("_qc") and key not in {"present_weather", "cloud_layers"}
        }
        for row in rows
    ]


@pytest.fixture(scope="module")
def month(year: Source) -> list[dict[str, Any]]:
    held = year.observations["KJFK"]
    return [one.render(one.time) for one in held if START <= one.time < END]


@pytest.mark.parametrize("fault", DATA_FAULTS)
def test_spoiled_data_reads_as_the_same_rows(month: list[dict[str, Any]], fault: str) -> None:
    spoiled = spoil(month, [fault], Random(7))  # noqa: S311
    assert spoiled != month
    rows, rejects = rows_of(spoiled)
    whole, _ = rows_of(month)
    assert values_of(whole) == values_of(rows)
    assert [reject.reason for reject in rejects] == (["no timestamp"] if fault == "broken" else [])
    assert not any(unreadable_values(feature) for feature in spoiled)


def test_all_of_it_together_over_the_wire(
    connect: Connect, year: Source, month: list[dict[str, Any]]
) -> None:
    chances = dict.fromkeys(set(ANSWER_FAULTS) - {"timeout"}, 0.2) | dict.fromkeys(DATA_FAULTS, 1.0)
    client = connect(make_app(year, Faults(chances, seed=3)))
    rows, rejects = rows_of(client.observations("KJFK", START, END))
    assert values_of(rows_of(month)[0]) == values_of(rows)
    assert rejects


def test_flags_of_old_records_lose_their_prefix(month: list[dict[str, Any]]) -> None:
    spoiled = spoil(month, ["old-units"], Random(7))  # noqa: S311
    assert spoiled[0]["properties"]["temperature"]["qualityControl"] == "qc:C"
    assert {row["temperature_qc"] for row in rows_of(spoiled)[0]} == {"C"}


def test_spoiling_leaves_the_source_alone(month: list[dict[str, Any]]) -> None:
    before = repr(month)
    spoil(month, DATA_FAULTS, Random(1))  # noqa: S311
    assert repr(month) == before
    assert spoil(month, [], Random(1)) is month  # noqa: S311
    assert spoil([], DATA_FAULTS, Random(1)) == []  # noqa: S311


def test_chances_repeat_with_the_seed_whatever_the_order() -> None:
    urls = [f"/stations/K{n:03}" for n in range(200)]
    chances = {"throttle": 0.3, "error": 0.3, "strings": 0.5}
    one, other = Faults(chances, seed=5), Faults(chances, seed=5)
    forward = {url: one.choose(url) for url in urls}
    backward = {url: other.choose(url) for url in reversed(urls)}
    assert forward == backward
    changed = Faults(chances, seed=6)
    assert forward != {url: changed.choose(url) for url in urls}
    met = Counter(name for chosen in forward.values() for name in chosen)
    assert set(met) == set(chances)
    assert 30 < met["throttle"] < 90


def test_a_url_meets_only_so_many_faults_in_a_row() -> None:
    faults = Faults({"error": 1.0, "unsorted": 1.0}, in_a_row=2)
    met = [faults.choose("/a") for _ in range(6)]
    clean, failed = frozenset({"unsorted"}), frozenset({"error"})
    assert met == [failed, failed, clean, failed, failed, clean]
    assert faults.choose("/b") == failed


def test_a_script_is_played_once() -> None:
    faults = Faults(script=["throttle", "", "unsorted+strings"])
    assert [sorted(faults.choose("/")) for _ in range(4)] == [
        ["throttle"],
        [],
        ["strings", "unsorted"],
        [],
    ]


def test_a_specification() -> None:
    assert parse("throttle=0.1, unsorted,") == {"throttle": 0.1, "unsorted": 1.0}
    assert parse("") == {}


@pytest.mark.parametrize("spec", ["nonsense", "throttle+error=1", "throttle=x"])
def test_a_wrong_specification_is_named(spec: str) -> None:
    with pytest.raises(ValueError, match="fault"):
        Faults(parse(spec))


@pytest.mark.parametrize("chance", [-0.1, 1.1, float("nan")])
def test_a_chance_is_a_probability(chance: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        Faults({"error": chance})
