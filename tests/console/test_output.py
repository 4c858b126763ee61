"""Times as the commands print them."""

import io

import pytest
from rich.console import Console

from falcon_catalog.console.output import Column, Output, human_size, iso


@pytest.mark.parametrize("milliseconds", [2**63 - 1, -(2**63), 253_402_300_800_000, -(10**15)])
def test_a_time_that_no_calendar_has_is_a_number(milliseconds: int) -> None:
    out = Output()
    assert out.moment(milliseconds) == f"{milliseconds} ms"
    assert out.stamp(milliseconds) == f"{milliseconds} ms"
    assert iso(milliseconds) is None


def test_other_times_are_in_utc() -> None:
    assert Output().moment(1_764_000_000_123) == "2025-11-24T16:00:00Z"
    assert iso(1_764_000_000_123) == "2025-11-24T16:00:00.123Z"


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0 B"),
        (1023, "1,023 B"),
        (1024, "1.0 KiB"),
        (1_300_000, "1.2 MiB"),
        (512 * 1024**2, "512 MiB"),
        (2**60, "1,024 PiB"),
    ],
)
def test_sizes_have_the_units_of_the_pages(number: int, text: str) -> None:
    assert human_size(number) == text


def shown(width: int, name: str) -> list[str]:
    """Return the lines of a table on a terminal."""
    out = Output()
    out.console = Console(file=io.StringIO(), force_terminal=True, width=width, no_color=True)
    columns = [
        Column("name", may_wrap=True),
        Column("kind", left_out=2),
        Column("format", left_out=1),
        Column("rows", is_number=True),
    ]
    out.table(columns, [(name, "table", "v2", "1,000")])
    assert isinstance(out.console.file, io.StringIO)
    # Rich styles the titles.
    text = out.console.file.getvalue().replace("\x1b[1m", "").replace("\x1b[0m", "")
    return [" ".join(line.split()) for line in text.splitlines()]


@pytest.mark.parametrize(
    ("width", "lines"),
    [
        (80, ["name kind format rows", "marts.fct_station_count table v2 1,000"]),
        (38, ["name kind rows", "marts.fct_station_count table 1,000"]),
        (32, ["name rows", "marts.fct_station_count 1,000"]),
        (20, ["name rows", "marts.fct_sta 1,000", "tion_count"]),
    ],
)
def test_names_are_never_cut(width: int, lines: list[str]) -> None:
    assert shown(width, "marts.fct_station_count") == lines
