"""Old rows are removed; those about principals stay longer; ids are never used again."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from falcon_catalog.catalog import audit as audit_module
from falcon_catalog.catalog import events, purge
from falcon_catalog.catalog.audit import Audit
from falcon_catalog.catalog.events import Event, Origin
from falcon_catalog.settings import AuditSettings
from falcon_catalog.store import events as event_rows
from falcon_catalog.store import open_database
from falcon_catalog.store.database import Database
from tests.catalog.serving import serving
from tests.postgres import stores
from tests.processes import wait_for

BY = Origin(None, "ann", "token", warehouse="w")
DAY_MS = 24 * 3600 * 1000


@pytest.fixture(params=stores.KINDS)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    with closing(open_database(stores.url(request.param, tmp_path))) as store:
        yield store


def fill(store: Database, *topics: str) -> None:
    for topic in topics:
        with store.write() as tx:
            events.record(tx, BY, Event("any", "table", None, topic))  # type: ignore[arg-type]


def age(store: Database, days: int, *ids: int) -> None:
    with store.write() as tx:
        for each in ids:
            tx.change("UPDATE events SET at_ms = at_ms - ? WHERE id = ?", (days * DAY_MS, each))


def ids(store: Database) -> list[int]:
    return [row[0] for row in store.autocommit().all("SELECT id FROM events ORDER BY id")]


def removed_through(store: Database) -> int:
    return event_rows.removed_through(store.autocommit())


def test_by_age_and_access_stays_longer(database: Database) -> None:
    fill(database, "catalog", "access", "files", "catalog", "access", "catalog", "catalog")
    age(database, 100, 1, 2, 3, 4)
    age(database, 2000, 5)
    audit = Audit(database, AuditSettings(keep_days=90, keep_access_days=1100))
    assert audit.expire() == 4
    assert ids(database) == [2, 6, 7]
    assert removed_through(database) == 4
    age(database, 2000, 2)
    assert audit.expire() == 1
    assert ids(database) == [6, 7]
    assert removed_through(database) == 4
    assert audit.expire() == 0


def test_by_number(database: Database) -> None:
    fill(database, *["catalog"] * 6, "access", *["catalog"] * 4)
    audit = Audit(database, AuditSettings(keep_rows=5))
    assert audit.expire() == 6
    assert ids(database) == [7, 8, 9, 10, 11]
    assert removed_through(database) == 6


def test_in_small_batches(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_module, "_BATCH", 2)
    fill(database, *["catalog"] * 9, "access", "access", "access", "catalog")
    age(database, 5000, *range(1, 13))
    audit = Audit(database, AuditSettings())
    rounds = iter([False, False, True])
    assert audit.expire(lambda: next(rounds)) == 7
    assert audit.expire() == 5
    assert ids(database) == [13]


@pytest.mark.parametrize("topic", ["catalog", "access"])
def test_the_newest_row_stays_and_no_id_is_used_again(database: Database, topic: str) -> None:
    fill(database, topic, topic, topic)
    age(database, 5000, 1, 2, 3)
    audit = Audit(database, AuditSettings())
    assert audit.expire() == 2
    assert ids(database) == [3]
    assert audit.expire() == 0
    fill(database, topic)
    assert ids(database)[-1] == 4


def test_a_time_finds_its_id(database: Database) -> None:
    fill(database, *["catalog"] * 20)
    with database.write() as tx:
        tx.change("UPDATE events SET at_ms = 1000 * id")
        tx.change("DELETE FROM events WHERE id IN (1, 2, 7, 8, 9)")
    tx = database.autocommit()
    for at_ms in range(0, 22_000, 500):
        expected = [row for row in ids(database) if row * 1000 >= at_ms]
        found = event_rows.first_since(tx, at_ms)
        assert [row for row in ids(database) if row >= found] == expected


def test_the_worker_of_a_server_does_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(purge, "_INTERVAL_SECONDS", 0.05)
    with serving(tmp_path, processes=1) as server:
        server.namespace("a")
        server.namespace("b")
        store = server.catalog.store
        age(store, 5000, 1)
        wait_for(lambda: ids(store) == [2], "the old row to be removed")
