"""The fast reader of observations says what the careful one says, of anything."""

from __future__ import annotations

import gc
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobs.lake.schemas import QUANTITIES
from jobs.nws_simulator import Source
from jobs.nws_simulator.faults import DATA_FAULTS, spoil
from jobs.parse import columns
from jobs.parse.batches import (
    RawAnswer,
    Tally,
    collector_paused,
    raw_answer,
    read_batch,
    read_observations,
)
from jobs.parse.ranges import RANGES
from jobs.parse.schema_drift import QC_CODES
from jobs.parse.units import UNITS, convert
from jobs.targets import write_json
from tests.parse.carefully import read_carefully
from tests.parse.test_recordings import of_type
from tests.parse.test_records import NOON, anything, nearly, observation, quantity

FETCHED = "2024-02-20T13:00:00.000001+00:00"
WELL = settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])


def answers(*features: list[Any]) -> list[dict[str, Any]]:
    return [
        {"station_id": f"K{number:03d}", "fetched_at": FETCHED, "features": own}
        for number, own in enumerate(features)
    ]


def agree(asked: list[dict[str, Any]], raw: list[RawAnswer] | None = None) -> pa.Table:
    """Require that both readers give the same rows and tell the same of them."""
    fast, careful = Tally(), Tally()
    rows = read_observations([raw_answer(one) for one in asked] if raw is None else raw, fast)
    expected = read_carefully(asked, careful)
    assert rows.schema.equals(expected.schema, check_metadata=True)
    rows.validate(full=True)
    assert [repr(row) for row in rows.to_pylist()] == [repr(row) for row in expected.to_pylist()]
    assert vars(fast) == vars(careful)
    assert [list(kept.items()) for kept in (fast.reasons, fast.drift, fast.stations)] == [
        list(kept.items()) for kept in (careful.reasons, careful.drift, careful.stations)
    ]
    return rows


def taken(*features: Any) -> int:
    """Count the features that the fast reader is sure of."""
    decoded = columns.decode(raw_answer(answers(list(features))[0]).features)
    assert len(decoded) == len(features)
    _, sure = columns.read([one for one in decoded if one is not None])
    return sum(sure.to_pylist())


def test_nothing_is_read_from_nothing() -> None:
    assert agree([]).num_rows == 0
    assert agree(answers([], [])).num_rows == 0
    assert agree(answers([], [observation()], [])).num_rows == 1


def test_recorded_answers_are_read_the_same_and_mostly_fast(recorded_folder: Path) -> None:
    features = of_type(recorded_folder, "timestamp")
    assert agree(answers(features[:100], features[100:])).num_rows > 150
    # The others have a value that cannot be, or a time that only their URL tells.
    assert taken(*features) > 0.9 * len(features)


@pytest.fixture(scope="module")
def week(year: Source) -> dict[str, list[dict[str, Any]]]:
    start = datetime(2013, 2, 9, tzinfo=UTC)
    return {
        name: [o.render(o.time) for o in held if start <= o.time < start + timedelta(days=7)]
        for name, held in year.observations.items()
    }


def test_the_stand_in_is_read_the_same_and_mostly_fast(
    week: dict[str, list[dict[str, Any]]],
) -> None:
    assert agree(answers(*week.values())).num_rows > 300
    features = [feature for held in week.values() for feature in held]
    # A wind of 1048 mph is in it.
    assert 0.99 * len(features) < taken(*features) < len(features)


@pytest.mark.parametrize("faults", [*([name] for name in DATA_FAULTS), list(DATA_FAULTS)])
def test_spoiled_data_is_read_the_same(
    week: dict[str, list[dict[str, Any]]], faults: list[str]
) -> None:
    agree(answers(*(spoil(held, faults, Random(5)) for held in week.values())))  # noqa: S311


