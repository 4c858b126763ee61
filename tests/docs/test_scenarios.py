"""The list of scenarios is whole, and names tests that exist."""

import re
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
ROW = re.compile(r"^\| (\d+) \|(.*)\|$", re.MULTILINE)
TEST = re.compile(r"^ *def (test_\w+)", re.MULTILINE)


def rows() -> dict[int, str]:
    page = (REPOSITORY / "docs/scenarios.md").read_text(encoding="utf-8")
    return {int(number): text for number, text in ROW.findall(page)}


def known() -> set[str]:
    files = (REPOSITORY / "tests/scenarios").glob("test_*.py")
    return {name for file in files for name in TEST.findall(file.read_text(encoding="utf-8"))}


def test_no_scenario_is_left_out() -> None:
    assert list(rows()) == list(range(1, 33))


def test_each_is_tested_by_what_exists() -> None:
    environments = (REPOSITORY / "tox.ini").read_text(encoding="utf-8")
    for number, text in rows().items():
        named = re.findall(r"`(test_\w+)`", text)
        assert set(named) <= known(), number
        own = [name for name in named if name.startswith(f"test_{number:02}_")]
        environment = re.search(r"`tox -e (\w+)`", text)
        if environment:
            assert f"[testenv:{environment[1]}]" in environments
        else:
            assert own, number


def test_each_test_of_a_scenario_is_in_its_row() -> None:
    for name in known():
        if match := re.match(r"test_(\d\d)_", name):
            assert f"`{name}`" in rows()[int(match[1])], name
