"""Tables that are in memory are loaded while the threads wait for the disk."""

import fcntl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pytest

from tests.catalog.serving import Server

T = "/v1/namespaces/ns/tables/t"


@contextmanager
def changes_held(server: Server) -> Iterator[IO[str]]:
    """Keep every change waiting, as another process does that is in the middle of one."""
    with Path(server.folder / "catalog.db-lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock


@contextmanager
def every_thread_waiting(server: Server) -> Iterator[None]:
    """Give the only thread a change to make, and keep it waiting."""
    with changes_held(server) as lock:
        update = {"updates": [{"action": "set-properties", "updates": {"a": "b"}}]}
        waiting = threading.Thread(target=server.ok, args=("POST", T, update))
        waiting.start()
        try:
            while "requests_in_flight 1" not in server.app.metrics.text().decode():
                pass
            yield
        finally:
            fcntl.flock(lock, fcntl.LOCK_UN)
            waiting.join()


@pytest.fixture
def ns(start: Any) -> Server:
    server = start(server__threads=1)
    server.namespace("ns")
    server.table("t")
    return server


@pytest.mark.sqlite
def test_what_is_in_memory_is_told_while_no_thread_is_free(ns: Server) -> None:
    loaded = ns.ok("GET", T)
    with every_thread_waiting(ns):
        answer = ns.call("GET", T)
        assert answer.json() == loaded
        tag = answer.headers["ETag"]
        assert ns.call("GET", T, headers={"If-None-Match": tag}).status_code == 304
        assert ns.call("HEAD", T).status_code == 204
        assert ns.call("HEAD", "/v1/namespaces/ns").status_code == 204
        assert ns.call("HEAD", "/v1/namespaces/ns/views/v").status_code == 404
        assert ns.fails("GET", f"{T}x")[0] == 404
        assert ns.fails("GET", T, params={"snapshots": "some"})[0] == 400
        assert "endpoints" in ns.ok("GET", "/v1/config")
    assert ns.ok("GET", T)["metadata"]["properties"]["a"] == "b"


@pytest.mark.sqlite
def test_what_is_not_in_memory_waits_for_a_thread_and_comes(ns: Server) -> None:
    ns.ok("GET", T)
    answers: list[Any] = []

    def ask() -> None:
        answers.append(ns.ok("GET", T, params={"snapshots": "refs"})["metadata"]["location"])
        answers.append(ns.ok("GET", "/v1/namespaces/ns/tables")["identifiers"])

    with every_thread_waiting(ns):
        asking = threading.Thread(target=ask)
        asking.start()
        ns.ok("GET", T)
        assert not answers
    asking.join()
    assert answers[0] == ns.ok("GET", T)["metadata"]["location"]
    assert answers[1] == [{"namespace": ["ns"], "name": "t"}]


def test_each_request_is_counted_and_logged_once(
    ns: Server, caplog: pytest.LogCaptureFixture
) -> None:
    metrics = ns.app.metrics
    caplog.set_level("INFO", "falcon_catalog.access")
    for _ in range(2):  # the second finds in memory what a thread read for the first
        ns.ok("GET", T, params={"snapshots": "refs"})
    lines = [one for one in caplog.records if one.name == "falcon_catalog.access"]
    assert [one.pairs["operation"] for one in lines if one.pairs["status"] == 200] == [
        "loadTable"
    ] * 2
    text = metrics.text().decode()
    assert 'requests_total{operation="loadTable",status="200"} 2' in text
    assert "falcon_catalog_requests_in_flight 0" in text


def test_plain_and_compressed_are_the_same_from_loop_and_thread(ns: Server) -> None:
    properties = {f"column-{number}": "x" * 50 for number in range(200)}
    ns.ok("POST", T, {"updates": [{"action": "set-properties", "updates": properties}]})
    for coding in ("gzip", "identity"):
        # From a thread, for what is to be sent is not compressed yet, then from the loop.
        first, second = (ns.call("GET", T, headers={"Accept-Encoding": coding}) for _ in range(2))
        assert first.headers.get("Content-Encoding") == second.headers.get("Content-Encoding")
        assert first.content == second.content
        assert first.json()["metadata"]["properties"].items() >= properties.items()
