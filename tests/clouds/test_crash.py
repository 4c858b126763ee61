"""A server on an object store is killed again and again, while requests to the store fail.

As ``tests/durability/test_crash.py``, with a store whose answers get lost: nothing acknowledged is
lost, and each table has one unbroken chain of versions.
"""

import contextlib
import os
import random
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clouds import emulators, faulty
from tests.clouds.catalogs import S3Catalog
from tests.clouds.faulty import KEPT_AWAY, LOST, Faulty
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
from tests.durability.processes import PROCESSES, SCALE, SEED
from tests.processes import wait_for

KILLS = max(1, round(8 * SCALE))
FAULTS = (*LOST, *KEPT_AWAY, "slow", "late")


@pytest.fixture
def proxy(s3: emulators.S3) -> Iterator[Faulty]:
    with faulty.before(s3.url) as proxy:
        yield proxy


@pytest.fixture(params=PROCESSES)
def catalog(
    request: pytest.FixtureRequest, s3: emulators.S3, proxy: Faulty, tmp_path: Path
) -> Iterator[S3Catalog]:
    catalog = S3Catalog(tmp_path, s3, proxy.url, processes=request.param)
    yield catalog
    catalog.kill()


@pytest.mark.timeout(200 + 30 * KILLS)
def test_kills_and_faults_lose_nothing_acknowledged(
    catalog: S3Catalog, proxy: Faulty, request: pytest.FixtureRequest
) -> None:
    chance = random.Random(SEED)  # noqa: S311 - chance that can be repeated
    catalog.start()
    prepare(catalog)
    crowd, chains = Crowd(catalog), Chains()
    loners = [Loner(crowd, f"s{number}", SEED) for number in range(3)]
    rivals = [Rival(crowd, f"r{number}", SEED) for number in range(3)]
    try:
        for one in [*loners, *rivals]:
            crowd.add(one.work)
        for number in range(KILLS):
            proxy.rain(f"{SEED} {number}", chance.choice((0.1, 0.3)), FAULTS)
            crowd.go()
            crowd.wait_for_answers(chance.randrange(1, 30))
            if chance.random() < 0.3 and (workers := catalog.workers()):
                os.kill(chance.choice(workers), signal.SIGKILL)
                crowd.wait_for_answers(chance.randrange(1, 10))
            crowd.halt()
            catalog.kill()
            crowd.wait_until_parked()
            if chance.random() < 0.5:
                proxy.clear()  # what came late comes now
            catalog.start()
            examine(catalog, loners, chains)
        proxy.clear()
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
    tried = (
        f"seed {SEED}: {KILLS} kills, {crowd.answered} effects acknowledged; shared tables:"
        f" {outcomes}, {len(reads)} reads; {sum(proxy.spoiled.values())} requests to the store"
        f" spoiled of {len(proxy.requests)}"
    )
    request.node.user_properties.append(("what was tried", tried))
    assert not broken_chains(chains.versions, writes, reads)

    def is_served() -> bool:  # a process asks only every other second whether the store is back
        with contextlib.suppress(AssertionError):
            served_as_stored(catalog)
            return True
        return False

    wait_for(is_served, "every table to be served as it is stored")
