"""The script behind docs/scale.md measures what the page shows."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from benchmarks import cluster
from benchmarks.scale import clients, commits, files, operations, snapshots, tables
from benchmarks.scale.__main__ import main
from benchmarks.scale.section import Section, put_into

REPOSITORY = Path(__file__).parents[2]
PAGE = REPOSITORY / "docs/scale.md"
HEADERS = {
    "tables": tables.HEADER,
    "operations": operations.HEADER,
    "snapshots": snapshots.HEADER,
    "plans": files.PLANS,
    "deep": files.DOCTOR,
    "commits": commits.header(),
    "clients": clients.HEADER,
}
ROWS = {"tables": 2, "operations": 2, "snapshots": 2, "plans": 2, "deep": 1, "clients": 2}
SIZES = "--tables 10,2000 --operations 5,10 --snapshots 1,3 --files 1e4,2e4 --clients 8,16"


def shown(page: Path, name: str) -> tuple[str, ...]:
    """Return the header of a table on the page."""
    text = page.read_text(encoding="utf-8")
    table = text.partition(f"<!-- begin {name} -->")[2].partition(f"<!-- end {name} -->")[0]
    first = table.strip().splitlines()[0]
    return tuple(cell.strip() for cell in first.strip("|").split("|"))


@pytest.mark.slow
@pytest.mark.parametrize("parts", ["tables,operations", "snapshots,files,clients", "commits"])
def test_what_the_page_shows_is_measured(tmp_path: Path, parts: str) -> None:
    page, report, plot = (tmp_path / name for name in ("scale.md", "scale.json", "scale.svg"))
    places = [f"<!-- begin {name} -->\n<!-- end {name} -->" for name in HEADERS]
    page.write_text("\n".join(places))
    options = f"--quick --parts {parts} {SIZES} --deep-files 10000 --cache {tmp_path / 'cache'}"
    files_of_it = ["--page", str(page), "--json", str(report), "--plot", str(plot)]
    done = CliRunner().invoke(main, [*options.split(), *files_of_it], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    sections: list[dict[str, Any]] = json.loads(report.read_text())["sections"]
    stores = 1 if cluster.missing() else 2
    for section in sections:
        name = section["name"]
        assert tuple(section["header"]) == HEADERS[name]
        if name in ROWS:
            assert len(section["rows"]) == ROWS[name] * (stores if name == "tables" else 1)
        for row in section["rows"]:
            assert len(row) == len(section["header"])
            assert all(isinstance(cell, str) or cell > 0 for cell in row)
        assert shown(page, name) == HEADERS[name]
    assert plot.exists() == ("tables" in parts)
    assert not list((tmp_path / "cache").iterdir())


def test_the_page_has_the_tables_that_are_measured() -> None:
    assert {name: shown(PAGE, name) for name in HEADERS} == HEADERS


def test_a_table_is_put_in_its_place() -> None:
    section = Section("a", "A", ("name", "number"), [["x", 1234.5], ["y", None], ["z", 0.01234]])
    page = "before\n<!-- begin a -->\nold\n<!-- end a -->\nafter\n"
    put = put_into(page, section)
    assert put.startswith("before\n<!-- begin a -->\n\n| name ")
    assert put.endswith("\n\n<!-- end a -->\nafter\n")
    assert all(cell in put for cell in ("1,234", "\N{EN DASH}", "0.0123"))
    assert put_into(put, section) == put
    with pytest.raises(ValueError, match="<!-- begin b -->"):
        put_into(page, Section("b", "B", ("name",), [["x"]]))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--parts", "tables,nothing"), "no part 'nothing'"),
        (("--tables", "1e3,x"), "'1e3,x' is not a list of numbers"),
        (("--tables", "0"), "'0' is not a list of numbers"),
        (("--files", "100"), "a table of fewer than 1,000 files has no day 77"),
    ],
)
def test_what_cannot_be_measured_is_refused(arguments: tuple[str, ...], said: str) -> None:
    done = CliRunner().invoke(main, arguments)
    assert (done.exit_code, said in done.output) == (2, True)
