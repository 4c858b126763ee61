"""Three servers behind a balancer: killed at random with their database, and restarted one by one.

DURABILITY_SEED and DURABILITY_SCALE are those of tests/durability.
"""

import random
import threading
import uuid
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.durability import wire
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
from tests.durability.processes import SCALE, SEED
from tests.postgres.cluster import Cluster
from tests.postgres.fleet import SERVERS, Fleet
from tests.processes import wait_for

CRASHES = max(3, round(9 * SCALE))


@pytest.fixture
def database() -> Iterator[Cluster]:
    """A database that flushes what it acknowledges."""
    cluster = Cluster(durable=True)
    cluster.create()
    cluster.start()
    yield cluster
    cluster.remove()


@pytest.fixture
def fleet(database: Cluster, tmp_path: Path) -> Iterator[Fleet]:
    fleet = Fleet(tmp_path, database)
    try:
        fleet.start()
        yield fleet
    finally:
        fleet.kill()


@pytest.mark.timeout(300 + 40 * CRASHES)
def test_crashes_of_servers_and_the_database_lose_nothing_acknowledged(
    fleet: Fleet, database: Cluster
) -> None:
    """Every session finds its acknowledged writes, and the shared tables one history for all."""
    chance = random.Random(SEED)  # noqa: S311 - chance that can be repeated
    prepare(fleet)
    crowd, chains = Crowd(fleet), Chains()
    loners = [Loner(crowd, f"s{number}", SEED) for number in range(3)]
    rivals = [Rival(crowd, f"r{number}", SEED) for number in range(3)]
    kinds = ["a server", "the database", "all"]
    try:
        for one in [*loners, *rivals]:
            crowd.add(one.work)
        for number in range(CRASHES):
            crowd.go()
            crowd.wait_for_answers(chance.randrange(1, 30))
            kind = kinds[number % len(kinds)]
            if kind == "a server":
                fleet.kill_server(chance.randrange(SERVERS))
                crowd.wait_for_answers(10)  # from the others
            else:
                if kind == "all":
                    for each in range(SERVERS):
                        fleet.kill_server(each)
                database.crash()
                database.start()
            crowd.halt()
            fleet.start()
            crowd.wait_until_parked()
            examine(fleet, loners, chains)
        crowd.go()
        crowd.wait_for_answers(20)
        crowd.halt()
        crowd.wait_until_parked()
    finally:
        crowd.end()
    crowd.check()
    examine(fleet, loners, chains)
    writes = [write for rival in rivals for write in rival.writes]
    reads = [read for rival in rivals for read in rival.reads]
    assert Counter(write.outcome for write in writes)["done"] > 0
    assert broken_chains(chains.versions, writes, reads) == []
    served_as_stored(fleet)


def test_a_retry_through_the_balancer_has_one_effect(fleet: Fleet) -> None:
    """The same key, sent to every server at once and again later: one effect, one answer."""
    prepare(fleet)
    for number in range(5):
        key, path = str(uuid.uuid4()), wire.table("")
        body = wire.creation(f"once{number}", "made")

        def create(key: str = key, path: str = path, body: object = body) -> tuple[int | None, str]:
            client = fleet.client()
            answer = client.ask("POST", path, body, key=key)
            client.close()
            location = answer.body.get("metadata-location", "") if answer.body else ""
            return answer.status, location

        with ThreadPoolExecutor(2 * SERVERS) as pool:
            answers = list(pool.map(lambda _, create=create: create(), range(2 * SERVERS)))
        answers += [create() for _ in range(SERVERS)]
        assert {status for status, _ in answers} == {200}
        assert len({location for _, location in answers}) == 1
    assert len([name for name in fleet.look().pointers() if "once" in name]) == 5


def test_a_rolling_restart_under_load_fails_no_request(fleet: Fleet) -> None:
    prepare(fleet)
    over, answered, failed = threading.Event(), Counter[str](), []

    def work(name: str) -> None:
        client, number = fleet.client(), 0
        while not over.is_set():
            number += 1
            change = wire.change(f"{name}-{number}")
            for verb, body in (("GET", None), ("POST", change)):
                answer = client.ask(verb, wire.table(name), body)
                answered[name] += 1
                if not answer.done:
                    failed.append(answer)
        client.close()

    threads = [threading.Thread(target=work, args=(name,)) for name in ("h0", "h1", "h2")]
    for thread in threads:
        thread.start()
    try:
        for number in range(SERVERS):
            before = answered.total()
            wait_for(lambda before=before: answered.total() > before + 10, "answers")
            fleet.drain(number)
            assert fleet.stop_server(number) == 0
            before = answered.total()
            wait_for(lambda before=before: answered.total() > before + 10, "answers")
            fleet.start_server(number)
            fleet.ready(number)
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert failed == []
    served_as_stored(fleet)


def test_a_commit_is_seen_by_every_server_at_once(fleet: Fleet) -> None:
    prepare(fleet)
    for number in range(SERVERS * 2):
        client = fleet.client()
        answer = client.ok("POST", wire.table("h0"), wire.change(f"op{number}"))
        for _ in range(SERVERS):
            seen = client.ok("GET", wire.table("h0"))
            assert seen["metadata-location"] == answer["metadata-location"]
        client.close()
