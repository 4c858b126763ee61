"""Commits of a real server while requests to its object store fail, or their answers are lost.

Cases 22 and 23 end to end: a commit ends as exactly one version, or as 503 with the table
unchanged, and other warehouses notice nothing.
"""

import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.clouds import emulators, faulty
from tests.clouds.catalogs import S3Catalog, make_table, prefixed, said
from tests.clouds.faulty import KEPT_AWAY, LOST, SECRET, Faulty, only
from tests.durability import wire
from tests.durability.processes import Answer, Client
from tests.processes import wait_for

PUT = only("PUT", "/ns/")  # of a table: the check of the storage at startup makes probes
TABLE = wire.table("t")
QUICK = [each for each in (*LOST, *KEPT_AWAY) if "hang" not in each]


@pytest.fixture(scope="module")
def proxy(s3: emulators.S3) -> Iterator[Faulty]:
    with faulty.before(s3.url) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def catalog(
    s3: emulators.S3, proxy: Faulty, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[S3Catalog]:
    catalog = S3Catalog(tmp_path_factory.mktemp("faults"), s3, proxy.url)
    catalog.start_checked()
    with catalog.client() as client:
        client.ok("POST", wire.namespace(), {"namespace": ["ns"]})
    yield catalog
    assert catalog.stop() == 0


@pytest.fixture
def client(catalog: S3Catalog, proxy: Faulty) -> Iterator[Client]:
    with catalog.client() as client:
        yield client
        proxy.clear()
        wait_for(lambda: create(client, f"after{uuid.uuid4()}").done, "the store to be used again")


@pytest.fixture
def name(client: Client) -> str:
    """The name of a new table."""
    name = f"t{uuid.uuid4().hex}"
    assert create(client, name).done
    return name


def create(client: Client, name: str) -> Answer:
    return client.ask("POST", wire.table(""), wire.creation(name, "start"))


def commit(client: Client, name: str, op: str, key: str = "") -> Answer:
    return client.ask("POST", wire.table(name), wire.change(op), key=key)


class TestLostAnswers:
    @pytest.mark.parametrize("fault", LOST)
    def test_a_commit_is_one_version(
        self, catalog: S3Catalog, proxy: Faulty, client: Client, name: str, fault: str
    ) -> None:
        before = proxy.spoiled[fault]
        proxy.spoil(fault, match=PUT)
        assert commit(client, name, "one").done
        assert proxy.spoiled[fault] == before + 1
        assert catalog.chain(name) == ["start", "one"]
        assert len(catalog.metadata_files(name)) == 2

    @pytest.mark.parametrize("fault", LOST)
    def test_a_table_is_created_once(
        self, catalog: S3Catalog, proxy: Faulty, client: Client, fault: str
    ) -> None:
        name = f"t{uuid.uuid4().hex}"
        proxy.spoil(fault, match=PUT)
        assert create(client, name).done
        assert catalog.chain(name) == ["start"]
        assert len(catalog.metadata_files(name)) == 1

    @pytest.mark.parametrize("fault", LOST)
    def test_without_any_answer_nothing_is_committed(
        self, catalog: S3Catalog, proxy: Faulty, client: Client, name: str, fault: str
    ) -> None:
        orphans = catalog.metric("object_store_orphans_total", warehouse="default")
        key = str(uuid.uuid4())
        client.ok("GET", wire.table(name))  # what the commit builds on is not read again
        proxy.always(fault)
        answer = commit(client, name, "one", key)
        assert (answer.status, answer.kind) == (503, "SlowDownException")
        assert catalog.chain(name) == ["start"], answer
        current = catalog.look().pointers()[f"ns.{name}"]
        (orphan,) = set(catalog.metadata_files(name)) - {current}
        assert catalog.metric("object_store_orphans_total", warehouse="default") == orphans + 1
        wait_for(lambda: orphan in "\n".join(catalog.errors), "the orphan's name in the log")
        proxy.clear()
        wait_for(lambda: commit(client, name, "one", key).done, "the store to be used again")
        assert commit(client, name, "one", key).done
        assert catalog.chain(name) == ["start", "one"]

    def test_a_version_that_comes_late_is_no_version(
        self, catalog: S3Catalog, proxy: Faulty, client: Client, name: str
    ) -> None:
        proxy.spoil("late", match=PUT)
        assert commit(client, name, "one").status == 503
        assert len(catalog.metadata_files(name)) == 1
        proxy.clear()
        wait_for(lambda: len(catalog.metadata_files(name)) == 2, "the file that comes late")
        assert catalog.chain(name) == ["start"]
        wait_for(lambda: commit(client, name, "two").done, "the store to be used again")
        assert catalog.chain(name) == ["start", "two"]


class TestRain:
    """Commits, transactions and creations while faults rain."""

    def test_each_commit_is_one_version_or_none(
        self, catalog: S3Catalog, proxy: Faulty, client: Client
    ) -> None:
        names = [f"r{uuid.uuid4().hex}" for _ in range(3)]
        assert all(create(client, name).done for name in names)
        proxy.rain(7, 0.4, QUICK)
        acknowledged: dict[str, set[str]] = {name: set() for name in names}
        outcomes: Counter[int | None] = Counter()
        guard = threading.Lock()

        def work(writer: int) -> None:
            with catalog.client() as own:
                for number in range(25):
                    op, name = f"{writer}-{number}", names[(writer + number) % 3]
                    targets = (name,)
                    if number % 5 == 4:
                        targets = tuple(names[:2])
                        changes = {"table-changes": [wire.part(each, op) for each in targets]}
                        answer = own.ask("POST", "/v1/transactions/commit", changes)
                    else:
                        answer = commit(own, name, op)
                    with guard:
                        outcomes[answer.status] += 1
                        if answer.done:
                            for each in targets:
                                acknowledged[each].add(op)

        with ThreadPoolExecutor(4) as threads:
            for each in [threads.submit(work, writer) for writer in range(4)]:
                each.result()
        proxy.clear()
        assert outcomes.keys() <= {200, 204, 409, 503}, outcomes
        assert outcomes[200] + outcomes[204] > 20, outcomes
        assert outcomes[503] > 0, outcomes
        for name in names:
            chain = catalog.chain(name)
            assert len(chain) == len(set(chain))
            assert set(chain) == {"start"} | acknowledged[name]

    def test_each_creation_is_one_table_or_none(
        self, catalog: S3Catalog, proxy: Faulty, client: Client
    ) -> None:
        proxy.rain(11, 0.5, QUICK)
        names = [f"c{uuid.uuid4().hex}" for _ in range(40)]
        done = {name: create(client, name) for name in names}
        assert {each.status for each in done.values()} == {200, 503}
        proxy.clear()
        found = catalog.look().pointers()
        for name, answer in done.items():
            assert (f"ns.{name}" in found) == answer.done


class TestNoAnswer:
    """A store that hangs, refuses or throttles everything."""

    @pytest.mark.parametrize("fault", ["503", "429", "500", "403", "400", "404", "reset", "close"])
    def test_answers_say_what_is_wrong_and_no_more(
        self, catalog: S3Catalog, proxy: Faulty, client: Client, name: str, fault: str
    ) -> None:
        proxy.always(fault)
        answers = [
            commit(client, name, "one"),
            create(client, f"n{uuid.uuid4().hex}"),
            client.ask("POST", "/v1/namespaces/ns/register", registration(catalog)),
        ]
        assert {(each.status, each.kind) for each in answers} == {(503, "SlowDownException")}
        assert "warehouse default" in answers[0].body["error"]["message"]
        text = said(catalog, [each.body for each in answers])
        for secret in (*catalog.secrets, SECRET, "<Error>", "<Code>", proxy.url, "Signature="):
            assert secret not in text
        proxy.clear()
        assert catalog.chain(name) == ["start"]


def registration(catalog: S3Catalog) -> dict[str, str]:
    location = f"{catalog.location}/nothing/metadata/00000-{uuid.uuid4()}.metadata.json"
    return {"name": f"g{uuid.uuid4().hex}", "metadata-location": location}


def test_a_commit_that_loses_a_race_leaves_no_file(
    s3: emulators.S3, proxy: Faulty, tmp_path: Path
) -> None:
    catalog = S3Catalog(tmp_path, s3, proxy.url, processes=3)
    catalog.start()
    try:
        with catalog.client() as client:
            body = wire.creation("t", "start")
            body["properties"]["write.metadata.previous-versions-max"] = "2000"
            make_table(client, wire.table(""), body)
        proxy.requests.clear()
        over = threading.Event()

        def work(writer: int) -> list[Answer]:
            answers = []
            while not over.is_set():
                with catalog.client() as own:  # each connection reaches another process
                    answers.append(commit(own, "t", f"{writer}-{len(answers)}"))
            return answers

        with ThreadPoolExecutor(6) as threads:
            working = [threads.submit(work, writer) for writer in range(6)]
            try:
                wait_for(lambda: proxy.count("DELETE") > 2, "commits to lose")
            finally:
                over.set()
            statuses = Counter(answer.status for each in working for answer in each.result())
        assert statuses.keys() <= {200, 409}
        assert len(catalog.chain()) == 1 + statuses[200]
        assert len(catalog.metadata_files()) == 1 + statuses[200]
    finally:
        catalog.kill()


@pytest.fixture
def patient(s3: emulators.S3, proxy: Faulty, tmp_path: Path) -> Iterator[S3Catalog]:
    """A server that waits six seconds for an answer of its store."""
    catalog = S3Catalog(tmp_path, s3, proxy.url, warehouse__timeout=6)
    catalog.start_checked()
    yield catalog
    proxy.clear()
    catalog.kill()


def timeouts(catalog: S3Catalog) -> float:
    return catalog.metric("object_store_failures_total", warehouse="default", reason="timeout")


def test_other_warehouses_do_not_notice_a_store_that_hangs(
    patient: S3Catalog, proxy: Faulty
) -> None:
    catalog = patient
    client, local = catalog.client(), prefixed(wire.table("", "local"), "local")
    make_table(client, local, wire.creation("t", "start"), space="local")
    client.ok("POST", wire.namespace(), {"namespace": ["ns"]})
    assert create(client, "t").done
    client.ok("GET", TABLE)
    threads_before = catalog.threads()
    proxy.always("hang")
    over = threading.Event()
    answers: list[Answer] = []

    def hammer(number: int) -> None:
        # Half of them commit to one table, and wait for one another; the others create some.
        with catalog.client() as own:
            while not over.is_set():
                answers.append(
                    commit(own, "t", f"{number}")
                    if number % 2
                    else create(own, f"h{uuid.uuid4().hex}")
                )
                time.sleep(0.05)  # as clients do that are told to come again

    hammers = [threading.Thread(target=hammer, args=(number,)) for number in range(16)]
    for thread in hammers:
        thread.start()
    try:
        wait_for(lambda: proxy.hanging, "the first request to hang")
        local_answers = 0
        while timeouts(catalog) < 2 or local_answers <= 20:
            client.ok("POST", f"{local}/t", wire.change("x"))
            client.ok("GET", f"{local}/t")
            local_answers += 1
            assert client.ask("GET", "/health/ready").status == 200
            assert proxy.hanging <= 5  # four callers, and who asks whether it is there
        wait_for(
            lambda: client.ok("GET", "/health/ready").get("unavailable"), "the store to be named"
        )
    finally:
        over.set()
        for thread in hammers:
            thread.join()
    assert {answer.status for answer in answers} == {503}
    assert catalog.chain() == ["start"]
    proxy.clear()
    wait_for(lambda: commit(client, "t", "after").done, "the store to be used again")
    wait_for(lambda: catalog.threads() <= threads_before + 2, "threads to end")
    client.close()
    assert catalog.stop() == 0


def test_a_server_stops_although_its_store_hangs(patient: S3Catalog, proxy: Faulty) -> None:
    with patient.client() as client:
        client.ok("POST", wire.namespace(), {"namespace": ["ns"]})
        assert create(client, "t").done
        client.ok("GET", TABLE)
    proxy.always("hang")
    answers: list[Answer] = []

    def write() -> None:
        with patient.client() as own:
            answers.append(commit(own, "t", "one"))

    writer = threading.Thread(target=write)
    writer.start()
    wait_for(lambda: proxy.hanging, "the commit to hang")
    assert patient.stop() == 0  # though the store hangs for longer than a stop is waited for
    writer.join()
    assert [answer.status for answer in answers] == [503]
    assert patient.chain() == ["start"]


def test_a_server_starts_without_its_store(s3: emulators.S3, proxy: Faulty, tmp_path: Path) -> None:
    catalog = S3Catalog(tmp_path, s3, proxy.url)
    catalog.start()
    assert catalog.stop() == 0
    proxy.always("hang")
    catalog.start()
    try:
        with catalog.client() as client:
            local = prefixed(wire.table("", "local"), "local")
            make_table(client, local, wire.creation("t", "start"), space="local")
            client.ok("POST", wire.namespace(), {"namespace": ["ns"]})
            assert create(client, "t").status == 503
            proxy.clear()
            wait_for(lambda: create(client, "t").done, "the store to be used")
    finally:
        proxy.clear()
        catalog.kill()
