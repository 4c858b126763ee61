"""Refused requests: each has a row, and a flood of them has few."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from falcon_catalog.catalog.audit import Audit
from falcon_catalog.catalog.events import Origin
from falcon_catalog.settings import AuditSettings
from falcon_catalog.store import open_database
from falcon_catalog.store.database import Database
from tests.audit.log import refusals, rows
from tests.catalog.serving import Server
from tests.postgres import stores
from tests.processes import wait_for

TOKENS = "/v1/oauth/tokens"


@pytest.fixture(params=stores.KINDS)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    with closing(open_database(stores.url(request.param, tmp_path))) as store:
        yield store


def written(server: Server, count: int) -> list[tuple[Any, ...]]:
    """Return the refusals once there are so many."""
    wait_for(lambda: len(refusals(server.folder)) >= count, "refusals to be written")
    return refusals(server.folder)


def test_a_request_without_a_valid_token_has_a_row(start: Callable[..., Server]) -> None:
    server = start(auth__required=True)
    assert server.call("GET", "/v1/namespaces").status_code == 401
    assert written(server, 1) == [("unauthenticated", None, "anonymous", None, None, 0)]
    bad = {"Authorization": "Bearer no.such.token"}
    assert (
        server.call("POST", "/v1/namespaces", {"namespace": ["a"]}, headers=bad).status_code == 401
    )
    assert written(server, 2)[1][:3] == ("unauthenticated", None, "anonymous")
    assert rows(server.folder) == []


def test_a_failed_login_names_the_client_but_no_secret(start: Callable[..., Server]) -> None:
    server = start(auth__required=True)
    form = {
        "grant_type": "client_credentials",
        "client_id": "etl",
        "client_secret": "s3cr3t-s3cr3t",
    }
    assert server.call("POST", TOKENS, data=form).status_code == 401
    found = written(server, 1)
    assert found == [("unauthenticated", "getToken", "anonymous", "client 'etl'", None, 0)]


class Clock:
    """A clock that only goes when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def caller(name: str) -> Origin:
    return Origin(None, "anonymous", "anonymous", address=name)


def counts(store: Database) -> list[tuple[str, int]]:
    return [
        tuple(row)
        for row in store.autocommit().all("SELECT address, more FROM refusals ORDER BY id")
    ]


def test_a_flood_of_one_caller_has_few_rows_and_leaves_others_theirs(database: Database) -> None:
    clock = Clock()
    audit = Audit(database, AuditSettings(), clock)
    for _ in range(10_000):
        audit.refused(caller("flood"), "loadTable", "select", "t", "denied")
    audit.refused(caller("other"), "loadTable", "select", "t", "denied")
    audit.flush()
    assert counts(database) == [("flood", 0)] * 20 + [("other", 0)]
    clock.now += 1.0
    audit.refused(caller("flood"), "loadTable", "select", "t", "denied")
    audit.flush()
    assert counts(database)[-1] == ("flood", 9980)
    for _ in range(1000):
        audit.refused(caller("flood"), "loadTable", "select", "t", "denied")
    audit.close()
    found = counts(database)
    assert sum(1 + more for _, more in found) == 10_000 + 1 + 1 + 1000


def test_the_last_refusals_of_a_flood_are_counted_once_it_is_over(database: Database) -> None:
    clock = Clock()
    audit = Audit(database, AuditSettings(), clock)
    for _ in range(50):
        audit.refused(caller("flood"), None, None, None, "unauthenticated")
    clock.now += 60.0
    with closing(audit):
        wait_for(
            lambda: sum(1 + more for _, more in counts(database)) == 50, "the rest to be counted"
        )


def test_many_callers_together_are_bounded(database: Database) -> None:
    audit = Audit(database, AuditSettings(), Clock())
    for number in range(5000):
        audit.refused(caller(f"10.0.{number}"), None, None, None, "unauthenticated")
    audit.close()
    found = counts(database)
    assert sum(more == 0 for _, more in found) >= 500
    assert sum(1 + more for _, more in found) == 5000


def test_only_the_newest_are_kept(database: Database) -> None:
    audit = Audit(database, AuditSettings(keep_refusals=7), Clock())
    for number in range(40):
        audit.refused(caller(f"10.0.{number}"), None, None, None, "unauthenticated")
        audit.flush()
    audit.close()
    assert [address for address, _ in counts(database)] == [f"10.0.{n}" for n in range(33, 40)]


def test_long_texts_are_cut(database: Database) -> None:
    audit = Audit(database, AuditSettings(), Clock())
    by = Origin(None, "a" * 9999, "token", "10.0.0.1", "c" * 9999, str(uuid.uuid4()), "w")
    audit.refused(by, "op", "select", "e" * 9999, "denied")
    audit.close()
    row = database.autocommit().one("SELECT actor, client, entity FROM refusals")
    assert row is not None
    assert [len(value) for value in row] == [1024, 256, 1024]
