"""The page of permissions and the code."""

from pathlib import Path

from falcon_catalog.catalog.privileges import BITS, CONTAINED, names
from tests.access import matrix

PAGE = Path(__file__).parents[2] / "docs" / "permissions.md"


def test_the_matrix_is_that_of_the_operations_table() -> None:
    text = PAGE.read_text(encoding="utf-8")
    begin = text.index(matrix.HEAD[0])
    written = text[begin:].split("\n\n")[0].splitlines()
    assert written == list(matrix.lines()), "python -m tests.access.matrix prints it"


def test_the_table_of_privileges_is_that_of_the_code() -> None:
    text = PAGE.read_text(encoding="utf-8")
    shown = {}
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 3 and cells[0].strip("`") in BITS:
            shown[cells[0].strip("`")] = cells[2]
    assert list(shown) == list(BITS)
    for name, bit in BITS.items():
        contained = ", ".join(f"`{each}`" for each in names(CONTAINED.get(bit, 0)))
        assert shown[name] in (contained, "all of these" if name == "own" else contained)
