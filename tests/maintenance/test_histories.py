"""Whatever becomes of a table, maintenance leaves every row, and every file of other tables.

``HISTORIES=500 pytest tests/maintenance/test_histories.py`` runs that many histories, and
``HISTORY=137`` the one of that number, which is always the same.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.maintenance.histories import running
from tests.maintenance.histories.checks import live
from tests.maintenance.histories.story import tell
from tests.maintenance.lake import Lake

pytestmark = pytest.mark.slow

COUNT = int(os.environ.get("HISTORIES", "12"))
SEEDS = [int(os.environ["HISTORY"])] if "HISTORY" in os.environ else range(COUNT)


@pytest.fixture
def crowded(tmp_path: Path, duckdb_config: dict[str, str]) -> Iterator[Lake]:
    """A catalog that lets tables lie in one another's folders."""
    with running.crowded(tmp_path, duckdb_config) as lake:
        yield lake


@pytest.mark.parametrize("seed", SEEDS)
def test_history(crowded: Lake, seed: int) -> None:
    story = tell(seed)
    try:
        live(crowded, story)
    except BaseException as error:
        error.add_note(story.told())
        raise
