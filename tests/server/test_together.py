"""Several processes are one catalog: what one of them did, every other one knows."""

import os
import re
import signal
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import requests
from pyiceberg.catalog.rest import RestCatalog

from tests.catalog.serving import SCHEMA
from tests.processes import Running, wait_for
from tests.server.conftest import CLI
from tests.several import INSTANCES

TIMEOUT = 60
TABLE = "/v1/namespaces/ns/tables/t"


@contextmanager
def only(worker: int, everybody: set[int]) -> Iterator[None]:
    """Let no other process take a connection."""
    others = everybody - {worker}
    for other in others:
        os.kill(other, signal.SIGSTOP)
    try:
        yield
    finally:
        for other in others:
            os.kill(other, signal.SIGCONT)


@dataclass
class Together:
    """A catalog of several processes."""

    server: Running
    url: str
    folder: Path

    def session(self, worker: int) -> requests.Session:
        """Return a client whose connection is, and stays, with one process."""
        one = requests.Session()
        with only(worker, self.server.workers):
            assert one.get(f"{self.url}/health/live", timeout=TIMEOUT).ok
        return one

    def sessions(self) -> list[requests.Session]:
        """Return a client of each process."""
        return [self.session(worker) for worker in sorted(self.server.workers)]

    def ask(self, session: requests.Session, verb: str, path: str, **options: Any) -> Any:
        return session.request(verb, self.url + path, timeout=TIMEOUT, **options)

    def counted(self, name: str) -> float:
        """Return the sum of a metric's series, over all processes."""
        texts = [self.ask(one, "GET", "/metrics").text for one in self.sessions()]
        found = re.findall(rf"(?m)^falcon_catalog_{name}(?:{{.*}})? (.+)$", "\n".join(texts))
        return sum(map(float, found))


Serve = Callable[..., Together]


@pytest.fixture
def serve(start: Any, tmp_path: Path) -> Serve:
    """Return a function that serves from several processes."""

    def run(processes: int, **environ: str) -> Together:
        shared = [sys.executable, str(INSTANCES), str(processes), "127.0.0.1:0", *CLI, "serve"]
        told = {"CATALOG_LOG_ACCESS": "false", **environ}
        server = start("env", *(f"{k}={v}" for k, v in told.items()), *shared, cwd=tmp_path)
        return Together(server, server.url(), tmp_path / "var/catalog")

    return run


@pytest.fixture
def two(serve: Serve) -> Together:
    """Two processes, and a table."""
    one = serve(2)
    for path, body in (
        ("/v1/namespaces", {"namespace": ["ns"]}),
        ("/v1/namespaces/ns/tables", {"name": "t", "schema": SCHEMA}),
    ):
        assert requests.post(one.url + path, json=body, timeout=TIMEOUT).ok
    return one


def setting(**properties: str) -> dict[str, Any]:
    """Return a commit that sets properties."""
    return {
        "requirements": [],
        "updates": [{"action": "set-properties", "updates": properties}],
    }


def test_a_commit_of_one_is_seen_by_the_next_request_on_another(two: Together) -> None:
    first, second = two.sessions()
    for number in range(20):
        writer, reader = (first, second) if number % 2 else (second, first)
        assert two.ask(reader, "GET", TABLE).ok  # so that its document is in memory
        assert two.ask(writer, "POST", TABLE, json=setting(n=str(number))).ok
        seen = two.ask(reader, "GET", TABLE).json()
        assert seen["metadata"]["properties"]["n"] == str(number)
    assert two.server.stop() == 0


def test_tags_hold_in_every_process(two: Together) -> None:
    first, second = two.sessions()
    tag = two.ask(first, "GET", TABLE).headers["ETag"]
    same = {"If-None-Match": tag}
    assert two.ask(second, "GET", TABLE).headers["ETag"] == tag
    assert two.ask(second, "GET", TABLE, headers=same).status_code == 304
    assert two.ask(first, "POST", TABLE, json=setting(a="b")).ok
    assert two.ask(second, "GET", TABLE, headers=same).status_code == 200
    assert two.server.stop() == 0


def test_a_retry_that_comes_to_another_process_is_not_done_again(two: Together) -> None:
    first, second = two.sessions()
    key = {"Idempotency-Key": str(uuid.uuid4())}
    asked = {"headers": key, "json": {"namespace": ["new"]}}
    answers = [two.ask(one, "POST", "/v1/namespaces", **asked) for one in (first, second, first)]
    assert [answer.status_code for answer in answers] == [200] * 3
    assert len({answer.text for answer in answers}) == 1
    assert two.counted("idempotent_replays_total") == 2
    other = {"headers": {"Idempotency-Key": str(uuid.uuid4())}, "json": {"namespace": ["new"]}}
    assert two.ask(second, "POST", "/v1/namespaces", **other).status_code == 409
    assert two.server.stop() == 0


def test_a_plan_that_one_has_submitted_is_found_by_all(serve: Serve) -> None:
    together = serve(2, CATALOG_PLANNING_SYNC_MANIFESTS="0")
    first, second = together.sessions()
    with closing(RestCatalog("test", uri=together.url)) as catalog:
        catalog.create_namespace("ns")
        rows = pa.table({"i": [1, 2, 3]})
        catalog.create_table("ns.t", rows.schema).append(rows)
    plan = together.ask(first, "POST", f"{TABLE}/plan", json={}).json()
    assert plan["status"] == "submitted"
    path = f"{TABLE}/plan/{plan['plan-id']}"
    wait_for(lambda: together.ask(second, "GET", path).json()["status"] == "completed")
    results = [together.ask(one, "GET", path).json() for one in (first, second)]
    assert results[0] == results[1]
    assert len(results[0]["file-scan-tasks"]) == 1
    assert together.server.stop() == 0


def test_writers_over_four_processes_lose_nothing_and_none_starves(serve: Serve) -> None:
    together = serve(4)
    sessions = together.sessions()
    together.ask(sessions[0], "POST", "/v1/namespaces", json={"namespace": ["ns"]})
    table = {"name": "t", "schema": SCHEMA}
    assert together.ask(sessions[0], "POST", "/v1/namespaces/ns/tables", json=table).ok
    acknowledged: list[list[str]] = [[] for _ in sessions]
    enough = threading.Event()

    def write(place: int) -> None:
        # Until every one has done its part: who starves keeps the test from its end.
        while not enough.is_set():
            name = f"w{place}-{len(acknowledged[place])}"
            answer = together.ask(sessions[place], "POST", TABLE, json=setting(**{name: "x"}))
            assert answer.status_code in (200, 409), answer.text
            if answer.ok:
                acknowledged[place].append(name)

    threads = [threading.Thread(target=write, args=(place,)) for place in range(4)]
    for thread in threads:
        thread.start()
    try:
        wait_for(lambda: min(map(len, acknowledged)) >= 10)
    finally:
        enough.set()
        for thread in threads:
            thread.join()
    stored = together.ask(sessions[0], "GET", TABLE).json()["metadata"]["properties"]
    made = {name for some in acknowledged for name in some}
    assert made == {name for name in stored if name.startswith("w") and "." not in name}
    assert together.counted("commits_total") == len(made)
    assert together.server.stop() == 0
