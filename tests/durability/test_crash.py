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

from tests.durability.hammers import (
    Chains,
    Crowd,
    Loner,
    Rival,
    examine,
    prepare,
    served_as_stored,
)
from tests.durability.linear import broken_chains
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
    prepare(catalog)
    alone = 0
    crowd, chains = Crowd(catalog), Chains()
    loners = [Loner(crowd, f"s{number}", SEED) for number in range(4)]
    rivals = [Rival(crowd, f"r{number}", SEED) for number in range(4)]
    try:
        for one in [*loners, *rivals]:
            crowd.add(one.work)
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
                examine(catalog, loners, chains)
            catalog.start()
            examine(catalog, loners, chains)
        crowd.go()
        crowd.wait_for_answers(20)
        crowd.halt()
        crowd.wait_until_parked()
    finally:
        crowd.end()
    crowd.check()
    examine(catalog, loners, chains)
    writes = [write for rival in rivals for write in rival.writes]
    reads = [read for rival in rivals for read in rival.reads]
    outcomes = ", ".join(
        f"{sum(write.outcome == outcome for write in writes)} {outcome}"
        for outcome in ("done", "refused", "unknown")
    )
    tell(
        f"seed {SEED}: {KILLS} kills and {alone} of a worker alone, {crowd.answered} effects"
        f" acknowledged; shared tables: {outcomes}, {len(reads)} reads;"
        f" {sum(one.repeated for one in [*loners, *rivals])} repeated by key"
    )
    assert not broken_chains(chains.versions, writes, reads)
    served_as_stored(catalog)
