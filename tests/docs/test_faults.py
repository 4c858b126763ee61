"""The list of authorization faults is whole, and each fault has tests with its number."""

import re
from collections import defaultdict
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
ROW = re.compile(r"^\| (\d+) \|(.*)\|$", re.MULTILINE)
MARK = re.compile(r"^ *@pytest\.mark\.fault\(number=(\d+)\)$", re.MULTILINE)


def rows() -> dict[int, str]:
    page = (REPOSITORY / "docs/authorization-faults.md").read_text(encoding="utf-8")
    return {int(number): text for number, text in ROW.findall(page)}


def marked() -> dict[int, set[str]]:
    """Return the files that have tests of each fault."""
    found = defaultdict(set)
    for file in (REPOSITORY / "tests").rglob("test_*.py"):
        for number in MARK.findall(file.read_text(encoding="utf-8")):
            found[int(number)].add(file.relative_to(REPOSITORY).as_posix())
    return found


def test_no_fault_is_left_out() -> None:
    assert list(rows()) == list(range(1, 39))


def test_each_names_the_files_that_have_its_tests() -> None:
    named = {number: set(re.findall(r"\]\(\.\./(\S+)\)", text)) for number, text in rows().items()}
    assert named == marked()
