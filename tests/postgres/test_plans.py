"""What requests ask of the store, they find by an index, however many tables there are."""

from collections.abc import Callable
from typing import Any

import pytest

from falcon_catalog.identifiers import Namespace, Page, TableIdentifier
from falcon_catalog.store import dropped, namespaces, tabulars, warehouses
from falcon_catalog.store.database import Database, Transaction

NS = Namespace(("ns",))
_TABLES = 5000
_EXECUTIONS = 15  # psycopg prepares the 5th, PostgreSQL plans without the values from its 6th on
_READ = "SELECT sum(seq_tup_read) FROM pg_stat_xact_user_tables WHERE relname = 'tabulars'"

QUESTIONS: dict[str, Callable[[Transaction], object]] = {
    "load": lambda tx: tabulars.find(tx, 1, TableIdentifier(NS, "t2500")),
    "list": lambda tx: tabulars.names(tx, 1, "table", Page("t2500", 100)),
    "around": lambda tx: tabulars.enclosing(tx, "/lake/ns/new/metadata/"),
    "create": lambda tx: tabulars.overlapping(tx, "/lake/ns/new/", besides=None),
    "move": lambda tx: tabulars.overlapping(tx, "/lake/ns/new/", besides=7, kind="view"),
    "overlap": lambda tx: tabulars.overlapping(tx, "/lake/ns/t2500/data/", besides=None),
    "purge": lambda tx: dropped.any_inside(tx, "/lake/ns/", besides=1),
}


class Explaining:
    """A transaction on SQLite that reads no table from its begin to its end."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx
        self.searches = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tx, name)

    def one(self, sql: str, parameters: tuple[Any, ...] = ()) -> Any:
        return next(iter(self.all(sql, parameters)), None)

    def all(self, sql: str, parameters: tuple[Any, ...] = ()) -> list[Any]:
        steps = [str(row[-1]) for row in self._tx.all(f"EXPLAIN QUERY PLAN {sql}", parameters)]
        assert not [step for step in steps if step.startswith("SCAN")], (sql, steps)
        self.searches += sum(step.startswith("SEARCH") for step in steps)
        return self._tx.all(sql, parameters)


@pytest.fixture
def full(database: Database) -> Database:
    with database.write() as tx:
        warehouse = warehouses.ensure(tx, "w")
        namespaces.insert(tx, warehouse, NS, parent_id=None, properties={})
        found = namespaces.find(tx, warehouse, NS)
        assert found is not None
        assert (warehouse, found.id) == (1, 1)
        for number in range(_TABLES):
            key = f"/lake/ns/t{number}/"
            tabulars.insert(
                tx,
                found.id,
                f"t{number}",
                kind="table",
                uuid=f"{number}",
                metadata_location=f"file://{key}metadata/0.json",
                location_key=key,
            )
    return database


def test_no_question_reads_all_tables(full: Database) -> None:
    if full.path is None:
        with full.write() as tx:
            tx.change("ANALYZE tabulars")
    for name, ask in QUESTIONS.items():
        with full.read() as tx:
            if full.path is None:
                for _ in range(_EXECUTIONS):
                    ask(tx)
                row = tx.one(_READ)
                assert row is not None
                assert row[0] == 0, name
            else:
                explaining = Explaining(tx)
                ask(explaining)  # type: ignore[arg-type]
                assert explaining.searches, name


def test_the_count_of_rows_that_were_read_is_no_zero_by_itself(full: Database) -> None:
    if full.path is not None:
        pytest.skip("SQLite's plan is read instead")
    with full.read() as tx:
        tx.all("SELECT uuid FROM tabulars")
        row = tx.one(_READ)
    assert row is not None
    assert row[0] == _TABLES
