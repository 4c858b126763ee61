"""Times as the commands print them."""

import pytest

from falcon_catalog.console.output import Output, iso


@pytest.mark.parametrize("milliseconds", [2**63 - 1, -(2**63), 253_402_300_800_000, -(10**15)])
def test_a_time_that_no_calendar_has_is_a_number(milliseconds: int) -> None:
    out = Output()
    assert out.moment(milliseconds) == f"{milliseconds} ms"
    assert out.stamp(milliseconds) == f"{milliseconds} ms"
    assert iso(milliseconds) is None


def test_other_times_are_in_utc() -> None:
    assert Output().moment(1_764_000_000_123) == "2025-11-24T16:00:00Z"
    assert iso(1_764_000_000_123) == "2025-11-24T16:00:00.123Z"
