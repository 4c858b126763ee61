"""Statements sent to the database: goal 10, which needs no clock."""

from benchmarks.bench import Bench
from benchmarks.rounds import Line

TEST = "tests/catalog/test_documents.py"


def goal(_bench: Bench) -> list[Line]:
    """Goal 10: name the test that counts them."""
    text = "statements: 1 SELECT for a load; 1 UPDATE for a commit"
    return [Line("10", text, note=f"counted by a test: {TEST}")]
