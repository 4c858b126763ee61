"""The server is killed again and again while it is hammered: nothing acknowledged is lost.

Each kill ends the server's processes at once, at a moment that a seed draws; then the store is
looked at, and the server starts again. With several processes some kills hit one of them only.
"""

import os
import random
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.durability.hammers import hammering, served_as_stored
from tests.durability.processes import PROCESSES, SCALE, SEED, Catalog

KILLS = max(1, round(50 * SCALE))
MOST_ANSWERS = int(os.environ.get("DURABILITY_ANSWERS", "40"))
"""That arrive between two kills."""


@pytest.fixture(params=PROCESSES)
def catalog(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Catalog]:
    catalog = Catalog(tmp_path, processes=request.param)
    yield catalog
    catalog.kill()


@pytest.mark.timeout(200 + 20 * KILLS)
def test_kills_lose_nothing_acknowledged(catalog: Catalog, tell: Callable[[str], None]) -> None:
    chance = random.Random(SEED)
    catalog.start()
    alone = 0
    with hammering(catalog, writers=4) as running:
        crowd = running.crowd
        for _ in range(KILLS):
            crowd.go()
            crowd.wait_for_answers(chance.randrange(1, MOST_ANSWERS))
            if chance.random() < 0.3 and (workers := catalog.workers()):
                os.kill(chance.choice(workers), signal.SIGKILL)
                alone += 1
                crowd.wait_for_answers(chance.randrange(1, 20))
            crowd.halt()
            catalog.kill()
            crowd.wait_until_parked()
            if chance.random() < 0.5:  # else the server itself is the first to open the store
                running.examine()
            catalog.start()
            running.examine()
    tell(f"{KILLS} kills and {alone} of a worker alone; {running.summary}")
    served_as_stored(catalog)
