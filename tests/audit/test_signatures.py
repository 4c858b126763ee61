"""Signatures are counted by caller, table and minute."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson
import pytest

from falcon_catalog.catalog import audit as audit_module
from falcon_catalog.catalog.audit import Audit
from falcon_catalog.catalog.events import Origin
from falcon_catalog.identifiers import Namespace, TableIdentifier
from falcon_catalog.settings import AuditSettings
from falcon_catalog.store import open_database
from falcon_catalog.store.database import Database
from tests.audit.test_refusals import Clock
from tests.postgres import stores
from tests.processes import wait_for

ANN, BOB = (Origin(n, name, "token", warehouse="w") for n, name in ((1, "ann"), (2, "bob")))
T, U = (TableIdentifier(Namespace(("ns",)), name) for name in "tu")


@pytest.fixture(params=stores.KINDS)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    with closing(open_database(stores.url(request.param, tmp_path))) as store:
        yield store


def counted(store: Database) -> list[tuple[Any, ...]]:
    """Return actor, table, permission and number of each row."""
    found = store.autocommit().all("SELECT actor, name, detail FROM events ORDER BY id")
    details = [(actor, name, orjson.loads(detail)) for actor, name, detail in found]
    return [(actor, name, each["permission"], each["count"]) for actor, name, each in details]


def test_the_first_has_a_row_at_once_and_the_others_one_together(database: Database) -> None:
    audit = Audit(database, AuditSettings(), Clock())
    for _ in range(100):
        audit.signed(ANN, T, "read")
    audit.signed(ANN, T, "write")
    audit.signed(BOB, T, "read")
    audit.signed(BOB, U, "read")
    audit.flush()
    first = [
        ("ann", "t", "read", 1),
        ("ann", "t", "write", 1),
        ("bob", "t", "read", 1),
        ("bob", "u", "read", 1),
    ]
    assert sorted(counted(database)) == first
    audit.close()
    assert sorted(counted(database)) == sorted([*first, ("ann", "t", "read", 99)])


def test_a_window_ends_after_a_minute(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_module, "_TICK_SECONDS", 0.01)
    clock = Clock()
    with closing(Audit(database, AuditSettings(), clock)) as audit:
        for _ in range(10):
            audit.signed(ANN, T, "read")
        wait_for(lambda: len(counted(database)) == 1, "the first row")
        clock.now += 61
        wait_for(lambda: len(counted(database)) == 2, "the number of the minute")
        audit.signed(ANN, T, "read")
        wait_for(lambda: len(counted(database)) == 3, "the first row of the next minute")
    assert counted(database) == [
        ("ann", "t", "read", 1),
        ("ann", "t", "read", 9),
        ("ann", "t", "read", 1),
    ]


def test_many_tables_are_bounded(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_module, "_MOST_CALLERS", 3)
    audit = Audit(database, AuditSettings(), Clock())
    for number in range(10):
        for _ in range(2):
            audit.signed(ANN, TableIdentifier(Namespace(("ns",)), f"t{number}"), "read")
    audit.close()
    assert sum(count for *_, count in counted(database)) == 20