def test_what_is_odd_is_left_to_the_careful_reader() -> None:
    celsius = "wmoUnit:degC"
    odd: list[Any] = [
        None,
        [],
        {},
        observation(soilMoisture=1),
        observation(temperature=7),
        observation(temperature=quantity("7", celsius)),
        observation(temperature=quantity(1e300, "wmoUnit:degF")),
        observation(temperature=quantity(float("nan"), celsius)),
        observation(temperature=quantity(None, "wmoUnit:furlong")),
        observation(temperature=quantity(None, celsius, "W")),
        observation(temperature=quantity(7, "wmoUnit:Pa")),
        observation(temperature=quantity(7, None)),
        observation(temperature=quantity(70, celsius)),
        observation(temperature=quantity(7, celsius) | {"minValue": 5}),
        observation(temperature=quantity(7, celsius), dewpoint=quantity(7.6, celsius)),
        observation(cloudLayers=[{"base": None, "amount": "XYZ"}]),
        observation(cloudLayers={}),
        observation(rawMessage=7),
        observation(textDescription="\ud800"),
        observation(timestamp="date:now"),
        observation(stationId="../etc", station=None),
        observation() | {"geometry": {"coordinates": [181, 0]}},
        observation() | {"geometry": {"coordinates": [1, 2, 3]}},
        observation() | {"geometry": "POINT(1 2)"},
        dict(observation(temperature=quantity(7, celsius))["properties"]),
    ]
    for one in odd:
        assert taken(one) == 0, one
        agree(answers([observation(), one, observation(stationId="KAAA")]))
    agree(answers(odd, [observation()], odd))


def test_what_is_well_formed_is_read_fast() -> None:
    well = [
        observation(),
        observation() | {"geometry": None, "extra": 1},
        observation(temperature=None, dewpoint={}, windSpeed=quantity(None, "unit:kt", "qc:Z")),
        observation(temperature=quantity(7, "wmoUnit:degC"), dewpoint=quantity(7.5, "uc:degC")),
        observation(stationId=None, icon=[1], presentWeather=7, cloudLayers=None),
        observation(cloudLayers=[{"amount": "OVC", "base": {"b": 1.50, "a": "é\n"}}]),
        observation(textDescription="", rawMessage="é"),
    ]
    for one in well:
        assert taken(one) == 1, one
        agree(answers([one]))
    agree(answers(well))


# Whole numbers, tenths, and what other units leave behind the point.
numbers = (
    st.none()
    | st.integers(-400, 120_000)
    | st.decimals(-400, 1100, places=1).map(float)
    | st.floats(-1e7, 1e7)
    | st.floats()
    | st.integers()
    | st.builds(lambda whole: (whole + 0.5) / 1e6, st.integers(-(10**9), 10**9))
)
codes = st.builds(
    "".join,
    st.tuples(
        st.sampled_from(["wmoUnit:", "unit:", "", "other:"]), st.sampled_from([*UNITS, "furlong"])
    ),
)
flags = st.none() | st.sampled_from([*sorted(QC_CODES), "qc:V", "W", ""])


@st.composite
def weathers(draw: st.DrawFn) -> dict[str, Any]:
    """Make an observation that is mostly well-formed."""
    found: dict[str, Any] = {}
    for one in draw(st.lists(st.sampled_from(QUANTITIES), unique=True, max_size=4)):
        code = draw(st.just(f"wmoUnit:{one.unit}") | codes)
        low, high = RANGES[one.column]
        value = draw(st.floats(low, high) | numbers)
        found[one.field] = quantity(value, code, draw(flags))
    found |= draw(
        st.fixed_dictionaries(
            {},
            optional={
                "stationId": st.sampled_from(["KFLG", "KAAA", "", None]),
                "timestamp": st.sampled_from(
                    [NOON, "2024-02-20T12:00:00Z", "2024-02-20T05:00:00-07:00"]
                ),
                "textDescription": st.text(max_size=5) | st.none(),
                "rawMessage": st.text(max_size=5),
                "presentWeather": st.lists(anything, max_size=2),
                "cloudLayers": st.lists(
                    st.fixed_dictionaries({"amount": st.sampled_from(["FEW", "OVC", "XYZ"])}),
                    max_size=2,
                ),
                "elevation": st.builds(quantity, numbers, codes),
                "mystery": st.integers(),
            },
        )
    )
    pair = draw(st.tuples(st.floats(-180, 180) | numbers, st.floats(-90, 90)).map(list))
    return observation(**found) | {"geometry": {"type": "Point", "coordinates": pair}}


