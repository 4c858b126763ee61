"""Three servers behind a balancer: killed at random with their database, and restarted one by one.

DURABILITY_SEED and DURABILITY_SCALE are those of tests/durability.
"""

import contextlib
import itertools
import json
import random
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from falcon_catalog.cli import main
from falcon_catalog.web import paths
from tests.durability import wire
from tests.durability.hammers import hammering, prepare, served_as_stored, wait_until_served
from tests.durability.processes import SCALE, SEED
from tests.postgres.cluster import Cluster
from tests.postgres.fleet import SERVERS, Fleet, Storage
from tests.processes import wait_for
from tests.web.browser import Browser

if TYPE_CHECKING:
    from tests.clouds.faulty import Faulty

CRASHES = max(3, round(9 * SCALE))
FAULTS = (
    "lost-500",
    "lost-close",
    "lost-reset",
    "lost-hang",
    "503",
    "reset",
    "hang",
    "slow",
    "late",
)


@pytest.fixture
def database() -> Iterator[Cluster]:
    """A database that flushes what it acknowledges."""
    cluster = Cluster(durable=True)
    cluster.create()
    cluster.start()
    yield cluster
    cluster.remove()


@pytest.fixture
def s3(tmp_path: Path) -> "Iterator[tuple[Storage, Faulty]]":
    """An S3 store behind a proxy that spoils requests to it."""
    pytest.importorskip("moto", reason="the extra emulators is not installed")
    from tests.clouds import emulators, faulty, stores  # noqa: PLC0415 - of that extra

    with emulators.s3("--bucket", "lake") as store, faulty.before(store.url) as proxy:
        location = f"s3://{store.bucket}/warehouse"
        warehouse = {"endpoint": proxy.url, "location": location, "credential": "env:STORE"}
        settings = {**store.settings(), **warehouse, "timeout": 1}
        environ = {f"CATALOG_WAREHOUSE_{key.upper()}": str(settings[key]) for key in settings}
        files = stores.s3_store(store).files(tmp_path)
        yield Storage({**environ, **store.environ("STORE")}, files.read), proxy


@contextlib.contextmanager
def serving(folder: Path, database: Cluster, storage: Storage) -> Iterator[Fleet]:
    fleet = Fleet(folder, database, storage)
    try:
        fleet.start()
        yield fleet
    finally:
        fleet.kill()


@pytest.fixture
def fleet(database: Cluster, tmp_path: Path) -> Iterator[Fleet]:
    """A fleet whose tables are in a folder."""
    storage = Storage({"CATALOG_WAREHOUSE_LOCATION": f"file://{tmp_path}/lake/warehouse"})
    with serving(tmp_path, database, storage) as fleet:
        yield fleet


def storm(fleet: Fleet, database: Cluster, before: Callable[[], object] = lambda: None) -> str:
    """Kill servers and the database again and again, each of them first; say what was done.

    Every session finds its acknowledged writes, and the shared tables have one history for all.
    ``before`` is called each time that everything serves again.
    """
    chance = random.Random(SEED)  # noqa: S311 - chance that can be repeated
    kills: Counter[str] = Counter()
    with hammering(fleet, writers=3) as running:
        crowd = running.crowd
        for number in range(CRASHES):
            before()
            crowd.go()
            crowd.wait_for_answers(chance.randrange(1, 30))
            kind = ("a server", "the database", "all")[number % 3]
            kills[kind] += 1
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
            running.examine()
        before()
    killed = ", ".join(f"{count} x {kind}" for kind, count in kills.items())
    return f"killed: {killed}; {running.summary}"


@pytest.mark.timeout(300 + 40 * CRASHES)
def test_crashes_of_servers_and_the_database_lose_nothing_acknowledged(
    fleet: Fleet, database: Cluster, tell: Callable[[str], None]
) -> None:
    tell(storm(fleet, database))
    served_as_stored(fleet)


@pytest.mark.clouds
@pytest.mark.timeout(300 + 60 * CRASHES)
def test_crashes_with_tables_in_a_failing_object_store_lose_nothing_acknowledged(
    s3: "tuple[Storage, Faulty]", database: Cluster, tmp_path: Path, tell: Callable[[str], None]
) -> None:
    storage, proxy = s3
    rounds = itertools.count()

    def rain() -> None:
        """Let what came late come now, and other faults rain."""
        proxy.clear()
        proxy.rain(f"{SEED} {next(rounds)}", 0.1, FAULTS)

    with serving(tmp_path, database, storage) as fleet:
        done = storm(fleet, database, rain)
        proxy.clear()
        wait_until_served(fleet)
    spoiled = sum(proxy.spoiled.values())
    assert spoiled > 0
    tell(f"{done}; {spoiled} requests to the store spoiled of {len(proxy.requests)}")


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


def test_a_login_to_the_pages_holds_on_every_server(database: Cluster, tmp_path: Path) -> None:
    """Sessions are in the database, and what a form proves follows from the session."""
    warehouse = {"CATALOG_WAREHOUSE_LOCATION": f"file://{tmp_path}/lake/warehouse"}
    storage = Storage({**warehouse, "CATALOG_AUTH_REQUIRED": "true"})
    with serving(tmp_path, database, storage) as fleet:
        words = ["principals", "add", "ann", "--owner", f"--store={fleet.url}", "--json"]
        added = CliRunner().invoke(main, words, catch_exceptions=False)
        browser = Browser(f"http://127.0.0.1:{fleet.port}")

        browser.open("/ui/login")
        browser.submit("/ui/login", credential=json.loads(added.stdout)["credential"])
        with every_server(fleet):
            for _ in range(SERVERS):
                browser.open("/")
                assert browser.visitor == "ann"
        form = {"form-token": browser.forms["/ui/logout"]["form-token"], "action": "create"}
        with every_server(fleet):
            for number in range(SERVERS):
                page = browser.post(paths.ROLES, {**form, "name": f"role{number}"})
                assert f"Created the role role{number}" in page.text
        ((cookie, session),) = browser.cookies.items()
        browser.submit("/ui/logout")
        browser.set_cookie(cookie, session)  # as a thief would have it
        with every_server(fleet):
            for _ in range(SERVERS):
                assert browser.open("/").url.endswith("/ui/login?next=%2F")


@contextlib.contextmanager
def every_server(fleet: Fleet) -> Iterator[None]:
    """Check that each server is asked meanwhile."""
    before = fleet.asked()
    yield
    assert all(now > then for now, then in zip(fleet.asked(), before, strict=True))
