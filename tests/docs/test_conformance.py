"""The page of conformance has every operation and rule, each with tests that exist."""

import re
from pathlib import Path

from falcon_catalog.conformance.check import RULES
from falcon_catalog.conformance.operations import OPERATIONS

PAGE = Path(__file__).parents[2] / "docs" / "conformance.md"


def rows(heading: str) -> list[list[str]]:
    """Return the cells of the table under a heading."""
    section = PAGE.read_text(encoding="utf-8").split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = re.findall(r"(?m)^\| (.*) \|$", section)[1:]
    return [[cell.strip() for cell in line.split(" | ")] for line in lines]


def test_every_operation_has_its_row() -> None:
    listed = [row[:2] for row in rows("Operations")]
    assert listed == [[f"`{each.id}`", f"`{each.endpoint}`"] for each in OPERATIONS]


def test_every_rule_has_its_row() -> None:
    assert [row[0] for row in rows("Rules")] == list(RULES)


def test_every_rule_names_tests() -> None:
    for row in rows("Rules"):
        assert re.search(r"\]\(\.\./tests/\w+/test_\w+\.py\)", row[2]), row