@WELL
@given(st.lists(st.lists(weathers() | anything | nearly, max_size=5), max_size=3))
def test_whatever_is_said_is_read_the_same(features: list[list[Any]]) -> None:
    agree(answers(*features))


@settings(max_examples=500)
@given(st.lists(numbers, min_size=1), st.sampled_from(sorted(UNITS)), st.sampled_from(QUANTITIES))
def test_columns_are_converted_as_single_values_are(given_: list[Any], code: str, one: Any) -> None:
    values = [None if value is None else _float(value) for value in given_]
    converted = columns._rounded(columns._converted(pa.array(values, pa.float64()), code, one.unit))
    for value, found in zip(values, converted.to_pylist(), strict=True):
        if found is not None:
            assert value is not None
            assert repr(found) == repr(convert(value, code, one.unit))


def _float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("inf")


def test_numbers_of_any_size_are_rounded_as_python_rounds_them() -> None:
    values = [sign * 0.1 * 3.1**power for power in range(-30, 200) for sign in (1, -1)]
    found = columns._rounded(pa.array(values)).to_pylist()
    sure = [(one, round(value, 6)) for one, value in zip(found, values, strict=True) if one]
    assert len(sure) > 20
    assert [one for one, _ in sure] == [rounded for _, rounded in sure]


def test_a_value_to_a_tenth_is_converted_fast() -> None:
    """The careful reader is for the odd ones: none of these is left to it."""
    tenths = pa.array([one / 10 for one in range(-900, 600)])
    for code, to in (("degC", "degC"), ("degF", "degC"), ("km_h-1", "m_s-1"), ("hPa", "Pa")):
        found = columns._rounded(columns._converted(tenths, code, to))
        assert found.to_pylist() == [convert(one, code, to) for one in tenths.to_pylist()]


def test_a_file_is_read_as_it_was_written(
    week: dict[str, list[dict[str, Any]]], tmp_path: Path
) -> None:
    asked = answers(*week.values())
    asked[0] |= {"start": NOON, "end": NOON}
    asked[1] |= {"error": "half a pair \ud800", "features": []}
    del asked[2]["fetched_at"]
    asked[2]["features"][0]["properties"]["rawMessage"] = "\ud800"
    for number, kept in enumerate((asked[:1], asked, [])):
        path = tmp_path / f"{number}.json.gz"
        write_json(path, kept)
        agree(kept, read_batch(path))
    assert [one.station_id for one in read_batch(tmp_path / "1.json.gz")] == [
        "K000",
        "K001",
        "K002",
    ]


def test_the_readers_agree_over_many_blocks(
    week: dict[str, list[dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.parse.batches._BLOCK", 50)
    (first, *_) = week.values()
    doubled = [*first, *reversed(first), {"properties": {}}]
    assert agree(answers(*([one] for one in doubled), doubled)).num_rows == len(first)


def test_a_text_that_is_no_json_is_refused() -> None:
    with pytest.raises(json.JSONDecodeError):
        columns.decode(msgspec.Raw(b"[{]"))


@pytest.mark.parametrize("enabled", [True, False])
def test_the_collector_is_left_as_it_was(enabled: bool) -> None:
    before = gc.isenabled()
    try:
        (gc.enable if enabled else gc.disable)()
        with pytest.raises(json.JSONDecodeError), collector_paused():
            json.loads("[" if not gc.isenabled() else "[]")
        assert gc.isenabled() is enabled
    finally:
        (gc.enable if before else gc.disable)()
