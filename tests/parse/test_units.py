"""Units, by numbers from elsewhere than the table under test."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.parse.units import UNITS, convert, number


@pytest.mark.parametrize(
    ("value", "code", "to", "expected"),
    [
        (32.0, "wmoUnit:degF", "degC", 0.0),
        (212.0, "unit:degF", "degC", 100.0),
        (-40.0, "degF", "degC", -40.0),
        (273.15, "wmoUnit:K", "degC", 0.0),
        (6.7000000000000002, "wmoUnit:degC", "degC", 6.7),
        (36.0, "wmoUnit:km_h-1", "m_s-1", 10.0),
        (5.1, "unit:m_s-1", "m_s-1", 5.1),
        (10.0, "nwsUnit:kt", "m_s-1", 5.144444),
        (1.0, "uc:mi_h-1", "km_h-1", 1.609344),
        (1013.25, "wmoUnit:hPa", "Pa", 101325.0),
        (29.92, "inHg", "Pa", 101320.76),
        (0.0122, "unit:m", "mm", 12.2),
        (12.2, "wmoUnit:mm", "mm", 12.2),
        (1.0, "in", "mm", 25.4),
        (10.0, "wmo:mi", "m", 16093.44),
        (1000.0, "wmoUnit:ft", "m", 304.8),
        (270.0, "wmoUnit:degree_(angle)", "degree_(angle)", 270.0),
        (55.5, "wmoUnit:percent", "percent", 55.5),
        (20.0, "http://codes.wmo.int/common/unit:degC", "degC", 20.0),
    ],
)
def test_values_by_their_unit_code(value: float, code: str, to: str, expected: float) -> None:
    assert convert(value, code, to) == pytest.approx(expected, abs=0.01 if code == "inHg" else 1e-6)


@pytest.mark.parametrize("code", ["wmoUnit:furlong", "", "wmoUnit:", "wmoUnit:Pa", "DEGC"])
def test_an_unknown_or_foreign_unit_gives_nothing(code: str) -> None:
    assert convert(1.0, code, "degC") is None


def test_there_is_no_negative_zero() -> None:
    assert math.copysign(1, convert(-0.0, "degC", "degC") or 0.0) == 1


@given(st.floats(-1e6, 1e6), st.sampled_from(sorted(UNITS)), st.sampled_from(sorted(UNITS)))
def test_there_and_back_is_the_same(value: float, one: str, other: str) -> None:
    there = convert(value, one, other)
    if UNITS[one].dimension != UNITS[other].dimension:
        assert there is None
        return
    assert there is not None
    # What a millionth of the coarser unit is in the finer one.
    lost = 1e-6 * max(1.0, UNITS[other].factor / UNITS[one].factor)
    assert convert(there, other, one) == pytest.approx(value, rel=1e-9, abs=2 * lost)


@pytest.mark.parametrize(
    ("raw", "value"),
    [(3, 3.0), (2.5, 2.5), ("2.5", 2.5), (" -4 ", -4.0), ("1e2", 100.0), (0, 0.0)],
)
def test_numbers_and_numeric_strings(raw: Any, value: float) -> None:
    assert number(raw) == value


@pytest.mark.parametrize(
    "raw", [None, True, False, "", "M", "nan", "inf", math.nan, math.inf, 10**400, "1,5", [], {}]
)
def test_what_is_no_number_is_nothing(raw: Any) -> None:
    assert number(raw) is None
