"""A server on an object store is killed again and again, while requests to the store fail.

As ``tests/durability/test_crash.py``, with a store whose answers get lost: nothing acknowledged is
lost, and each table has one unbroken chain of versions.
"""

import os
import random
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.clouds import emulators, faulty
from tests.clouds.catalogs import S3Catalog
from tests.clouds.faulty import KEPT_AWAY, LOST, Faulty
from tests.durability.hammers import hammering, wait_until_served
from tests.durability.processes import PROCESSES, SCALE, SEED

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
    catalog: S3Catalog, proxy: Faulty, tell: Callable[[str], None]
) -> None:
    chance = random.Random(SEED)  # noqa: S311 - chance that can be repeated
    catalog.start()
    with hammering(catalog, writers=3) as running:
        crowd = running.crowd
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
            running.examine()
        proxy.clear()
    tell(
        f"{KILLS} kills; {running.summary}; {sum(proxy.spoiled.values())} requests to the store"
        f" spoiled of {len(proxy.requests)}"
    )
    wait_until_served(catalog)
